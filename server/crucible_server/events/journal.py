"""Where the server tells what happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

import structlog
from google.protobuf.message import Message

from crucible.v1 import event_pb2
from crucible_server.events.kinds import type_of
from crucible_server.store import EventDraft, Store, StoreError
from crucible_server.telemetry.place import trace_id

log = structlog.get_logger()


class EventSink(Protocol):
    """Takes what is to be told."""

    def draft(
        self, kind: Message, *, tenant: str = "", principal: str = "", script_id: str = "", execution_id: str = ""
    ) -> EventDraft:
        """An event that is still to be stored, in the write group of what it tells of."""

    async def tell(self, drafts: Sequence[EventDraft]) -> None:
        """Stores events that belong to nothing else that is written. What the store refuses is logged."""

    def post(self, *drafts: EventDraft) -> None:
        """The same, soon, without waiting for it."""


class Journal:
    """The events of this run of the server. `source` names it in them."""

    def __init__(self, store: Store, source: str) -> None:
        self._store = store
        self._source = source
        self._posted: set[asyncio.Task[None]] = set()

    def draft(
        self, kind: Message, *, tenant: str = "", principal: str = "", script_id: str = "", execution_id: str = ""
    ) -> EventDraft:
        """An event of a kind such as `ScriptCompiled`, now; without a tenant it concerns the server as a whole.

        The ids are taken from the kind where it has them.
        """
        now = time.time_ns()
        type_name = type_of(kind)
        script_id = script_id or getattr(kind, "script_id", "")
        event = event_pb2.Event(
            type=type_name,
            source=self._source,
            trace_id=trace_id(),
            principal=principal,
            script_id=script_id,
            execution_id=execution_id or getattr(kind, "execution_id", ""),
            **{type_name: kind},  # type: ignore[arg-type]
        )
        event.time.seconds, event.time.nanos = divmod(now, 1_000_000_000)
        return EventDraft(tenant, type_name, principal, script_id, now, None, event.SerializeToString())

    async def tell(self, drafts: Sequence[EventDraft]) -> None:
        """Stores events that belong to nothing else that is written. What the store refuses is logged."""
        try:
            await self._store.append_events(drafts)
        except StoreError as error:
            log.error("events_not_stored", types=[draft.type for draft in drafts], reason=error.message)

    def post(self, *drafts: EventDraft) -> None:
        """The same, soon, without waiting for it."""
        task = asyncio.get_running_loop().create_task(self.tell(drafts))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def settle(self) -> None:
        """Waits until what was posted is stored."""
        while self._posted:
            await asyncio.wait(self._posted)
