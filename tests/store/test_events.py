"""Events in the store: with what they tell of or not at all, numbered in the order of commits, without gaps."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from crucible_server.store import (
    EventDraft,
    EventSelection,
    EventTakenError,
    Store,
    StoredEvent,
    StoreError,
    StoreErrorKind,
)
from crucible_server.store import event_statements as s
from crucible_server.store.connection import SqliteConnection
from crucible_server.store.database import Connection
from crucible_server.store.postgresql.connection import PostgresConnection
from crucible_server.store.sql import Statement
from tests.store.databases import StoreDatabase
from tests.store.records import NOW, end, execution, script


def draft(
    type_name: str = "script_compiled", tenant: str = "local", event_id: str | None = None, **fields: object
) -> EventDraft:
    """An event that says little."""
    values = {"principal": "anna", "script_id": "s1", "time": NOW, "data": b"data", **fields}
    return EventDraft(tenant=tenant, type=type_name, event_id=event_id, **values)  # type: ignore[arg-type]


def selection(tenant: str = "local", types: tuple[str, ...] = (), **fields: object) -> EventSelection:
    """What somebody asks for who is no operator."""
    values = {
        "sees_server": False,
        "has_custom": False,
        "hidden": frozenset(),
        "script_id": "",
        "principal": "",
        **fields,
    }
    return EventSelection(tenant=tenant, types=frozenset(types), **values)  # type: ignore[arg-type]


async def kept(store: Store) -> list[tuple[int, str]]:
    """Sequence and type of all events."""
    page = await store.events_after(None, 0, 10_000)
    return [(event.sequence, event.type) for event in page]


def is_same(one: EventDraft, other: StoredEvent) -> bool:
    return one.data == other.data


async def test_an_event_is_stored_with_what_it_tells_of(store: Store) -> None:
    told: list[StoredEvent] = []
    store.on_events = told.extend
    await store.put_script(script(), None, None, [draft("script_compiled"), draft("script_cached")])
    await store.begin_execution(execution(), [draft("execution_started")])
    await store.finish_execution(end(), [draft("script_executed")])
    expected = ["script_compiled", "script_cached", "execution_started", "script_executed"]
    assert await kept(store) == list(enumerate(expected, 1))
    assert [(event.sequence, event.type) for event in told] == list(enumerate(expected, 1))


async def test_what_fails_tells_nothing_and_takes_no_number(store: Store) -> None:
    await store.begin_execution(execution(), [draft("execution_started")])
    with pytest.raises(StoreError) as raised:
        await store.finish_execution(end("absent"), [draft("script_executed")])
    assert raised.value.kind is StoreErrorKind.CONFLICT
    # An id that is taken begins nothing.
    assert await store.begin_execution(execution(), [draft("execution_started")]) is not None
    await store.append_events([draft("script_cached")])
    assert await kept(store) == [(1, "execution_started"), (2, "script_cached")]


async def test_a_start_that_waits_is_told_before_the_end_that_overtakes_it(store: Store) -> None:
    await store.begin_execution(execution())
    store.mark_running("local", "e1", NOW, [draft("execution_started")])
    await store.finish_execution(end(), [draft("script_executed")])
    await store.begin_execution(execution(execution_id="e2"))
    store.mark_running("local", "e2", NOW, [draft("execution_started")])
    while len(events := await kept(store)) < 3:
        await asyncio.sleep(0.01)
    assert events == [(1, "execution_started"), (2, "script_executed"), (3, "execution_started")]


async def test_a_start_is_told_before_an_end_that_is_stored_faster(store: Store) -> None:
    """Ends are committed in the event loop, and starts by a thread that may be behind."""
    for number in range(200):
        name = f"e{number}"
        await store.begin_execution(execution(name))
        store.mark_running("local", name, NOW, [draft("execution_started")])
        store._flush()
        await store.finish_execution(end(name), [draft("script_executed")])
    assert [kind for _, kind in await kept(store)] == ["execution_started", "script_executed"] * 200


@pytest.mark.parametrize("is_posted", [False, True])
async def test_a_start_that_the_store_refuses_is_told_with_the_end(store: Store, path: Path, is_posted: bool) -> None:
    await store.begin_execution(execution())
    connection = store._writer._raw  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    store.mark_running("local", "e1", NOW, [draft("execution_started", data=b"x" * 100_000)])
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    if is_posted:
        store._flush()
    with pytest.raises(StoreError) as raised:
        await store.finish_execution(end(), [draft("script_executed")])
    assert raised.value.kind is StoreErrorKind.FULL
    connection.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    await store.finish_execution(end(), [draft("script_executed")])
    assert await kept(store) == [(1, "execution_started"), (2, "script_executed")]


async def test_numbers_follow_the_commits_of_many_writers(store: Store) -> None:
    """Small writes are committed in the event loop, large ones in the writer's thread; numbers never run back."""
    told: list[int] = []
    store.on_events = lambda events: told.extend(event.sequence for event in events)
    large = b"x" * 100_000
    writes = [
        store.emit([draft("a.b", event_id=f"id-{number}", data=large if number % 3 else b"")], is_same)
        for number in range(300)
    ]
    places = [sequence for ((sequence, _),) in await asyncio.gather(*writes)]
    assert sorted(places) == list(range(1, 301))
    assert sorted(told) == sorted(places)
    page = await store.events_after(None, 0, 10_000)
    assert [event.sequence for event in page] == list(range(1, 301))
    by_id = {event.event_id: event.sequence for event in page}
    assert [by_id[f"id-{number}"] for number in range(300)] == places


async def test_an_id_is_taken_once_in_a_tenant(store: Store) -> None:
    assert await store.emit([draft("a.b", event_id="x")], is_same) == [(1, False)]
    assert await store.emit([draft("a.b", event_id="x"), draft("a.b", event_id="y")], is_same) == [
        (1, True),
        (2, False),
    ]
    assert await store.emit([draft("a.b", "other", "x")], is_same) == [(3, False)]
    with pytest.raises(EventTakenError):
        await store.emit([draft("a.b", event_id="z"), draft("a.b", event_id="x", data=b"else")], is_same)
    same = [draft("a.b", event_id="w"), draft("a.b", event_id="w")]
    assert await store.emit(same, is_same) == [(4, False), (4, False)]
    assert len(await kept(store)) == 4


async def test_a_batch_of_known_new_and_repeated_events_is_looked_up_at_once(
    store: Store, database: StoreDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.emit([draft("a.b", event_id=f"id-{number}") for number in range(0, 100, 2)], is_same)
    await store.emit([draft("a.b", "other", "id-1", data=b"else")], is_same)
    batch = [draft("a.b", event_id=f"id-{number}") for number in [*range(99), 98, 97]]
    asked: list[str] = []
    kind = SqliteConnection if database.kind == "sqlite" else PostgresConnection

    def execute(connection: Connection, statement: Statement, parameters: Sequence[Any] = ()) -> Any:
        asked.append(statement.sql)
        return real(connection, statement, parameters)

    real: Callable[..., Any] = kind.execute
    monkeypatch.setattr(kind, "execute", execute)
    places = await store.emit(batch, is_same)
    monkeypatch.undo()
    assert [text for text in asked if "event_id IN" in text] == [s.events_of_ids(128).sql]
    assert len(asked) < 10
    expected = [(number // 2 + 1, True) if number % 2 == 0 else (number // 2 + 52, False) for number in range(99)]
    assert places == [*expected, expected[98], expected[97]]
    assert await store.emit(batch, is_same) == [(sequence, True) for sequence, _ in places]
    assert len(await kept(store)) == 100
    for changed in (0, 97, 100):
        conflicting = [*batch]
        conflicting[changed] = draft("a.b", event_id=batch[changed].event_id, data=b"else")
        with pytest.raises(EventTakenError) as raised:
            await store.emit([draft("a.b", event_id="new"), *conflicting], is_same)
        assert raised.value.event_id == batch[changed].event_id
    assert len(await kept(store)) == 100


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (selection(), [1, 2, 3, 4]),
        (selection(sees_server=True), [1, 2, 3, 4, 6]),
        (selection("other"), [5]),
        (selection(types=("script_compiled",)), [1]),
        (selection(types=("script_compiled", "a.b")), [1, 3]),
        (selection(has_custom=True), [3, 4]),
        (selection(types=("script_compiled",), has_custom=True), [1, 3, 4]),
        (selection(hidden=frozenset(("security_violation",))), [1, 3, 4]),
        (selection(script_id="s2"), [4]),
        (selection(principal="bert"), [2]),
        (selection(script_id="s2", principal="bert"), []),
    ],
)
async def test_a_selection_reads_what_it_admits(store: Store, wanted: EventSelection, expected: list[int]) -> None:
    told: list[StoredEvent] = []
    store.on_events = told.extend
    await store.append_events([draft(), draft("security_violation", principal="bert")])
    await store.emit([draft("a.b", event_id="x"), draft("a.c", event_id="y", script_id="s2")], is_same)
    await store.append_events([draft(tenant="other"), draft("health_status_changed", tenant="")])
    assert [event.sequence for event in await store.events_after(wanted, 0, 10)] == expected
    assert [event.sequence for event in await store.events_before(wanted, None, 10, None, None)] == expected[::-1]
    assert [event.sequence for event in told if wanted.admits(event)] == expected


async def test_pages_go_on_where_they_ended(store: Store) -> None:
    await store.append_events([draft(time=NOW + number) for number in range(10)])
    page = await store.events_after(selection(), 3, 4)
    assert ([event.sequence for event in page], page.position) == ([4, 5, 6, 7], 7)
    page = await store.events_after(selection(), 7, 4)
    assert ([event.sequence for event in page], page.position) == ([8, 9, 10], 10)
    page = await store.events_before(selection(), 8, 3, None, None)
    assert ([event.sequence for event in page], page.position) == ([7, 6, 5], 5)
    page = await store.events_before(selection(), None, 5, NOW + 2, NOW + 4)
    assert [event.sequence for event in page] == [4, 3]


async def test_the_oldest_go_first_by_age_and_by_number(store: Store) -> None:
    await store.append_events([draft(time=NOW + number) for number in range(10)])
    assert (await store.expire_events(NOW + 3, 100))[0] == 3
    bounds = await store.event_bounds()
    assert (bounds.oldest, bounds.newest) == (4, 10)
    assert (await store.expire_events(0, 2))[0] == 5
    assert (await store.expire_events(0, 2))[0] == 0
    assert [sequence for sequence, _ in await kept(store)] == [9, 10]
    assert (await store.expire_events(NOW + 100, 2))[0] == 2
    bounds = await store.event_bounds()
    assert (bounds.oldest, bounds.newest) == (11, 10)
    await store.append_events([draft()])
    assert [sequence for sequence, _ in await kept(store)] == [11]


async def test_numbers_go_on_after_a_restart(store: Store, url: str) -> None:
    await store.append_events([draft(), draft()])
    await store.expire_events(NOW + 1, 100)
    await store.close()
    again = await Store.open(url)
    try:
        await again.append_events([draft()])
        assert [sequence for sequence, _ in await kept(again)] == [3]
    finally:
        await again.close()


async def test_only_clients_events_cost_an_index(store: Store, path: Path) -> None:
    await store.append_events([draft()])
    connection = sqlite3.connect(path)
    try:
        statement = s.events_of_ids(2)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", ("local", "x", "y")).fetchall()
        assert "events_event_id" in str(plan)
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'events_event_id'").fetchall()
        assert "WHERE event_id IS NOT NULL" in str(rows)
    finally:
        connection.close()


async def test_the_oldest_go_until_enough_is_free(store: Store) -> None:
    await store.append_events([draft(data=b"x" * 100) for _ in range(10)])
    assert await store.event_bytes(0, 10) == 1000
    assert await store.event_bytes(3, 7) == 400
    assert await store.expire_events(0, 100, 250) == (3, 300)
    assert await store.expire_events(0, 100) == (0, 0)
    assert [sequence for sequence, _ in await kept(store)] == list(range(4, 11))
    assert await store.event_bytes(0, 10) == 700


async def test_a_page_holds_no_more_bytes_than_asked_for(store: Store) -> None:
    await store.append_events([draft(data=b"x" * (100 if number % 3 else 2000)) for number in range(60)])
    for newest_first in (False, True):
        place: int | None = None if newest_first else 0
        seen: list[int] = []
        while len(seen) < 60:
            if newest_first:
                page = await store.events_before(selection(), place, 50, None, None, 1000)
            else:
                page = await store.events_after(selection(), place or 0, 50, 1000)
            assert len(page.events) == 1 or sum(len(event.data) for event in page) <= 1000
            assert page.position == page.events[-1].sequence
            place = page.position
            seen += [event.sequence for event in page]
        assert sorted(seen) == list(range(1, 61))
        assert seen == sorted(seen, reverse=newest_first)
