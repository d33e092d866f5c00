"""Opening: what is refused, and how the refusal helps."""

from __future__ import annotations

import asyncio
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from crucible_server.store import Store, StoreError, StoreErrorKind
from crucible_server.store.sqlite_writer import SqliteWriter
from tests.store.databases import StoreDatabase
from tests.store.records import NOW, end, execution


async def refusal(url: str, **options: object) -> StoreError:
    with pytest.raises(StoreError) as caught:
        await Store.open(url, **options)  # type: ignore[arg-type]
    return caught.value


async def open_and_write(url: str) -> None:
    store = await Store.open(url)
    try:
        await store.begin_execution(execution("new"))
    finally:
        await store.close()


async def test_a_closed_store_says_so_and_closes_twice(store: Store) -> None:
    await store.begin_execution(execution())
    await store.close()
    await store.close()
    for call in (store.begin_execution(execution()), store.get_execution("local", "e1"), store.check()):
        with pytest.raises(StoreError) as caught:
            await call
        assert caught.value.kind is StoreErrorKind.CLOSED


async def test_closing_writes_what_is_queued(store: Store, url: str) -> None:
    waiting = [asyncio.ensure_future(store.begin_execution(execution(f"e{number}"))) for number in range(500)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*waiting) == [None] * 500
    again = await Store.open(url)
    assert await again.interrupt_unfinished(NOW, lambda *_: b"") == 500
    await again.close()


async def test_a_new_store_is_for_its_owner_only(store: Store, path: Path) -> None:
    await store.check()
    for file in (path, *path.parent.iterdir()):
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_full_synchronous_is_in_force(path: Path, url: str) -> None:
    store = await Store.open(url, synchronous="FULL")
    assert isinstance(store._writer, SqliteWriter)
    mode = store._writer._connection.raw.execute("PRAGMA synchronous").fetchone()
    await store.close()
    assert mode == (2,)


async def test_a_second_server_is_refused_with_the_pid_of_the_first(path: Path, url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from crucible_server.store import Store\n"
        "async def main():\n"
        "    store = await Store.open(sys.argv[1])\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    first = subprocess.Popen([sys.executable, "-c", program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == b"open\n"
        error = await refusal(url)
        assert error.kind is StoreErrorKind.LOCKED
        assert f"process {first.pid}." in error.message
    finally:
        first.communicate(timeout=60)
    again = await Store.open(url)
    await again.close()


async def test_a_second_opener_in_the_same_process_is_refused_too(store: Store, path: Path, url: str) -> None:
    assert (await refusal(url)).kind is StoreErrorKind.LOCKED
    await store.check()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://localhost/crucible", "SQLite or PostgreSQL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        (":memory:", "names no file"),
        ("", "should look like sqlite:"),
        ("postgresql:crucible", "should look like sqlite:"),
        ("postgresql://anna:s3cret@localhost/crucible", "holds a password"),
        ("postgresql://localhost/crucible?password=s3cret", "holds a password"),
        ("postgresql://anna:s3cret@localhost:port/crucible?nonsense=1", "no URL that PostgreSQL"),
    ],
)
async def test_addresses_that_cannot_be(url: str, words: str) -> None:
    error = await refusal(url)
    assert error.kind is StoreErrorKind.CONFIGURATION
    assert words in error.message
    assert "s3cret" not in error.message


async def test_a_path_is_an_address_too(tmp_path: Path) -> None:
    store = await Store.open(str(tmp_path / "by-path.db"))
    await store.put_setting("name", b"value")
    await store.close()
    again = await Store.open(f"sqlite:///{tmp_path}/by-path.db")
    assert await again.get_setting("name") == b"value"
    await again.close()


async def test_a_synchronous_mode_that_does_not_exist(url: str) -> None:
    error = await refusal(url, synchronous="OFF")
    assert error.kind is StoreErrorKind.CONFIGURATION


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    error = await refusal(f"sqlite:///{tmp_path}/file/crucible.db")
    assert error.kind is StoreErrorKind.READ_ONLY
    assert "store_url" in error.message


async def test_a_file_that_is_no_database(path: Path, url: str) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, but it is long enough to be asked" * 100)
    before = path.read_bytes()
    error = await refusal(url)
    assert error.kind is StoreErrorKind.CORRUPT
    assert path.read_bytes() == before


@pytest.mark.empty_database
async def test_a_database_of_somebody_else(database: StoreDatabase, url: str) -> None:
    database.change("CREATE TABLE customers (name text)")
    error = await refusal(url)
    assert error.kind is StoreErrorKind.CORRUPT
    assert "customers" in error.message


async def test_a_damaged_file(store: Store, path: Path, url: str) -> None:
    for number in range(200):
        await store.begin_execution(execution(f"e{number}", request=b"x" * 2000))
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        # The first page stays, so that it opens; the rest is noise.
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with pytest.raises(StoreError) as caught:
        await open_and_write(url)
    assert caught.value.kind is StoreErrorKind.CORRUPT
    assert "backup" in caught.value.message


async def test_the_lock_is_given_back_after_a_refusal(path: Path, url: str) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database" * 1000)
    await refusal(url)
    path.unlink()
    store = await Store.open(url)
    await store.begin_execution(execution())
    await store.finish_execution(end())
    await store.close()
