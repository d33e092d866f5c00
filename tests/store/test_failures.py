"""Disks that fill up, files that are taken away, servers that are killed."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Coroutine
from pathlib import Path

import pytest

from crucible_server.store import ExecutionQuery, ScriptQuery, Store, StoreError, StoreErrorKind
from crucible_server.store.sqlite_writer import SqliteWriter
from tests.store.databases import StoreDatabase
from tests.store.records import NOW, SUCCEEDED, end, execution, script, segment, unit

WRITER = """
import asyncio, os, sys
from crucible_server.store import Store
from tests.store.records import end, execution, segment

async def live(store, caller):
    turn = 0
    while True:
        name = f"{caller}-{turn}"
        assert await store.begin_execution(execution(name)) is None
        os.write(1, f"begun {name}\\n".encode())
        store.mark_running("local", name, 1)
        await store.append_output("local", name, segment(1, 5, name.encode()))
        os.write(1, f"wrote {name}\\n".encode())
        await store.finish_execution(end(name, output=segment(6, 7, name.encode())))
        os.write(1, f"ended {name}\\n".encode())
        turn += 1

async def main():
    store = await Store.open(sys.argv[1])
    await asyncio.gather(*(live(store, caller) for caller in range(16)))

asyncio.run(main())
"""


def raw(store: Store) -> sqlite3.Connection:
    """The connection that writes to a file."""
    assert isinstance(store._writer, SqliteWriter)
    return store._writer._connection.raw


async def test_check_passes_and_leaves_one_row(store: Store, database: StoreDatabase) -> None:
    await store.check()
    await store.check()
    assert database.rows("SELECT count(*) FROM probes") == [(1,)]


async def test_a_full_disk_fails_its_group_and_no_later_one(store: Store, path: Path) -> None:
    await store.begin_execution(execution("before"))
    connection = raw(store)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    # SQLite answers a database at its page limit as it answers a full disk.
    connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    writes = [store.begin_execution(execution(f"big{number}", request=b"x" * 100_000)) for number in range(8)]
    for result in await asyncio.gather(*writes, return_exceptions=True):
        assert isinstance(result, StoreError), result
        assert result.kind is StoreErrorKind.FULL
        assert "Free space" in result.message
    assert await store.get_execution("local", "big0") is None
    connection.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    assert await store.begin_execution(execution("big0", request=b"x" * 100_000)) is None
    assert await store.get_execution("local", "before") == execution("before")
    await store.check()


async def test_a_database_locked_by_another_program_is_named_and_survived(
    store: Store, database: StoreDatabase
) -> None:
    with database.locked():
        with pytest.raises(StoreError) as caught:
            await store.check()
        assert caught.value.kind is StoreErrorKind.LOCKED
        assert await store.get_execution("local", "e1") is None
    await store.check()
    assert await store.begin_execution(execution()) is None


async def test_no_operation_waits_for_ever_or_is_done_by_half_when_locked(
    store: Store, database: StoreDatabase
) -> None:
    await store.put_script(script(), unit(), "clean")
    for name in ("ended", "running"):
        await store.begin_execution(execution(name))
    await store.finish_execution(end("ended", expire_time=NOW))

    def calls() -> list[Coroutine[object, object, object]]:
        return [
            store.append_output("local", "running", segment()),
            store.redact_execution("local", "ended", lambda _: b"outcome"),
            store.expire_executions(NOW),
            store.trim_executions(0),
            store.name_script("local", "tidy", "sha256", NOW),
            store.remove_name("local", "clean"),
            store.drop_unit("key", b"mac"),
            store.drop_all_units(),
            store.put_setting("name", b"value"),
            store.delete_script("local", "sha256", "anna"),
            store.finish_execution(end("running", output=segment(8, 9))),
        ]

    with database.locked():
        for result in await asyncio.gather(*calls(), return_exceptions=True):
            assert isinstance(result, StoreError), result
            assert result.kind is StoreErrorKind.LOCKED
        # Readers do not mind.
        assert len(await store.list_executions(ExecutionQuery("local", 10))) == 2
        assert (await store.list_scripts(ScriptQuery("local", 10)))[0].names == ("clean",)
        assert await store.get_unit("key") == unit()
    for call in calls():
        await call
    assert (store.execution_count, store.script_count) == (1, 0)
    assert await store.get_output("local", "running", 7) == segment(8, 9)


async def test_a_store_that_cannot_be_written(store: Store, path: Path) -> None:
    # The database refuses writing as a read-only file does; permissions would not stop root.
    raw(store).execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError) as caught:
        await store.check()
    assert caught.value.kind is StoreErrorKind.READ_ONLY
    raw(store).execute("PRAGMA query_only = OFF")
    await store.check()


async def test_the_log_is_folded_back_while_the_store_is_open(store: Store, path: Path) -> None:
    before = path.stat().st_size
    for start in range(0, 1500, 100):
        await asyncio.gather(*(store.begin_execution(execution(f"e{start + n}")) for n in range(100)))
    async with asyncio.timeout(30):
        while path.stat().st_size <= before:
            await asyncio.sleep(0.01)
    await store.check()


@pytest.mark.parametrize("lines", [1, 300, 3000])
async def test_a_killed_server_has_lost_nothing_it_acknowledged(url: str, tmp_path: Path, lines: int) -> None:
    log = tmp_path / "acknowledged"
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=out, cwd=Path(__file__).parents[2])
    try:
        deadline = time.monotonic() + 60
        while log.read_bytes().count(b"\n") < lines:
            assert server.poll() is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()

    # The last line may have been cut off.
    acknowledged = [line for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    begun = {line.split()[1] for line in acknowledged if line.startswith("begun")}
    ended = {line.split()[1] for line in acknowledged if line.startswith("ended")}
    wrote = {line.split()[1] for line in acknowledged if line.startswith("wrote")}
    assert begun
    store = await Store.open(url)
    try:
        for name in begun:
            found = await store.get_execution("local", name)
            assert found is not None, name
            if found.state == SUCCEEDED:
                assert await store.get_output("local", name, 5) == segment(6, 7, name.encode())
        for name in wrote:
            assert await store.get_output("local", name) == segment(1, 5, name.encode())
        for name in ended:
            found = await store.get_execution("local", name)
            assert found is not None, name
            assert (found.state, found.result) == (SUCCEEDED, b"result")
        # Sixteen callers had at most one execution each on the way.
        assert await store.interrupt_unfinished(NOW, lambda *_: b"lost") <= 16
        assert await store.begin_execution(execution("after")) is None
        await store.finish_execution(end("after"))
    finally:
        await store.close()
