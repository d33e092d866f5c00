"""The life of an execution's record."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from crucible_server.store import ExecutionRecord, Store, StoreError, StoreErrorKind
from tests.store.records import (
    FAILED,
    INTERRUPTED,
    NOW,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    end,
    execution,
    script,
    segment,
    unit,
)


async def test_begun_marked_and_finished(store: Store) -> None:
    assert await store.begin_execution(execution()) is None
    assert await store.get_execution("local", "e1") == execution()
    store.mark_running("local", "e1", NOW + 1)
    await store.finish_execution(end())
    assert await store.get_execution("local", "e1") == execution(
        state=SUCCEEDED,
        start_time=NOW + 1,
        end_time=NOW + 2,
        expire_time=NOW + 3,
        result=b"result",
        last_sequence=7,
        return_value=b"value",
    )
    assert await store.get_output("local", "e1") == segment(6, 7)


async def test_a_running_mark_is_seen_without_an_end(store: Store) -> None:
    await store.begin_execution(execution())
    store.mark_running("local", "e1", NOW + 1)
    async with asyncio.timeout(30):
        while (found := await store.get_execution("local", "e1")) and found.state == QUEUED:
            await asyncio.sleep(0.01)
    assert found == execution(state=RUNNING, start_time=NOW + 1)


async def test_a_mark_after_the_end_changes_nothing(store: Store, url: str) -> None:
    await store.begin_execution(execution())
    await store.finish_execution(end())
    store.mark_running("local", "e1", NOW + 9)
    await store.close()
    again = await Store.open(url)
    found = await again.get_execution("local", "e1")
    await again.close()
    assert found is not None
    assert (found.state, found.start_time) == (SUCCEEDED, NOW + 1)


async def test_a_taken_id_gives_the_one_that_has_it(store: Store) -> None:
    await store.begin_execution(execution())
    assert await store.begin_execution(execution(request_hash=b"other", principal="bert")) == execution()
    await store.finish_execution(end())
    found = await store.begin_execution(execution())
    assert found is not None
    assert (found.state, found.result) == (SUCCEEDED, b"result")


async def test_the_same_id_in_another_tenant_is_another_execution(store: Store) -> None:
    assert await store.begin_execution(execution()) is None
    assert await store.begin_execution(execution(tenant="other")) is None
    await store.finish_execution(end(tenant="other"))
    assert await store.get_execution("local", "e1") == execution()
    assert await store.get_output("local", "e1") is None


async def test_of_many_with_one_id_exactly_one_begins(store: Store) -> None:
    tries = [store.begin_execution(execution(principal=str(number))) for number in range(64)]
    found = await asyncio.gather(*tries)
    assert found.count(None) == 1
    winner = str(found.index(None))
    assert all(other is None or other.principal == winner for other in found)


async def test_only_the_first_end_counts(store: Store) -> None:
    await store.begin_execution(execution())
    await store.finish_execution(end())
    with pytest.raises(StoreError) as caught:
        await store.finish_execution(end(state=FAILED, result=b"late", output=segment(1, 5)))
    assert caught.value.kind is StoreErrorKind.CONFLICT
    found = await store.get_execution("local", "e1")
    assert found is not None
    assert (found.state, found.result) == (SUCCEEDED, b"result")
    assert await store.get_output("local", "e1") == segment(6, 7)


async def test_an_end_without_a_beginning_is_refused(store: Store) -> None:
    with pytest.raises(StoreError, match=r"'e1'.*never begun"):
        await store.finish_execution(end())
    assert await store.get_output("local", "e1") is None


async def test_a_failing_write_leaves_the_others_of_its_group_alone(store: Store) -> None:
    writes = []
    for number in range(50):
        writes.append(store.begin_execution(execution(f"e{number}")))
        writes.append(store.finish_execution(end(f"nobody{number}")))
        writes.append(store.put_script(script(f"s{number}"), unit(script_id="elsewhere"), None))
        # SQLite keeps 64 bits: the driver itself refuses this one.
        writes.append(store.begin_execution(execution(f"wide{number}", create_time=1 << 70)))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert results[0::4] == [None] * 50
    assert all(isinstance(result, StoreError) for result in results[1::4] + results[2::4])
    assert all(isinstance(result, OverflowError) for result in results[3::4])
    for number in range(50):
        assert await store.get_execution("local", f"e{number}") == execution(f"e{number}")
        assert await store.get_script("local", f"s{number}") is None


async def test_at_start_up_the_unfinished_become_interrupted(store: Store, url: str) -> None:
    await asyncio.gather(*(store.begin_execution(execution(f"q{number}")) for number in range(600)))
    await store.begin_execution(execution("r"))
    store.mark_running("local", "r", NOW + 1)
    await store.begin_execution(execution("done"))
    await store.finish_execution(end("done"))
    await store.close()

    again = await Store.open(url)
    try:
        count = await again.interrupt_unfinished(
            NOW + 50, lambda found, out, err: f"{found.execution_id} {out} {err}".encode(), NOW + 60
        )
        assert count == 601
        ended = {"state": INTERRUPTED, "end_time": NOW + 50, "expire_time": NOW + 60}
        assert await again.get_execution("local", "q599") == execution("q599", result=b"q599 0 0", **ended)
        assert await again.get_execution("local", "r") == execution("r", result=b"r 0 0", start_time=NOW + 1, **ended)
        done = await again.get_execution("local", "done")
        assert done is not None
        assert done.state == SUCCEEDED
        assert await again.interrupt_unfinished(NOW + 70, lambda *_: b"") == 0
    finally:
        await again.close()


async def test_an_interruption_that_fails_interrupts_nothing(store: Store) -> None:
    await store.begin_execution(execution("a"))
    await store.begin_execution(execution("b"))
    asked: list[str] = []

    def result(found: ExecutionRecord, _out: int, _err: int) -> bytes:
        asked.append(found.execution_id)
        if len(asked) == 2:
            raise ValueError("no result")
        return b"result"

    with pytest.raises(ValueError, match="no result"):
        await store.interrupt_unfinished(NOW, result)
    assert await store.get_execution("local", "a") == execution("a")
    assert await store.get_execution("local", "b") == execution("b")


async def test_a_cancelled_caller_does_not_take_its_write_back(store: Store) -> None:
    task = asyncio.ensure_future(store.begin_execution(execution()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await store.begin_execution(execution()) == execution()


async def test_64_callers_at_once(store: Store) -> None:
    async def live(number: int) -> None:
        for turn in range(20):
            name = f"{number}-{turn}"
            assert await store.begin_execution(execution(name)) is None
            store.mark_running("local", name, NOW)
            await store.finish_execution(end(name, output=segment(data=name.encode())))
            found = await store.get_execution("local", name)
            assert found is not None
            assert found.state == SUCCEEDED
            assert await store.get_output("local", name) == segment(data=name.encode())

    await asyncio.gather(*(live(number) for number in range(64)))
    assert await store.interrupt_unfinished(NOW, lambda *_: b"") == 0


async def test_all_bytes_and_letters_survive(store: Store) -> None:
    odd = execution("e-\u00fc\u4e2d", request=bytes(range(256)) * 5000, script_name="\u00e4/\U0001f525")
    await store.begin_execution(odd)
    assert await store.get_execution("local", odd.execution_id) == odd
    assert await store.get_execution("local", "e-") is None
    assert replace(odd, request=b"") != odd
