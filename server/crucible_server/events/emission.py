"""Events that clients emit: of their own types only, under their own names."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence

from google.protobuf.message import DecodeError

from crucible.v1 import event_pb2
from crucible.v1 import event_service_pb2 as pb
from crucible_server.config import EventsConfig
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.events.kinds import TYPES, is_custom
from crucible_server.events.rates import EmitLimit
from crucible_server.policy.principals import Caller
from crucible_server.store import EventDraft, EventTakenError, Store, StoredEvent
from crucible_server.telemetry.place import trace_id

_MAX_EVENTS = 100
_EVENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
# The ids of the server's own events.
_OWN_ID = re.compile(r"evt-[0-9]+")
_MAX_ID = 256


class Emission:
    """Checks and stores what clients emit."""

    def __init__(self, store: Store, config: EventsConfig) -> None:
        self._store = store
        self._max_bytes = int(config.max_event_bytes)
        self._limit = EmitLimit(config.max_emitted_per_minute)

    async def emit(self, caller: Caller, events: Sequence[pb.NewEvent]) -> list[pb.EmittedEvent]:
        """Stores events, all or none.

        Raises StoreError, and ServiceError: VALIDATION_ERROR, RESOURCE_EXCEEDED, EVENT_EXISTS.
        """
        if not 0 < len(events) <= _MAX_EVENTS:
            raise invalid("events", f"expected 1 to {_MAX_EVENTS} events, got {len(events)}")
        for index, event in enumerate(events):
            self._check(f"events[{index}]", event)
        self._limit.take(caller.tenant, caller.principal, len(events))
        now = time.time_ns()
        drafts = [_draft(caller, event, now) for event in events]
        try:
            places = await self._store.emit(drafts, _is_same)
        except EventTakenError as error:
            raise ServiceError(
                ErrorKind.ERROR_KIND_EVENT_EXISTS,
                f"the event id {error.event_id!r} is taken by another event, and none of these was stored; choose "
                "another id, or leave it empty for a new one",
            ) from None
        return [
            pb.EmittedEvent(event_id=draft.event_id or "", sequence=sequence, existed=existed)
            for draft, (sequence, existed) in zip(drafts, places, strict=True)
        ]

    def _check(self, path: str, event: pb.NewEvent) -> None:
        if event.type in TYPES:
            raise invalid(f"{path}.type", f"{event.type!r} is the server's to emit; clients' types hold a dot")
        if not is_custom(event.type):
            raise invalid(
                f"{path}.type",
                "expected 3 to 128 lower-case letters, digits, `_` and `-` in parts that dots divide, such as "
                f"'acme.deployed', got {event.type[:80]!r}",
            )
        if event.event_id and (not _EVENT_ID.fullmatch(event.event_id) or _OWN_ID.fullmatch(event.event_id)):
            raise invalid(
                f"{path}.event_id",
                "expected 1 to 128 letters, digits, `_`, `-`, `.`, `:`, not `evt-` and a number; or leave it empty",
            )
        for field in ("script_id", "execution_id"):
            if len(getattr(event, field)) > _MAX_ID or "\0" in getattr(event, field):
                raise invalid(f"{path}.{field}", f"expected at most {_MAX_ID} characters, none of them NUL")
        if event.data.ByteSize() > self._max_bytes:
            raise invalid(
                f"{path}.data", f"expected at most {self._max_bytes} bytes when encoded, got {event.data.ByteSize()}"
            )


def _draft(caller: Caller, event: pb.NewEvent, now: int) -> EventDraft:
    message = event_pb2.Event(
        type=event.type,
        source=f"client/{caller.principal}",
        trace_id=trace_id(),
        principal=caller.principal,
        script_id=event.script_id,
        execution_id=event.execution_id,
    )
    message.time.FromNanoseconds(now)
    message.custom.SetInParent()
    if event.HasField("data"):
        message.custom.data.CopyFrom(event.data)
    event_id = event.event_id or f"cev-{secrets.token_hex(16)}"
    return EventDraft(
        tenant=caller.tenant,
        type=event.type,
        principal=caller.principal,
        script_id=event.script_id,
        time=now,
        event_id=event_id,
        data=message.SerializeToString(deterministic=True),
    )


def _is_same(draft: EventDraft, stored: StoredEvent) -> bool:
    """Whether an event that is stored is what is to be stored again."""
    return (draft.type, draft.principal, draft.script_id) == (
        stored.type,
        stored.principal,
        stored.script_id,
    ) and _content(draft.data) == _content(stored.data)


def _content(data: bytes) -> tuple[str, bytes] | None:
    try:
        event = event_pb2.Event.FromString(data)
    except DecodeError:
        return None
    return event.execution_id, event.custom.SerializeToString(deterministic=True)
