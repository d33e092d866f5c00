"""Events as both clients give them, and the requests for them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.message import Message

from crucible.requests import timestamp
from crucible.v1 import event_pb2
from crucible.v1 import event_service_pb2 as api
from crucible.values import from_value, to_value

FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0
"""Seconds between the tries to subscribe again."""


@dataclass(frozen=True)
class Event:
    """Something that happened. Times are in UTC, to the microsecond."""

    sequence: int
    """Its place among all events of the service: what `subscribe(after=...)` resumes from."""
    event_id: str
    time: datetime
    type: str
    """Such as `script_compiled`, or what a client gave, such as `acme.deployed`."""
    source: str
    trace_id: str
    principal: str
    script_id: str
    execution_id: str
    data: Any
    """What a client's event carries, as native values; None for the others."""
    detail: Message
    """The message of its kind, such as `crucible.v1.ScriptCompiled`."""
    message: event_pb2.Event


@dataclass(frozen=True)
class NewEvent:
    """An event to be emitted. Its type holds a dot, such as `acme.deployed`."""

    type: str
    data: Any = None
    event_id: str = ""
    """The idempotency key; one is generated when it is empty."""
    script_id: str = ""
    execution_id: str = ""


@dataclass(frozen=True)
class Emitted:
    """An event that is stored."""

    event_id: str
    sequence: int
    existed: bool
    """An event of this id was there before, the same one."""


def emit_request(events: Iterable[NewEvent]) -> api.EmitRequest:
    """With an id for each, so that retries do not store twice; raises ValueError and TypeError like `to_value`."""
    request = api.EmitRequest()
    for event in events:
        request.events.add(
            type=event.type,
            data=None if event.data is None else to_value(event.data, "data"),
            event_id=event.event_id or uuid.uuid4().hex,
            script_id=event.script_id,
            execution_id=event.execution_id,
        )
    return request


def event_filter(types: Iterable[str], script_id: str, principal: str) -> event_pb2.EventFilter:
    """An EventFilter; a single type may be given as it is."""
    return event_pb2.EventFilter(
        types=[types] if isinstance(types, str) else types, script_id=script_id, principal=principal
    )


def list_request(
    wanted: event_pb2.EventFilter,
    created_after: datetime | None,
    created_before: datetime | None,
    page_size: int | None,
) -> api.ListEventsRequest:
    """The request for the first page; raises ValueError for a time without time zone."""
    return api.ListEventsRequest(
        filter=wanted,
        created_after=timestamp("created_after", created_after),
        created_before=timestamp("created_before", created_before),
        page_size=page_size or 0,
    )


def event(message: event_pb2.Event) -> Event:
    """Reads an event. One of a kind that this client does not know has itself for its detail."""
    kind = message.WhichOneof("kind")
    data = None
    if kind == "custom" and message.custom.HasField("data"):
        data = from_value(message.custom.data)
    return Event(
        sequence=message.sequence,
        event_id=message.event_id,
        time=message.time.ToDatetime(UTC),
        type=message.type,
        source=message.source,
        trace_id=message.trace_id,
        principal=message.principal,
        script_id=message.script_id,
        execution_id=message.execution_id,
        data=data,
        detail=message if kind is None else getattr(message, kind),
        message=message,
    )


def emitted(message: api.EmittedEvent) -> Emitted:
    """Reads where an event was stored."""
    return Emitted(message.event_id, message.sequence, message.existed)


class Position:
    """How far a subscription has come, over all its calls."""

    def __init__(self, wanted: event_pb2.EventFilter, after: int | None) -> None:
        self._filter = wanted
        self.after = after
        """The last sequence number that was seen; None before the first call."""
        self.subscription_id = ""
        self.lagged = 0
        """How often the server said that this subscriber is slow."""

    def request(self) -> api.SubscribeRequest:
        """Asks for what is new."""
        return api.SubscribeRequest(filter=self._filter, after_sequence=self.after)

    def take(self, response: api.SubscribeResponse) -> list[Event]:
        """Notes how far a response goes; its events."""
        match response.WhichOneof("message"):
            case "started":
                self.subscription_id = response.started.subscription_id
                # Before anything has happened, too, a lost call must not lose what happens meanwhile.
                self.after = response.started.after_sequence
            case "batch":
                return [event(message) for message in response.batch.events]
            case "bookmark":
                self.after = response.bookmark.sequence
            case "lagged":
                self.lagged += 1
        return []
