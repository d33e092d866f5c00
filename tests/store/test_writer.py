"""The writer: small operations in the event loop, which must not stand still for the database."""

from __future__ import annotations

import asyncio
import time

import pytest

from crucible_server.store import Store, sqlite_writer
from tests.store.databases import StoreDatabase
from tests.store.records import execution


async def test_the_event_loop_goes_on_while_another_program_holds_the_database(
    store: Store, database: StoreDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waits is not told that the database is locked, however slow this machine is.
    monkeypatch.setattr(sqlite_writer, "BUSY_SECONDS", 10.0)
    held: list[float] = []
    # The machine may stand still itself, but not each time.
    while len(held) < 5 and min(held, default=1.0) >= 0.4:
        if held:
            # For a second after such a wait everything goes to the thread.
            await asyncio.sleep(1.1)
        with database.locked():
            names = [f"held-{len(held)}-{n}" for n in range(3)]
            waiting = [asyncio.create_task(store.begin_execution(execution(name))) for name in names]
            longest = 0.0
            for _ in range(100):
                now = time.monotonic()
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - now)
            assert not any(task.done() for task in waiting)
            held.append(longest)
        assert list(await asyncio.gather(*waiting)) == [None, None, None]
        for name in names:
            assert await store.get_execution("local", name) is not None
    # A few hundredths of a second are spent on trying; the rest is waited for in the thread.
    assert min(held) < 0.4


async def test_operations_of_one_turn_fail_alone(store: Store) -> None:
    results = await asyncio.gather(
        *(store.begin_execution(execution(name)) for name in ("a", "b", "a", "c")), return_exceptions=True
    )
    assert [result is None for result in results] == [True, True, False, True]


async def test_large_and_small_operations_keep_their_order(store: Store) -> None:
    """A small one goes past the queue of the thread; what depends on another waits for it by itself."""
    large = store.begin_execution(execution("large", request=b"x" * 200_000))
    small = store.begin_execution(execution("small"))
    assert list(await asyncio.gather(large, small)) == [None, None]
    record = await store.get_execution("local", "large")
    assert record is not None
    assert len(record.request) == 200_000
