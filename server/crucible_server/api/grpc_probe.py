"""Health checks by grpc.health.v1, dialled where it was checked."""

from __future__ import annotations

import ipaddress

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crucible_server.config import HealthCheckConfig
from crucible_server.outbound.allow import AllowList, read_url
from crucible_server.outbound.allowance import Meter, RefusedError
from crucible_server.outbound.connect import GuardedBackend, resolve
from crucible_server.registry.health import Answer
from crucible_server.registry.infos import HealthUrl
from crucible_server.registry.probes import ALLOW_KEY

_MAX_ANSWER = 4096

log = structlog.get_logger()


class GrpcProbe:
    """Asks for SERVING, over a connection of its own each time."""

    def __init__(self, config: HealthCheckConfig) -> None:
        self._allow = AllowList(config.allow, ALLOW_KEY)

    async def __call__(self, url: HealthUrl, timeout: float) -> Answer:  # noqa: ASYNC109 - it bounds one exchange
        """Asks once."""
        try:
            _, target = read_url(url.url)
            origin = self._allow.require(target)
            addresses = await GuardedBackend(target, origin, resolve, Meter(), ALLOW_KEY).addresses()
        except RefusedError as error:
            # What a name leads to is for the operator to know.
            log.info("health_check_unanswered", url=url.text, reason=str(error))
            return Answer(False, "its health check got no answer")
        address = addresses[0]
        version = "ipv6" if isinstance(address, ipaddress.IPv6Address) else "ipv4"
        place = f"{version}:{f'[{address}]' if version == 'ipv6' else address}:{target.port}"
        options = (
            ("grpc.default_authority", f"{target.host}:{target.port}"),
            # A proxy of the environment would be dialled instead of what was checked.
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", _MAX_ANSWER),
            ("grpc.max_metadata_size", _MAX_ANSWER),
            ("grpc.use_local_subchannel_pool", 1),
        )
        if target.scheme == "https":
            named = (*options, ("grpc.ssl_target_name_override", target.host))
            channel = grpc.aio.secure_channel(place, grpc.ssl_channel_credentials(), named)
        else:
            channel = grpc.aio.insecure_channel(place, options)
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=url.grpc_service), timeout=timeout)
        except grpc.aio.AioRpcError as error:
            log.info("health_check_unanswered", url=url.text, reason=error.details())
            return Answer(False, f"its health check ended with {error.code().name}")
        finally:
            await channel.close(None)
        word = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return Answer(answer.status == health_pb2.HealthCheckResponse.SERVING, f"its health check answered {word}")
