"""What the writer does to events: each takes its connection and one argument, within the group's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from . import event_statements as s
from .announcements import EventsStored
from .database import Connection
from .event_records import EventDraft, EventTakenError, StoredEvent

Drafts: TypeAlias = Sequence[EventDraft] | Callable[[Any], Sequence[EventDraft]]
"""Events that go with an operation, or what makes them from its outcome."""
Told: TypeAlias = tuple[Callable[[Connection, Any], Any], Any, Drafts]
Emission: TypeAlias = tuple[Sequence[EventDraft], Callable[[EventDraft, StoredEvent], bool]]


def append_events(connection: Connection, drafts: Sequence[EventDraft]) -> list[StoredEvent]:
    """Stores events under the next sequence numbers: without a gap, and in the order in which groups commit.

    Of several servers only one is in the midst of a group: it alone gives numbers, as long as that lasts.
    """
    if not drafts:
        return []
    first = _newest(connection) + 1
    stored = [
        StoredEvent(sequence, each.tenant, each.type, each.principal, each.script_id, each.event_id, each.data)
        for sequence, each in enumerate(drafts, first)
    ]
    rows = [
        (sequence, each.tenant, each.type, each.principal, each.script_id, each.time, each.event_id, each.data)
        for sequence, each in enumerate(drafts, first)
    ]
    if len(rows) == 1:
        connection.execute(s.INSERT_EVENT, rows[0])
    else:
        connection.execute_many(s.INSERT_EVENT, rows)
    connection.announce(EventsStored(stored[-1].sequence))
    return stored


def tell(connection: Connection, told: Told) -> tuple[Any, list[StoredEvent]]:
    """Does the operation (operation, argument, _) and stores the events (_, _, drafts) that tell of it."""
    operation, argument, drafts = told
    outcome = operation(connection, argument)
    return outcome, append_events(connection, drafts(outcome) if callable(drafts) else drafts)


def emit(connection: Connection, emission: Emission) -> tuple[list[tuple[int, bool]], list[StoredEvent]]:
    """Stores a tenant's events that have ids; the sequence of each and whether it was there, and the new ones.

    `(_, is_same)` tells whether an event that is there is the one that is to be stored; if not, raises EventTakenError.
    """
    drafts, is_same = emission
    known = _of_ids(connection, drafts)
    new: dict[str | None, EventDraft] = {}
    for draft in drafts:
        assert draft.event_id is not None
        stands = known.get(draft.event_id) or _as_stored(new.setdefault(draft.event_id, draft))
        if new.get(draft.event_id) is not draft and not is_same(draft, stands):
            raise EventTakenError(draft.event_id)
    stored = append_events(connection, list(new.values()))
    sequences = {each.event_id: each.sequence for each in (*known.values(), *stored)}
    return [(sequences[draft.event_id], draft.event_id in known) for draft in drafts], stored


def expire_events(connection: Connection, expiry: tuple[int, int, int, int]) -> tuple[int, int]:
    """Deletes the oldest events while they are older than (before, _, _, _), more than (_, keep, _, _), or until
    (_, _, excess, _) bytes are free, at most (_, _, _, limit); returns their number and bytes.
    """
    before, keep, excess, limit = expiry
    newest = _newest(connection)
    count, last, freed = 0, 0, 0
    for sequence, time, size in connection.execute(s.SELECT_AGES, (limit,)):
        if time >= before and sequence > newest - keep and freed >= excess:
            break
        count, last, freed = count + 1, sequence, freed + size
    if count:
        connection.execute(s.DELETE_UP_TO, (last,))
        # All may be gone now, and no number is given twice.
        connection.execute(s.MOVE_POSITION, (last,))
    return count, freed


def _newest(connection: Connection) -> int:
    """The last sequence number that was given."""
    deleted, _, last = connection.execute(s.SELECT_BOUNDS).fetchone()
    return int(deleted) if last is None else max(int(last), int(deleted))


def _of_ids(connection: Connection, drafts: Sequence[EventDraft]) -> dict[str | None, StoredEvent]:
    """Events of the drafts' tenant that have their ids, by these."""
    if not drafts:
        return {}
    ids = [draft.event_id for draft in drafts]
    # One statement for many numbers of ids: each is planned once.
    width = 1 << (len(ids) - 1).bit_length()
    ids += ids[-1:] * (width - len(ids))
    rows = connection.execute(s.events_of_ids(width), (drafts[0].tenant, *ids))
    return {event.event_id: event for event in (StoredEvent(*row) for row in rows)}


def _as_stored(draft: EventDraft) -> StoredEvent:
    return StoredEvent(0, draft.tenant, draft.type, draft.principal, draft.script_id, draft.event_id, draft.data)
