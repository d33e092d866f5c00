"""What is deleted, erased and forgotten, and what is not."""

from __future__ import annotations

import asyncio

import pytest

from crucible_server.store import Change, Store, execution_operations
from tests.store.databases import SqliteFile, StoreDatabase
from tests.store.records import NOW, QUEUED, end, execution, script, segment, unit


async def ended(store: Store, name: str, at: int, expire: int | None, tenant: str = "local") -> None:
    """An execution with output that ended at a time."""
    await store.begin_execution(execution(name, tenant=tenant))
    await store.append_output(tenant, name, segment(1, 5))
    await store.finish_execution(end(name, tenant=tenant, end_time=NOW + at, expire_time=expire))


async def left(store: Store, *names: str) -> list[str]:
    return [name for name in names if await store.get_execution("local", name) is not None]


def rows(database: StoreDatabase, table: str) -> int:
    return int(database.rows(f"SELECT count(*) FROM {table}")[0][0])


async def test_an_ended_execution_is_deleted_with_its_output(store: Store, database: StoreDatabase) -> None:
    await ended(store, "a", 1, None)
    await ended(store, "b", 1, None)
    await store.begin_execution(execution("c"))
    assert store.execution_count == 3
    assert await store.delete_execution("local", "c") is Change.UNFINISHED
    assert await store.delete_execution("local", "nobody") is Change.ABSENT
    assert await store.delete_execution("other", "a") is Change.ABSENT
    assert await store.delete_execution("local", "a") is Change.DONE
    assert await store.delete_execution("local", "a") is Change.ABSENT
    assert await left(store, "a", "b", "c") == ["b", "c"]
    assert await store.get_output("local", "a") is None
    assert await store.get_output("local", "b") is not None
    assert rows(database, "output_segments") == 2
    assert store.execution_count == 2
    # Its id is free again.
    assert await store.begin_execution(execution("a")) is None


async def test_a_redacted_execution_keeps_what_it_was_but_not_what_it_held(
    store: Store, database: StoreDatabase
) -> None:
    secret = b"secret-7c1f" * 3000
    await store.begin_execution(execution("a", request=secret))
    await store.append_output("local", "a", segment(1, 5, secret))
    assert await store.redact_execution("local", "a", bytes) is Change.UNFINISHED
    await store.finish_execution(end("a", result=secret, return_value=secret, output=segment(6, 7, secret)))
    assert await store.redact_execution("local", "nobody", bytes) is Change.ABSENT
    assert await store.redact_execution("local", "a", lambda result: result[:6]) is Change.DONE
    found = await store.get_execution("local", "a")
    assert found is not None
    assert (found.request, found.return_value, found.result, found.redacted) == (b"", None, b"secret", True)
    assert (found.last_sequence, found.end_time, found.request_hash) == (7, NOW + 2, b"\x00hash")
    assert await store.get_output("local", "a") is None
    assert rows(database, "output_segments") == 0
    assert await store.redact_execution("local", "a", lambda result: result[:6]) is Change.DONE
    await store.close()
    if isinstance(database, SqliteFile):
        # Not even in the pages that are free now.
        assert b"secret-7c1f" not in database.path.read_bytes()


async def test_what_is_expired_goes(store: Store) -> None:
    await store.begin_execution(execution("running"))
    for number in range(130):
        await ended(store, f"e{number}", number, NOW + number)
    await ended(store, "for ever", 0, None)
    assert await store.expire_executions(NOW - 1) == 0
    assert await store.expire_executions(NOW + 99, limit=70) == 70
    assert await left(store, "e69", "e70") == ["e70"]
    assert await store.expire_executions(NOW + 99) == 30
    assert await store.expire_executions(NOW + 99) == 0
    assert await left(store, "e99", "e100", "running", "for ever") == ["e100", "running", "for ever"]
    assert store.execution_count == 32


async def test_the_oldest_go_when_there_are_too_many(store: Store, database: StoreDatabase) -> None:
    await store.begin_execution(execution("running", create_time=1))
    for number in range(60):
        await ended(store, f"e{number}", number, NOW + number + 1000 if number % 2 else None)
    assert await store.trim_executions(61) == 0
    assert await store.trim_executions(41) == 20
    assert await left(store, "e19", "e20", "running") == ["e20", "running"]
    assert rows(database, "output_segments") == 80
    assert await store.trim_executions(0, limit=15) == 15
    assert await left(store, "e34", "e35") == ["e35"]
    # Those that run are not among those that can go.
    assert await store.trim_executions(0) == 25
    assert await left(store, "running") == ["running"]
    assert store.execution_count == 1


async def test_a_long_batch_is_cut_short_for_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        await ended(store, f"e{number}", number, NOW)
    monkeypatch.setattr(execution_operations, "_BATCH_SECONDS", 0.0)
    batches = 0
    submit = store._writer.submit

    def counting(operation: object, *arguments: object, **options: object) -> object:
        nonlocal batches
        batches += 1
        return submit(operation, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store._writer, "submit", counting)
    assert await store.expire_executions(NOW + 1) == 30
    assert batches == 31


async def test_unused_scripts_go_with_their_byte_code(store: Store, database: StoreDatabase) -> None:
    for number in range(60):
        name = f"tools/{number}" if number % 3 == 0 else None
        await store.put_script(
            script(f"s{number}", last_used_time=NOW + number), unit(f"u{number}", script_id=f"s{number}"), name
        )
    await store.begin_execution(execution("e", script_id="s1"))
    assert await store.expire_scripts(NOW) == []
    gone = await store.expire_scripts(NOW + 30)
    assert gone == [f"u{number}" for number in range(30) if number % 3]
    assert await store.get_script("local", "s29") is None
    assert await store.get_script("local", "s27") is not None
    assert await store.expire_scripts(NOW + 60, limit=2) == ["u31", "u32"]
    assert store.script_count == 38
    assert await store.trim_scripts(40) == []
    assert await store.trim_scripts(36) == ["u34", "u35"]
    assert len(await store.trim_scripts(0)) == 16
    assert store.script_count == 20
    assert await store.trim_scripts(0) == []
    for table in ("scripts", "script_names", "script_references", "script_stats", "units"):
        assert rows(database, table) == 20, table
    found = await store.get_execution("local", "e")
    assert found is not None
    assert found.state == QUEUED


async def test_scripts_without_byte_code_are_no_end(store: Store) -> None:
    for number in range(50):
        await store.put_script(script(f"s{number}", last_used_time=NOW + number), None, None)
    await store.put_script(script("last", last_used_time=NOW + 50), unit(script_id="last"), None)
    await store.put_script(script("new", last_used_time=NOW + 99), None, None)
    assert await store.trim_scripts(47, limit=2) == []
    assert store.script_count == 47
    assert await store.expire_scripts(NOW + 60, limit=7) == ["key"]
    assert store.script_count == 1


async def test_a_script_that_is_used_again_meanwhile_stays(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("named", "used", "unused"):
        await store.put_script(script(name), unit(name, script_id=name), None)
    run = store._readers.run

    async def and_then(query: object) -> object:
        found: object = await run(query)  # type: ignore[arg-type]
        await store.name_script("local", "clean", "named", NOW)
        store.touch_scripts([("local", "used", NOW + 1)])
        return found

    monkeypatch.setattr(store._readers, "run", and_then)
    assert await store.expire_scripts(NOW + 1) == ["unused"]
    assert store.script_count == 2


async def test_counts_survive_whoever_stops_waiting(store: Store, url: str) -> None:
    tasks = [asyncio.create_task(store.begin_execution(execution(f"e{number}"))) for number in range(20)]
    tasks.append(asyncio.create_task(store.put_script(script(), None, None)))
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.begin_execution(execution("e1"))
    await store.put_script(script(), None, None)
    assert (store.execution_count, store.script_count) == (20, 1)
    await store.close()
    again = await Store.open(url)
    try:
        assert (again.execution_count, again.script_count) == (20, 1)
    finally:
        await again.close()


async def test_a_store_that_takes_long_to_count_is_open_meanwhile(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    from crucible_server.store import base

    for number in range(10):
        await ended(store, f"e{number}", number, None)
    await store.close()
    go_on = threading.Event()
    count = base._count

    def slowly(*arguments: object) -> tuple[int, int]:
        assert go_on.wait(60)
        return count(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(base, "_count", slowly)
    again = await Store.open(url)
    try:
        await again.begin_execution(execution("new"))
        assert await again.delete_execution("local", "e0") is Change.DONE
        trimming = asyncio.create_task(again.trim_executions(3))
        await asyncio.sleep(0.05)
        assert not trimming.done()
        go_on.set()
        assert await trimming == 7
        assert again.execution_count == 3
    finally:
        go_on.set()
        await again.close()


async def test_a_store_is_closed_while_it_is_counted(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from crucible_server.store import base

    await store.close()
    monkeypatch.setattr(base, "_COUNT_SECONDS", 0.0)
    for _ in range(10):
        again = await Store.open(url)
        await again.close()
