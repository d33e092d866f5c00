"""Checks, backups and restored stores, beside a server that writes."""

from __future__ import annotations

import asyncio
import io
import re
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from google.protobuf.proto import serialize_length_prefixed

from crucible.v1 import (
    config_pb2,
    event_pb2,
    execution_pb2,
    registry_pb2,
    script_pb2,
    server_info_pb2,
    value_pb2,
)
from crucible_server.store import (
    EventDraft,
    ExecutionRecord,
    OutputSegment,
    ScriptRecord,
    ServiceRecord,
    Store,
    StoreError,
    StoreErrorKind,
)
from crucible_server.store.configurations import ConfigRevisionRecord
from crucible_server.store.maintenance import backup_store, check_store, restore_store
from crucible_server.store.schema import REVISIONS
from tests.postgresql import PostgresServer, database_of
from tests.store.databases import SqliteFile, StoreDatabase
from tests.store.records import NOW, SUCCEEDED, end, execution, script, unit

WRITER = """
import asyncio, os, sys
from crucible_server.store import Store, sqlite_writer
from tests.store.test_maintenance import finish, readable

async def live(store, caller):
    turn = 0
    while True:
        record = readable(f"{caller}-{turn}")
        assert await store.begin_execution(record) is None
        os.write(1, f"begun {record.execution_id}\\n".encode())
        await finish(store, record.execution_id)
        turn += 1

# Tests hold the file for a moment, which may last on a slow machine.
sqlite_writer.BUSY_SECONDS = 60.0

async def main():
    store = await Store.open(sys.argv[1])
    await asyncio.gather(*(live(store, caller) for caller in range(8)))

asyncio.run(main())
"""


def readable(name: str) -> ExecutionRecord:
    """An execution whose parts can be read as what they are."""
    return execution(name, request=b"", limits=b"")


def chunks(*texts: str, first: int = 1) -> OutputSegment:
    """A segment of standard output."""
    stream = io.BytesIO()
    for sequence, text in enumerate(texts, first):
        serialize_length_prefixed(execution_pb2.ExecutionChunk(sequence=sequence, stdout=text), stream)
    return OutputSegment(first, first + len(texts) - 1, sum(map(len, texts)), 0, stream.getvalue())


async def finish(store: Store, name: str, output: OutputSegment | None = None) -> None:
    result = execution_pb2.ExecutionResult(execution_id=name, success=True).SerializeToString()
    value = value_pb2.Value(string_value="x" * 500).SerializeToString()
    await store.finish_execution(end(name, result=result, return_value=value, output=output))


def source_of(number: int) -> bytes:
    return script_pb2.ScriptSource(source=f"pub fn main() {{ {number} }}").SerializeToString()


def id_of(source: bytes) -> str:
    return "id of " + script_pb2.ScriptSource.FromString(source).source


def readable_script(number: int) -> ScriptRecord:
    return script(id_of(source_of(number)), source=source_of(number), functions=b"")


def event(number: int, event_id: str | None = None) -> EventDraft:
    message = event_pb2.Event(type="a.b", principal="anna", script_id=f"s{number}")
    message.time.FromNanoseconds(NOW + number)
    return EventDraft("local", "a.b", "anna", f"s{number}", NOW + number, event_id, message.SerializeToString())


def service(name: str, tenant: str = "local") -> ServiceRecord:
    info = registry_pb2.ServiceInfo(service_id=name, service_type="db", health_check_url="http://db/health")
    check = registry_pb2.HealthCheckConfig(success_threshold=1)
    return ServiceRecord(
        tenant=tenant,
        service_id=name,
        service_type="db",
        principal="anna",
        register_time=NOW,
        expire_time=NOW + 1,
        lease_ns=1,
        status=server_info_pb2.SERVICE_STATUS_HEALTHY,
        status_message="",
        info=info.SerializeToString(),
        health_check=check.SerializeToString(),
    )


def revision(version: int) -> ConfigRevisionRecord:
    changes = config_pb2.ConfigRevision(changes=[config_pb2.ConfigKeyChange(key="log_level")]).SerializeToString()
    return ConfigRevisionRecord(version, NOW, "anna", "", None, changes, b'{"log_level": "debug"}')


async def fill(store: Store) -> None:
    """Two scripts with byte code and a name, two executions with output, one that runs; four events of six, a service
    and a server, three changes of the configuration.
    """
    for number in range(2):
        record = readable_script(number)
        await store.put_script(record, unit(f"key{number}", script_id=record.script_id, compiled=b""), f"name{number}")
    for name in ("a", "b"):
        await store.begin_execution(readable(name))
        await store.append_output("local", name, chunks("hello", "world"))
        await finish(store, name, chunks("end", first=3))
    await store.begin_execution(readable("running"))
    await store.append_output("local", "running", chunks("so far"))
    await store.append_events([event(number) for number in range(5)])
    await store.emit([event(5, "mine")], lambda _, __: True)
    assert (await store.expire_events(NOW + 2, 100))[0] == 2
    await store.register_service(service("db-1"), 10, ())
    await store.register_service(service("crucible-1", tenant=""), 10, ())
    for version in range(1, 4):
        await store.add_config_revision(revision(version))


@pytest.fixture
def writing(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A server, in a process of its own, that writes all the time."""
    log = tmp_path_factory.mktemp("log") / "acknowledged"
    with log.open("wb") as out:
        server = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=out, cwd=Path(__file__).parents[2])
    deadline = time.monotonic() + 60
    while log.read_bytes().count(b"\n") < 500:
        assert server.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        yield log
        assert server.poll() is None
    finally:
        server.kill()
        server.wait()


async def test_a_whole_store_has_no_problems(store: Store, url: str) -> None:
    await fill(store)
    told: list[tuple[int, int]] = []
    report = check_store(
        url,
        is_sealed=lambda found: found.mac == b"mac",
        script_id_of=id_of,
        progress=lambda done, total: told.append((done, total)),
    )
    assert report.problems == []
    assert (report.scripts, report.units, report.executions, report.output_segments) == (2, 2, 3, 5)
    assert (report.events, report.services, report.config_revisions) == (4, 2, 3)
    assert report.revision == REVISIONS[-1]
    assert report.bytes > 50_000
    assert told[-1][0] == told[-1][1] > 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    empty = check_store(url)
    assert empty.problems == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE script_names SET script_id = 'gone' WHERE name = 'name1'", "name 'name1'.*gone, which is not there"),
        ("UPDATE scripts SET source = x'ff' WHERE script_id LIKE '%0 }'", "0 }.*its source cannot be read"),
        ("UPDATE scripts SET source = x'' WHERE script_id LIKE '%0 }'", "its source has the id id of "),
        ("UPDATE scripts SET functions = x'ff' WHERE script_id LIKE '%0 }'", "its functions cannot be read"),
        ("UPDATE units SET mac = x'00' WHERE unit_key = 'key1'", "key1.*seal is not right"),
        ("UPDATE units SET script_id = 'gone' WHERE unit_key = 'key1'", "units.*belongs to no row of scripts"),
        ("DELETE FROM script_stats", "no row of figures"),
        ("DELETE FROM script_references", "belongs to nobody"),
        ("UPDATE executions SET result = x'ff' WHERE execution_id = 'b'", "Execution b.*result cannot be read"),
        ("UPDATE executions SET return_value = x'ff' WHERE execution_id = 'b'", "return value cannot be read"),
        ("UPDATE executions SET limits = x'ff' WHERE execution_id = 'b'", "limits cannot be read"),
        ("UPDATE executions SET request = x'ff' WHERE execution_id = 'b'", "request cannot be read"),
        ("UPDATE executions SET result = NULL WHERE execution_id = 'b'", "without a result"),
        ("UPDATE executions SET state = 17 WHERE execution_id = 'b'", "state 17"),
        ("UPDATE executions SET last_sequence = 2 WHERE execution_id = 'b'", "goes to 3, beyond its end at 2"),
        ("DELETE FROM executions WHERE execution_id = 'b'", "execution b.*there is no such execution"),
        ("DELETE FROM output_segments WHERE execution_id = 'b' AND first_sequence = 1", "chunk 1 should follow but 3"),
        ("UPDATE output_segments SET data = x'00ff' WHERE first_sequence = 3", "chunks from 3 on are not what"),
        ("UPDATE output_segments SET stdout_bytes = 4 WHERE first_sequence = 3", "chunks from 3 on are not what"),
        ("UPDATE output_segments SET last_sequence = 7 WHERE first_sequence = 3", "chunks from 3 on are not what"),
        ("UPDATE events SET data = x'ff' WHERE sequence = 4", "^Event 4 cannot be read"),
        ("UPDATE events SET type = 'a.c' WHERE sequence = 4", "^Event 4 is not what it is found by"),
        ("UPDATE events SET time = time + 1 WHERE sequence = 6", "^Event 6 is not what it is found by"),
        ("DELETE FROM events WHERE sequence = 4", "^Event 5: event 4 should come before"),
        ("DELETE FROM events WHERE sequence = 3", "^Event 4: event 3 should come before"),
        ("UPDATE event_positions SET last_sequence = 9", "^Event 3: event 10 should come before"),
        ("DELETE FROM event_positions", "not known up to which number events were deleted"),
        ("UPDATE services SET info = x'ff' WHERE tenant = 'local'", "^Service db-1 .*local: its description cannot be"),
        ("UPDATE services SET info = x'ff' WHERE tenant = ''", "^Server crucible-1: its description cannot be read"),
        ("UPDATE services SET health_check = x'ff' WHERE tenant = 'local'", "db-1.*its health check cannot be read"),
        (
            "UPDATE services SET service_type = 'web' WHERE tenant = 'local'",
            "db-1 .*describes itself as db-1 of type db",
        ),
        ("UPDATE services SET lease_ns = 0 WHERE tenant = 'local'", "db-1 .*a lease of 0 ns"),
        ("UPDATE services SET status = 17 WHERE tenant = 'local'", "db-1 .*status 17"),
        ("UPDATE config_revisions SET overlay = x'7b' WHERE version = 3", "^Version 3.*what it sets cannot be read"),
        ("UPDATE config_revisions SET overlay = x'3131' WHERE version = 3", "^Version 3.*what it sets cannot be read"),
        ("UPDATE config_revisions SET changes = x'ff' WHERE version = 2", "^Version 2.*its changes cannot be read"),
        ("DELETE FROM config_revisions WHERE version = 2", "^Version 3.*version 2 should come before"),
    ],
)
async def test_what_is_wrong_is_told(store: Store, database: StoreDatabase, url: str, damage: str, words: str) -> None:
    await fill(store)
    await store.close()
    if database.kind == "postgresql":
        damage = damage.replace("x'", r"'\x")
        if "'gone'" in damage:
            # What belongs to nothing is refused there.
            with pytest.raises(psycopg.errors.ForeignKeyViolation):
                database.change(damage)
            return
    assert database.change(damage) > 0
    report = check_store(url, is_sealed=lambda found: found.mac == b"mac", script_id_of=id_of)
    assert any(re.search(words, problem) for problem in report.problems), report.problems


async def test_damaged_pages_are_told(store: Store, path: Path, url: str) -> None:
    for number in range(200):
        await store.begin_execution(readable(f"e{number}"))
        await finish(store, f"e{number}")
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xa5" * (size // 4))
    problems = check_store(url).problems
    assert problems
    assert len(problems) <= 101
    with pytest.raises(StoreError) as caught:
        restore_store(path, f"{url}.other")
    assert caught.value.kind is StoreErrorKind.CORRUPT
    assert not path.with_name(path.name + ".other").exists()


async def test_a_long_list_of_problems_ends(store: Store, url: str) -> None:
    for number in range(150):
        await store.begin_execution(execution(f"e{number}", request=b"\xff", limits=b""))
    problems = check_store(url).problems
    assert len(problems) == 101
    assert "more problems" in problems[-1]


Maintenance = Callable[[str, Path], object]


@pytest.mark.parametrize(
    "maintain",
    [lambda url, _: check_store(url), lambda url, folder: backup_store(url, folder / "backup")],
    ids=["check", "backup"],
)
async def test_stores_that_cannot_be_read(tmp_path: Path, path: Path, url: str, maintain: Maintenance) -> None:
    def refusal() -> StoreError:
        with pytest.raises(StoreError) as caught:
            maintain(url, tmp_path)
        assert not (tmp_path / "backup").exists()
        return caught.value

    assert "no store at" in refusal().message
    assert not path.exists()
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 1000)
    assert refusal().kind is StoreErrorKind.CORRUPT
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customers (name)")
    connection.close()
    assert "customers" in refusal().message


async def test_a_store_of_another_version_is_not_checked(
    store: Store, database: StoreDatabase, url: str, tmp_path: Path
) -> None:
    await store.close()
    backup_store(url, tmp_path / "newer")
    for revision in ("0002", "9999"):
        database.change("UPDATE alembic_version SET version_num = ?", revision)
        with pytest.raises(StoreError, match=revision) as caught:
            check_store(url)
        assert caught.value.kind is StoreErrorKind.SCHEMA
    SqliteFile(tmp_path / "newer").change("UPDATE alembic_version SET version_num = '9999'")
    before = database.dump()
    with pytest.raises(StoreError, match="9999") as caught:
        restore_store(tmp_path / "newer", url)
    assert database.dump() == before
    assert caught.value.kind is StoreErrorKind.SCHEMA


async def test_a_backup_is_a_store_of_its_own(store: Store, database: StoreDatabase, url: str, tmp_path: Path) -> None:
    await fill(store)
    told: list[tuple[int, int]] = []
    backup = tmp_path / "backup"
    backup_store(url, backup, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert {file.name for file in tmp_path.iterdir()} - {"data"} == {"backup"}
    assert check_store(f"sqlite:///{backup}", script_id_of=id_of).problems == []
    copied = await Store.open(f"sqlite:///{backup}")
    try:
        assert await copied.get_execution("local", "a") == await store.get_execution("local", "a")
        assert await copied.get_output("local", "a", 2) == chunks("end", first=3)
    finally:
        await copied.close()
    before = backup.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        backup_store(url, backup)
    assert backup.read_bytes() == before
    with pytest.raises(StoreError, match="cannot be written"):
        backup_store(url, tmp_path / "nowhere" / "backup")


async def test_a_backup_that_is_broken_off_leaves_nothing(store: Store, url: str, tmp_path: Path) -> None:
    await fill(store)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup_store(url, tmp_path / "backup", interrupt)
    assert {file.name for file in tmp_path.iterdir()} <= {"data"}
    await store.check()


async def test_a_store_that_is_written_to_is_checked(writing: Path, url: str) -> None:
    for _ in range(3):
        report = check_store(url)
        assert report.problems == []
        assert report.executions >= 500


async def test_a_store_that_is_written_to_is_backed_up(writing: Path, url: str, tmp_path: Path) -> None:
    for number in range(3):
        # The last line may still be on its way.
        begun = {line.split()[1] for line in writing.read_text().splitlines(keepends=True) if line.endswith("\n")}
        backup = tmp_path / f"backup{number}"
        backup_store(url, backup)
        report = check_store(f"sqlite:///{backup}")
        assert report.problems == []
        # All that was acknowledged before is in it.
        connection = sqlite3.connect(backup)
        ids = {row[0] for row in connection.execute("SELECT execution_id FROM executions")}
        connection.close()
        assert begun <= ids


async def test_a_store_in_use_is_not_replaced(writing: Path, url: str, tmp_path: Path) -> None:
    backup_store(url, tmp_path / "backup")
    with pytest.raises(StoreError, match=r"in use by another server.*process") as caught:
        restore_store(tmp_path / "backup", url)
    assert caught.value.kind is StoreErrorKind.LOCKED
    lines = writing.read_bytes().count(b"\n")
    async with asyncio.timeout(60):
        while writing.read_bytes().count(b"\n") <= lines:
            await asyncio.sleep(0.01)


async def test_a_restored_store_takes_the_place_of_the_old(store: Store, path: Path, url: str, tmp_path: Path) -> None:
    await fill(store)
    backup = tmp_path / "backup"
    backup_store(url, backup)
    await store.delete_execution("local", "a")
    await store.begin_execution(readable("later"))
    await store.close()
    told: list[tuple[int, int]] = []
    aside = restore_store(backup, url, lambda done, total: told.append((done, total)))
    assert aside is not None
    assert Path(aside).parent == path.parent
    assert told[-1][0] == told[-1][1] > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    names = {file.name for file in path.parent.iterdir()}
    assert names == {path.name, path.name + ".lock", Path(aside).name}
    for which, expected in ((url, ["a", "b", "running"]), (f"sqlite:///{aside}", ["b", "later", "running"])):
        opened = await Store.open(which)
        try:
            found = [name for name in ("a", "b", "later", "running") if await opened.get_execution("local", name)]
            assert found == expected
        finally:
            await opened.close()
    again = restore_store(backup, url)
    assert again is not None
    assert again != aside


async def test_a_store_is_restored_where_none_was(store: Store, url: str, tmp_path: Path) -> None:
    await fill(store)
    backup_store(url, tmp_path / "backup")
    target = tmp_path / "new" / "folder" / "crucible.db"
    assert restore_store(tmp_path / "backup", f"sqlite:///{target}") is None
    assert check_store(f"sqlite:///{target}", script_id_of=id_of).executions == 3
    assert stat.S_IMODE(target.parent.stat().st_mode) == 0o700


async def test_the_log_of_a_killed_server_stays_with_its_store(
    writing: Path, path: Path, url: str, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "crucible.db"
    spare = await Store.open(f"sqlite:///{other}")
    await spare.begin_execution(readable("from the backup"))
    await spare.close()
    # Copied with its log in the middle of writing, as a killed server leaves it.
    killed = tmp_path / "killed" / "crucible.db"
    killed.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for suffix in ("", "-wal"):
            Path(f"{killed}{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    connection.close()
    aside = restore_store(other, f"sqlite:///{killed}")
    assert aside is not None
    assert not Path(f"{killed}-wal").exists()
    assert check_store(f"sqlite:///{killed}").executions == 1
    assert check_store(f"sqlite:///{aside}").executions >= 500


async def test_a_damaged_store_is_replaced_and_kept(store: Store, path: Path, url: str, tmp_path: Path) -> None:
    await fill(store)
    backup_store(url, tmp_path / "backup")
    await store.close()
    path.write_bytes(b"\xa5" * 50_000)
    aside = restore_store(tmp_path / "backup", url)
    assert aside is not None
    assert Path(aside).read_bytes() == b"\xa5" * 50_000
    restored = await Store.open(url)
    found = await restored.get_execution("local", "a")
    await restored.close()
    assert found is not None
    assert found.state == SUCCEEDED


async def test_backups_that_cannot_be_restored(store: Store, path: Path, url: str, tmp_path: Path) -> None:
    await fill(store)
    backup_store(url, tmp_path / "backup")
    await store.close()
    before = path.read_bytes()
    (tmp_path / "empty").touch()
    (tmp_path / "noise").write_bytes(b"noise" * 10_000)
    damaged = tmp_path / "damaged"
    damaged.write_bytes((tmp_path / "backup").read_bytes())
    connection = sqlite3.connect(damaged)
    with connection:
        connection.execute("DELETE FROM scripts")
    connection.close()
    for name, words in (
        ("absent", "no store at"),
        ("empty", "empty"),
        ("noise", "not an SQLite database"),
        ("damaged", "damaged.*belongs to nothing"),
    ):
        with pytest.raises(StoreError, match=words):
            restore_store(tmp_path / name, url)
        assert path.read_bytes() == before
    with pytest.raises(StoreError, match="the store itself"):
        restore_store(path, url)
    assert {file.name for file in path.parent.iterdir()} == {path.name, path.name + ".lock"}
    again = await Store.open(url)
    assert await again.interrupt_unfinished(NOW, lambda *_: b"") == 1
    await again.close()


def but_events(dump: list[object]) -> list[object]:
    """What is in a database, but for events: they get other numbers."""
    tables = zip(dump[1::2], dump[2::2], strict=True)
    return [dump[0], *(each for each in tables if each[0] not in ("events", "event_positions"))]


async def test_a_restored_database_takes_the_place_of_the_old(
    store: Store, database: StoreDatabase, url: str, tmp_path: Path
) -> None:
    await fill(store)
    backup_store(url, tmp_path / "backup")
    contents = database.dump()
    await store.delete_execution("local", "a")
    await store.begin_execution(readable("later"))
    await store.close()
    told: list[tuple[int, int]] = []
    aside = restore_store(tmp_path / "backup", url, lambda done, total: told.append((done, total)))
    assert aside is not None
    assert told[-1][0] == told[-1][1] > 0
    if database.kind == "postgresql":
        assert but_events(database.dump()) == but_events(contents)
        ids = database.rows(f'SELECT execution_id FROM "{aside}".executions ORDER BY execution_id')
        assert ids == [("b",), ("later",), ("running",)]
    opened = await Store.open(url)
    try:
        found = [name for name in ("a", "b", "later", "running") if await opened.get_execution("local", name)]
        assert found == ["a", "b", "running"]
        assert await opened.get_output("local", "a", 2) == chunks("end", first=3)
        await opened.begin_execution(readable("after"))
    finally:
        await opened.close()
    assert restore_store(tmp_path / "backup", url) not in (None, aside)


async def test_a_store_moves_from_one_database_to_the_other(
    store: Store, database: StoreDatabase, postgres: PostgresServer, url: str, tmp_path: Path
) -> None:
    await fill(store)
    record, output = await store.get_execution("local", "a"), await store.get_output("local", "b")
    backup_store(url, tmp_path / "backup")
    with database_of(postgres) as name:
        for target in (postgres.url(name), f"sqlite:///{tmp_path}/moved/crucible.db"):
            assert restore_store(tmp_path / "backup", target) is None
            report = check_store(target, is_sealed=lambda found: found.mac == b"mac", script_id_of=id_of)
            assert (report.problems, report.scripts, report.executions) == ([], 2, 3)
            moved = await Store.open(target)
            try:
                assert await moved.get_execution("local", "a") == record
                assert await moved.get_output("local", "b") == output
                assert await moved.resolve_name("local", "name1") == id_of(source_of(1))
            finally:
                await moved.close()


@pytest.mark.parametrize("revision", REVISIONS)
@pytest.mark.empty_database
async def test_a_backup_of_an_older_version_is_restored(database: StoreDatabase, tmp_path: Path, revision: str) -> None:
    older = SqliteFile(tmp_path / "older" / "crucible.db")
    older.upgrade(revision)
    older.change("INSERT INTO probes VALUES (1, 17)")
    backup_store(older.url, tmp_path / "backup")
    restore_store(tmp_path / "backup", database.url)
    opened = await Store.open(database.url)
    await opened.close()
    assert database.rows("SELECT time FROM probes") == [(17,)]


@pytest.mark.parametrize("break_off", [StoreError(StoreErrorKind.FULL, "full"), KeyboardInterrupt()])
async def test_a_restore_that_is_broken_off_changes_nothing(
    store: Store, database: StoreDatabase, url: str, tmp_path: Path, break_off: BaseException
) -> None:
    await fill(store)
    backup_store(url, tmp_path / "backup")
    await store.begin_execution(readable("later"))
    await store.close()
    before = database.dump()

    def interrupt(_done: int, _total: int) -> None:
        raise break_off

    with pytest.raises(type(break_off)):
        restore_store(tmp_path / "backup", url, interrupt)
    assert database.dump() == before
    assert check_store(url).executions == 4


async def test_a_restored_store_gives_no_number_of_an_event_twice(
    store: Store, database: StoreDatabase, url: str, tmp_path: Path
) -> None:
    def drafts(count: int) -> list[EventDraft]:
        event = event_pb2.Event(type="script_cached", principal="anna", script_id="s1")
        event.time.FromNanoseconds(NOW)
        return [EventDraft("local", "script_cached", "anna", "s1", NOW, None, event.SerializeToString())] * count

    await store.append_events(drafts(12))
    await store.expire_events(0, 10)
    backup_store(url, tmp_path / "backup")
    await store.append_events(drafts(10))
    await store.close()
    given = set(range(1, 23))
    for _ in range(3):
        restore_store(tmp_path / "backup", url)
        opened = await Store.open(url)
        try:
            before = await opened.event_bounds()
            assert before.newest == before.oldest + 9
            await opened.append_events(drafts(15))
            page = await opened.events_after(None, before.oldest - 1, 100)
            numbers = [event.sequence for event in page]
            # In one row, and each beyond whatever anybody may resume from.
            assert numbers == list(range(before.oldest, before.oldest + 25))
            assert numbers[0] > max(given) + 1
            assert numbers[-1] < 2**53
            given |= set(numbers)
        finally:
            await opened.close()
        assert check_store(url).problems == []
