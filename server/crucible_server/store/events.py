"""The store of events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from . import event_operations as operations
from . import event_statements as s
from .base import OpenDatabase
from .database import Connection
from .event_records import EventBounds, EventDraft, EventPage, EventSelection, StoredEvent

# How many events one query goes through at most: a rare type in a long history must not hold up a reader.
_SCAN = 50_000
# What an operation may write to count as small.
_SMALL_BYTES = 16 * 1024
# What one transaction deletes at most: others wait for it.
_BATCH = 200
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1
# How many rows of a page are read before it is known how large such events are.
_SOME = 16


class EventStore(OpenDatabase):
    """Events by their sequence. Those of a group are told to `on_events` once it is committed."""

    async def append_events(self, drafts: Sequence[EventDraft]) -> list[StoredEvent]:
        """Stores events that belong to nothing else that is written."""
        return await self._writer.submit(
            operations.append_events, tuple(drafts), compound=True, small=True, committed=self._tell
        )

    async def emit(
        self, drafts: Sequence[EventDraft], is_same: Callable[[EventDraft, StoredEvent], bool]
    ) -> list[tuple[int, bool]]:
        """Stores events of one tenant that have ids, all or none; the sequence of each, and whether it was there.

        `is_same` tells whether a stored event with the id is the same one; it is called in the writer's thread. Raises
        EventTakenError when it is not.
        """
        places, _ = await self._writer.submit(
            operations.emit,
            (tuple(drafts), is_same),
            compound=True,
            small=sum(len(draft.data) for draft in drafts) < _SMALL_BYTES,
            committed=lambda both: self._tell(both[1]),
        )
        return places

    async def event_bounds(self) -> EventBounds:
        """What is kept."""
        return await self._readers.run(_bounds)

    async def events_after(
        self, selection: EventSelection | None, after: int, limit: int, max_bytes: int = _LAST
    ) -> EventPage:
        """Up to `limit` events after a sequence number, oldest first; of all tenants without a selection.

        Their data are `max_bytes` at most, unless the first alone has more.
        """

        def query(connection: Connection) -> EventPage:
            with connection.snapshot():
                bounds = _bounds(connection)
                up_to = min(after + _SCAN, bounds.newest)
                events, is_full = _page(connection, selection, after, up_to, limit, max_bytes, newest_first=False)
                return EventPage(events, events[-1].sequence if is_full else max(up_to, after), bounds)

        return await self._readers.run(query)

    async def events_before(
        self,
        selection: EventSelection,
        before: int | None,
        limit: int,
        since: int | None,
        until: int | None,
        max_bytes: int = _LAST,
    ) -> EventPage:
        """Up to `limit` events before a sequence number, newest first, that happened from `since` to before `until`.

        Their data are `max_bytes` at most, unless the first alone has more.
        """
        times = (_FIRST if since is None else since, _LAST if until is None else until)
        is_timed = since is not None or until is not None

        def query(connection: Connection) -> EventPage:
            with connection.snapshot():
                bounds = _bounds(connection)
                up_to = bounds.newest if before is None else min(before - 1, bounds.newest)
                after = max(up_to - _SCAN, bounds.oldest - 1)
                between = times if is_timed else None
                events, is_full = _page(
                    connection, selection, after, up_to, limit, max_bytes, newest_first=True, between=between
                )
                return EventPage(events, events[-1].sequence if is_full else after + 1, bounds)

        return await self._readers.run(query)

    async def event_bytes(self, after: int, up_to: int) -> int:
        """What events after a sequence number up to another hold together."""
        row = await self._readers.first(s.SUM_SIZES, (after, up_to))
        return 0 if row is None else int(row[0])

    async def expire_events(self, before: int, keep: int, excess: int = 0) -> tuple[int, int]:
        """Deletes a batch of the oldest events, while they are older than `before` or more than `keep`, or until
        `excess` bytes are free; how many, and their bytes.
        """
        return await self._writer.submit(operations.expire_events, (before, keep, excess, _BATCH), compound=True)


def _bounds(connection: Connection) -> EventBounds:
    deleted, oldest, last = connection.execute(s.SELECT_BOUNDS).fetchone()
    return EventBounds(deleted + 1, deleted) if oldest is None else EventBounds(oldest, last)


def _page(
    connection: Connection,
    selection: EventSelection | None,
    after: int,
    up_to: int,
    limit: int,
    max_bytes: int,
    *,
    newest_first: bool,
    between: tuple[int, int] | None = None,
) -> tuple[list[StoredEvent], bool]:
    """Events of a selection, and whether there may be more. No more are read than about fit into the bytes."""
    found: list[StoredEvent] = []
    size, count = 0, min(limit, _SOME)
    while True:
        rows = _select(connection, selection, after, up_to, count, newest_first=newest_first, between=between)
        for event in rows:
            size += len(event.data)
            if found and size > max_bytes:
                return found, True
            found.append(event)
        if len(found) == limit:
            return found, True
        if len(rows) < count:
            return found, False
        if newest_first:
            up_to = found[-1].sequence - 1
        else:
            after = found[-1].sequence
        room = (max_bytes - size) * len(found) // max(size, 1)
        count = max(min(limit - len(found), room), 1)


def _select(
    connection: Connection,
    selection: EventSelection | None,
    after: int,
    up_to: int,
    limit: int,
    *,
    newest_first: bool,
    between: tuple[int, int] | None = None,
) -> list[StoredEvent]:
    if selection is None:
        rows = connection.execute(s.SELECT_ALL, (after, up_to, limit))
        return [StoredEvent(*row) for row in rows]
    statement = s.page_of_events(
        types=len(selection.types),
        has_custom=selection.has_custom,
        hidden=len(selection.hidden),
        of_script=bool(selection.script_id),
        of_principal=bool(selection.principal),
        is_timed=between is not None,
        newest_first=newest_first,
    )
    values: list[Any] = [after, up_to, selection.tenant, "" if selection.sees_server else selection.tenant]
    values += selection.types
    values += selection.hidden
    values += [value for value in (selection.script_id, selection.principal) if value]
    values += between or ()
    return [StoredEvent(*row) for row in connection.execute(statement, (*values, limit))]
