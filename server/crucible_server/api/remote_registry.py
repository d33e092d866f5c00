"""The registry of another server of Crucible, over gRPC."""

from __future__ import annotations

import grpc

from crucible.v1 import registry_pb2
from crucible.v1 import registry_service_pb2 as pb
from crucible.v1.registry_service_pb2_grpc import RegistryServiceStub
from crucible.v1.server_info_pb2 import ServiceStatus

_MAX_MESSAGE = 500


class GrpcRegistry:
    """At `HOST:PORT`. Every failure is an OSError, whose text is the status."""

    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.aio.insecure_channel(endpoint)
        self._stub = RegistryServiceStub(self._channel)
        self._is_registered = False

    async def renew(self, info: registry_pb2.ServiceInfo, lease: float, status: ServiceStatus, message: str) -> None:
        """Extends the lease there, or registers what is not registered; tells how it is."""
        beat = pb.HeartbeatRequest(service_id=info.service_id, status=status, status_message=message[:_MAX_MESSAGE])
        try:
            if self._is_registered:
                try:
                    await self._stub.Heartbeat(beat)
                    return
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:
                        raise
            # Without the URL: what that registry may ask is for its operator to say.
            copy = registry_pb2.ServiceInfo()
            copy.CopyFrom(info)
            copy.ClearField("health_check_url")
            request = pb.RegisterServiceRequest(service=copy)
            request.lease.FromNanoseconds(int(lease * 1e9))
            await self._stub.RegisterService(request)
            self._is_registered = True
            if status != ServiceStatus.SERVICE_STATUS_HEALTHY:
                await self._stub.Heartbeat(beat)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from None

    async def leave(self, service_id: str, reason: str) -> None:
        """Takes the registration back."""
        if self._is_registered:
            try:
                await self._stub.UnregisterService(pb.UnregisterServiceRequest(service_id=service_id, reason=reason))
            except grpc.aio.AioRpcError as error:
                raise _failure(error) from None

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close(None)


def _failure(error: grpc.aio.AioRpcError) -> OSError:
    return ConnectionError(f"{error.code().name}: {error.details()}")
