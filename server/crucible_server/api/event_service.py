"""EventService: translates requests, asks the feed and the store, translates back."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
from google.protobuf.message import Message

from crucible.v1 import event_service_pb2 as pb
from crucible_server.api import handlers
from crucible_server.api.handlers import Context
from crucible_server.api.paging import MAX_PAGE_BYTES, Page, created_between
from crucible_server.engine import values
from crucible_server.errors import invalid
from crucible_server.events import wire
from crucible_server.events.emission import Emission
from crucible_server.events.selection import select
from crucible_server.events.subscriptions import Subscriptions
from crucible_server.store import EventPage, Store

SERVICE = pb.DESCRIPTOR.services_by_name["EventService"].full_name
# The token of a page names the sequence number before which the next one begins; the id beside it is never empty.
_ROW = "event"


class EventService:
    """The thin side of the contract; no logic of its own."""

    def __init__(self, store: Store, emission: Emission, subscriptions: Subscriptions) -> None:
        self._store = store
        self._emission = emission
        self._subscriptions = subscriptions

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers every RPC of the service."""
        served = {
            "Emit": handlers.unary(pb.EmitRequest, self._emit),
            "Subscribe": handlers.stream(pb.SubscribeRequest, self._subscribe),
            "Unsubscribe": handlers.unary(pb.UnsubscribeRequest, self._unsubscribe),
            "ListEvents": handlers.unary(pb.ListEventsRequest, self._list),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, served),))

    async def _emit(self, request: pb.EmitRequest, context: Context) -> pb.EmitResponse:
        for index, event in enumerate(request.events):
            if event.HasField("data"):
                try:
                    values.check(event.data, f"events[{index}].data")
                except values.InvalidValueError as error:
                    raise invalid(error.path, error.description) from None
        return pb.EmitResponse(events=await self._emission.emit(handlers.caller(context), request.events))

    async def _subscribe(self, request: pb.SubscribeRequest, context: Context) -> AsyncIterator[Message]:
        caller = handlers.caller(context)
        after = request.after_sequence if request.HasField("after_sequence") else None
        async for message in self._subscriptions.follow(caller, select(caller, request.filter), after):
            yield message  # type: ignore[misc]  # encoded already

    async def _unsubscribe(self, request: pb.UnsubscribeRequest, context: Context) -> pb.UnsubscribeResponse:
        if not request.subscription_id:
            raise invalid("subscription_id", "expected the id of a subscription, got an empty one")
        self._subscriptions.end(handlers.caller(context), request.subscription_id)
        return pb.UnsubscribeResponse()

    async def _list(self, request: pb.ListEventsRequest, context: Context) -> pb.ListEventsResponse:
        caller = handlers.caller(context)
        page = Page.of(request, caller.tenant)
        after, before = created_between(request)
        selection = select(caller, request.filter)
        if page.before is not None and page.before[0] < 1:
            raise invalid("page_token", "expected the next_page_token of the page before, unchanged")
        found = await self._store.events_before(
            selection, page.before[0] if page.before else None, page.size, after, before, MAX_PAGE_BYTES
        )
        return pb.ListEventsResponse(events=map(wire.decode, found), next_page_token=_token(page, found))


def _token(page: Page, found: EventPage) -> str:
    is_last = found.position <= found.bounds.oldest
    return "" if is_last else page.token_after((found.position, _ROW))
