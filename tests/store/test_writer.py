"""The writer: small operations in the event loop, which must not stand still for the database."""

from __future__ import annotations

import asyncio
import time

from crucible_server.store import Store
from tests.store.databases import StoreDatabase
from tests.store.records import execution


async def test_the_event_loop_goes_on_while_another_program_holds_the_database(
    store: Store, database: StoreDatabase
) -> None:
    with database.locked():
        waiting = [asyncio.create_task(store.begin_execution(execution(f"held-{n}"))) for n in range(3)]
        turns, longest, until = 0, 0.0, time.monotonic() + 0.6
        while (now := time.monotonic()) < until:
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - now)
            turns += 1
        assert not any(task.done() for task in waiting)
        # A few hundredths of a second are spent on trying; the rest is waited for in the thread.
        assert longest < 0.4
        assert turns > 20
    assert list(await asyncio.gather(*waiting)) == [None, None, None]
    for n in range(3):
        assert await store.get_execution("local", f"held-{n}") is not None


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
