"""RegistryService: translates requests, asks the registry, translates back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import grpc
from google.protobuf.message import Message

from crucible.v1 import registry_service_pb2 as pb
from crucible_server.api import handlers
from crucible_server.api.handlers import Context
from crucible_server.api.paging import MAX_PAGE_BYTES, Page
from crucible_server.encoded import Encoded
from crucible_server.registry.registry import Registry, presented
from crucible_server.registry.watching import Change

SERVICE = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name


class RegistryService:
    """The thin side of the contract; no logic of its own."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers every RPC of the service."""
        served = {
            "RegisterService": handlers.unary(pb.RegisterServiceRequest, self._register),
            "Heartbeat": handlers.unary(pb.HeartbeatRequest, self._heartbeat),
            "UnregisterService": handlers.unary(pb.UnregisterServiceRequest, self._unregister),
            "DiscoverServices": handlers.unary(pb.DiscoverServicesRequest, self._discover),
            "WatchServices": handlers.stream(pb.WatchServicesRequest, self._watch),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, served),))

    async def _register(self, request: pb.RegisterServiceRequest, context: Context) -> pb.RegisterServiceResponse:
        record, replaced = await self._registry.register(handlers.caller(context), request)
        return pb.RegisterServiceResponse(service=presented(record), replaced=replaced)

    async def _heartbeat(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatResponse:
        response = pb.HeartbeatResponse()
        end = await self._registry.heartbeat(
            handlers.caller(context), request.service_id, request.status, request.status_message
        )
        response.lease_expire_time.FromNanoseconds(end)
        return response

    async def _unregister(self, request: pb.UnregisterServiceRequest, context: Context) -> pb.UnregisterServiceResponse:
        await self._registry.unregister(handlers.caller(context), request.service_id, request.reason)
        return pb.UnregisterServiceResponse()

    async def _discover(self, request: pb.DiscoverServicesRequest, context: Context) -> pb.DiscoverServicesResponse:
        caller = handlers.caller(context)
        page = Page.of(request, caller.tenant)
        found = await self._registry.discover(caller, request.filter)
        after = page.before[1] if page.before else ""
        rows = [record for record in found if record.service_id > after][: page.limit]
        shown, token = page.cut(rows, lambda each: (0, each.service_id), presented)
        return pb.DiscoverServicesResponse(services=shown, next_page_token=token)

    async def _watch(self, request: pb.WatchServicesRequest, context: Context) -> AsyncIterator[Message]:
        async for change in self._registry.watch(handlers.caller(context), request.filter):
            if not change.encoded:
                change.encoded.extend(_encoded(change))
            for encoded in change.encoded:
                yield encoded  # encoded already
            del change, encoded


def _encoded(change: Change) -> Iterator[Encoded]:
    """A change in messages that clients take, all but the last of which say that there is more."""
    message = pb.WatchServicesResponse(removed_service_ids=change.gone)
    size = message.ByteSize()
    for record in change.services:
        service = presented(record)
        size += service.ByteSize()
        if message.services and size > MAX_PAGE_BYTES:
            message.more = True
            yield Encoded(message)
            message, size = pb.WatchServicesResponse(), service.ByteSize()
        message.services.append(service)
    yield Encoded(message)
