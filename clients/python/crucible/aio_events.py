"""What the client for asyncio does with events and with registered services."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from crucible import events, services
from crucible.aio_calls import answer, pages
from crucible.errors import CrucibleError, Unavailable, from_rpc_error
from crucible.events import Emitted, Event, NewEvent, Position
from crucible.services import Service, ServiceChange
from crucible.v1 import event_service_pb2, registry_service_pb2
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from crucible.v1.registry_service_pb2_grpc import RegistryServiceStub

if TYPE_CHECKING:
    from crucible.v1.event_service_pb2_grpc import EventServiceAsyncStub
    from crucible.v1.registry_service_pb2_grpc import RegistryServiceAsyncStub


class AsyncSubscription:
    """Events as they happen; an async context manager that ends the call.

    When the connection breaks or the server restarts, it subscribes again after the last event that was read, for as
    long as `resume` seconds without an answer; then iterating raises Unavailable. EventsExpired says that events
    were deleted before they could be read.
    """

    def __init__(self, stub: EventServiceAsyncStub, position: Position, resume: float) -> None:
        self._stub = stub
        self._position = position
        self._resume = resume
        self._call: Any = None
        self._unread: deque[Event] = deque()
        self._is_closed = False

    @property
    def last_sequence(self) -> int | None:
        """What `subscribe(after=...)` resumes from; None before the subscription began."""
        return self._position.after

    @property
    def subscription_id(self) -> str:
        """For `unsubscribe`; empty before the subscription began."""
        return self._position.subscription_id

    async def begin(self) -> None:
        """Begins, unless it has: what happens from then on is not missed. Raises CrucibleError."""
        if self._call is None:
            try:
                await self._open()
            except grpc.RpcError as error:
                self._call = None
                raise from_rpc_error(error) from error

    async def __aiter__(self) -> AsyncIterator[Event]:
        failing_since: float | None = None
        pause = events.FIRST_PAUSE
        while True:
            try:
                if self._call is None:
                    await self._open()
                while True:
                    while self._unread:
                        event = self._unread.popleft()
                        # What was not read yet is sent again, should the call be lost.
                        self._position.after = event.sequence
                        yield event
                    failing_since, pause = None, events.FIRST_PAUSE
                    response = await self._call.read()
                    if response is grpc.aio.EOF:  # type: ignore[attr-defined]
                        return
                    self._unread.extend(self._position.take(response))
            except grpc.RpcError as error:
                self._call = None
                if self._is_closed:
                    return
                failure = from_rpc_error(error)
                failing_since = time.monotonic() if failing_since is None else failing_since
                if not self._may_resume(failure, failing_since):
                    raise failure from error
            await asyncio.sleep(pause)
            pause = min(pause * 2, events.LAST_PAUSE)

    async def _open(self) -> None:
        self._unread.clear()
        self._call = self._stub.Subscribe(self._position.request())
        response = await self._call.read()
        self._position.take(response)

    def _may_resume(self, failure: CrucibleError, failing_since: float) -> bool:
        return isinstance(failure, Unavailable) and time.monotonic() - failing_since < self._resume

    async def close(self) -> None:
        """Ends the call."""
        self._is_closed = True
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncEventCalls:
    """The methods of a client for events."""

    def _add_event_stubs(self, channel: grpc.aio.Channel) -> None:
        self.event_stub = EventServiceStub(channel)
        """The generated stub of EventService."""
        self.registry_stub = RegistryServiceStub(channel)
        """The generated stub of RegistryService."""

    async def emit(
        self, type: str, data: Any = None, *, event_id: str = "", script_id: str = "", execution_id: str = ""
    ) -> Emitted:
        """Stores an event of a type with a dot in it, such as `acme.deployed`; subscribers are told.

        The same `event_id` with the same content is stored once; with another it raises EventExists.
        """
        return (await self.emit_all([NewEvent(type, data, event_id, script_id, execution_id)]))[0]

    async def emit_all(self, new: Iterable[NewEvent]) -> list[Emitted]:
        """Stores up to 100 events, all or none."""
        response = await answer(self.event_stub.Emit, events.emit_request(new))
        return [events.emitted(message) for message in response.events]

    def subscribe(
        self,
        types: Iterable[str] = (),
        *,
        script_id: str = "",
        principal: str = "",
        after: int | None = None,
        resume: float = 60.0,
    ) -> AsyncSubscription:
        """Events as they happen, of these types, about this script, by this principal; all when nothing is given.

        `after` is the sequence number of the last event that was seen: what has happened since comes first; 0 begins
        with the oldest that is kept. It begins with `async with`, or with the iteration.
        `resume` are the seconds for which a server that does not answer is tried again; 0 raises at once.
        """
        return AsyncSubscription(
            self.event_stub, Position(events.event_filter(types, script_id, principal), after), resume
        )

    async def unsubscribe(self, subscription_id: str) -> None:
        """Ends a subscription of the caller, here or in another process: its iteration ends."""
        await answer(self.event_stub.Unsubscribe, event_service_pb2.UnsubscribeRequest(subscription_id=subscription_id))

    def events(
        self,
        types: Iterable[str] = (),
        *,
        script_id: str = "",
        principal: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[Event]:
        """Stored events, newest first; only those that fit all filters given. They are fetched while they are read."""
        wanted = events.event_filter(types, script_id, principal)
        request = events.list_request(wanted, created_after, created_before, page_size)
        return (events.event(row) async for page in pages(self.event_stub.ListEvents, request) for row in page.events)


class AsyncServiceCalls:
    """The methods of a client for the registry."""

    registry_stub: RegistryServiceAsyncStub

    async def register_service(
        self,
        service_id: str,
        service_type: str,
        endpoint: str,
        *,
        version: str = "",
        health_check_url: str = "",
        metadata: Mapping[str, str] | None = None,
        lease: float | None = None,
    ) -> Service:
        """Makes a service known for `lease` seconds (30 by default), which each `heartbeat` extends."""
        request = services.register_request(
            service_id, service_type, endpoint, version, health_check_url, metadata, lease
        )
        return services.service((await answer(self.registry_stub.RegisterService, request)).service)

    async def heartbeat(self, service_id: str) -> datetime:
        """Extends the lease of a service; until when. Raises ServiceNotFound when it has expired: register again."""
        request = registry_service_pb2.HeartbeatRequest(service_id=service_id)
        return services.moment((await answer(self.registry_stub.Heartbeat, request)).lease_expire_time)

    async def unregister_service(self, service_id: str, *, reason: str = "") -> None:
        """Takes a service back."""
        request = registry_service_pb2.UnregisterServiceRequest(service_id=service_id, reason=reason)
        await answer(self.registry_stub.UnregisterService, request)

    def services(
        self,
        service_type: str = "",
        *,
        metadata: Mapping[str, str] | None = None,
        healthy_only: bool = False,
        page_size: int | None = None,
    ) -> AsyncIterator[Service]:
        """Services in the order of their ids, of this type, with all of these facts, that are well if so asked."""
        request = registry_service_pb2.DiscoverServicesRequest(
            filter=services.service_filter(service_type, metadata, healthy_only), page_size=page_size or 0
        )
        found = pages(self.registry_stub.DiscoverServices, request)
        return (services.service(row) async for page in found for row in page.services)

    def watch_services(
        self, service_type: str = "", *, metadata: Mapping[str, str] | None = None, healthy_only: bool = False
    ) -> AsyncServiceWatch:
        """The services that there are, then every change."""
        wanted = services.service_filter(service_type, metadata, healthy_only)
        return AsyncServiceWatch(
            self.registry_stub.WatchServices(registry_service_pb2.WatchServicesRequest(filter=wanted))
        )


class AsyncServiceWatch:
    """Changes of services; an async context manager that ends the call.

    Iterating raises a CrucibleError when the call is lost.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._changes = services.Changes()

    async def __aiter__(self) -> AsyncIterator[ServiceChange]:
        try:
            async for response in self._call:
                change = self._changes.take(response)
                if change is not None:
                    yield change
        except grpc.RpcError as error:
            if not self._call.cancelled():
                raise from_rpc_error(error) from error

    async def close(self) -> None:
        """Ends the call."""
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
