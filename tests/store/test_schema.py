"""Upgrades, and stores of servers yet to come."""

from __future__ import annotations

import io
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from google.protobuf.proto import serialize_length_prefixed
from sqlalchemy import create_engine

from crucible.v1 import execution_pb2, value_pb2
from crucible_server.store import (
    EventDraft,
    ExecutionQuery,
    ScriptQuery,
    ScriptStats,
    ServiceRecord,
    Store,
    StoredEvent,
    StoreError,
    StoreErrorKind,
    schema,
    tables,
)
from crucible_server.store.configurations import ConfigRevisionRecord
from tests.store.databases import StoreDatabase
from tests.store.records import FAILED, INTERRUPTED, NOW, RUNNING, SUCCEEDED, execution, script


async def test_the_list_of_revisions_is_that_of_the_files() -> None:
    directory = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    walked = [entry.revision for entry in directory.walk_revisions()]
    assert tuple(reversed(walked)) == schema.REVISIONS


async def test_the_migrations_lead_to_the_tables(store: Store, database: StoreDatabase) -> None:
    await store.close()
    engine = create_engine(database.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


def test_a_new_file_is_what_the_migrations_lead_to(tmp_path: Path) -> None:
    made, migrated = tmp_path / "made.db", tmp_path / "migrated.db"
    schema.ensure_schema(made)
    schema.upgrade(migrated, schema.REVISIONS[-1])
    assert content(made) == content(migrated)


def content(path: Path) -> dict[str, tuple[str, list[Any]]]:
    """What made each table and index of a database, without its layout and quotes, and the rows."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return {
            name: (
                re.sub(r'["\s]', "", sql or ""),
                connection.execute(f"SELECT * FROM {name}").fetchall() if kind == "table" else [],
            )
            for kind, name, sql in found
        }


@pytest.mark.empty_database
async def test_a_store_of_the_first_revision_is_upgraded_with_its_rows(database: StoreDatabase, url: str) -> None:
    database.upgrade(schema.REVISIONS[0])
    assert "executions_unfinished" not in database.indexes()
    database.change(
        "INSERT INTO scripts VALUES ('local', 'sha256', 'anna', ?, ?, 6, ?, ?)", NOW, NOW, b"functions", b"source"
    )
    database.change(
        "INSERT INTO executions VALUES ('local', 'e1', 'sha256', 'tools/clean', 'main', 1, ?, 'anna', 3, "
        "'run-1', ?, NULL, NULL, NULL, 0, ?, ?, ?, ?, NULL)",
        *(True, NOW, False, b"\x00hash", b"limits", b"arguments"),
    )

    store = await Store.open(url)
    try:
        assert await store.get_script("local", "sha256") == script()
        assert await store.get_execution("local", "e1") == execution()
        assert await store.interrupt_unfinished(NOW, lambda *_: b"lost") == 1
        found = await store.get_execution("local", "e1")
        assert found is not None
        assert found.state == INTERRUPTED
    finally:
        await store.close()
    assert "executions_state" in database.indexes()


def second_revision(database: StoreDatabase) -> None:
    """A store as the second revision had it: scripts, byte code, executions in all states and their output."""
    database.upgrade("0002")
    stream = io.BytesIO()
    for chunk in (
        execution_pb2.ExecutionChunk(sequence=1, stdout="hi"),
        execution_pb2.ExecutionChunk(sequence=2, stderr="\u00e4h"),
        execution_pb2.ExecutionChunk(sequence=3, stdout="there"),
    ):
        serialize_length_prefixed(chunk, stream)
    result = execution_pb2.ExecutionResult(execution_id="e1", success=True, stdout_bytes=7)
    result.return_value.int_value = 42
    failed = execution_pb2.ExecutionResult(execution_id="e2")
    for tenant, name in (("local", "anna"), ("other", "bert")):
        database.change(
            "INSERT INTO scripts VALUES (?, 'sha256', ?, ?, ?, 6, ?, ?)",
            *(tenant, name, NOW, NOW + 5, b"functions", b"source"),
        )
        database.change("INSERT INTO script_names VALUES (?, 'clean', 'sha256', ?)", tenant, NOW)
    database.change("INSERT INTO units VALUES ('key', 'local', 'sha256', ?, ?, ?)", NOW, b"mac", b"code")
    for name, state, start, end, data in (
        ("e1", SUCCEEDED, NOW + 10, NOW + 30, result.SerializeToString()),
        ("e2", FAILED, NOW + 10, NOW + 15, failed.SerializeToString()),
        ("e3", FAILED, None, NOW + 40, b"\xff not a result"),
        ("e4", RUNNING, NOW + 10, None, None),
    ):
        database.change(
            "INSERT INTO executions VALUES ('local', ?, 'sha256', 'tools/clean', 'main', ?, ?, 'anna', 3, "
            "'run-1', ?, ?, ?, NULL, 3, ?, ?, ?, ?, ?)",
            *(name, state, True, NOW, start, end, False, b"\x00hash", b"limits", b"arguments", data),
        )
    database.change("INSERT INTO execution_outputs VALUES ('local', 'e1', ?)", stream.getvalue())
    database.change("INSERT INTO execution_outputs VALUES ('local', 'e2', ?)", b"\xff not chunks")
    database.change_all(
        "INSERT INTO executions VALUES ('many', ?, 'sha256', '', 'main', 3, ?, 'bert', 1, 'run-1', ?, ?, ?, NULL, "
        "0, ?, ?, ?, ?, ?)",
        [(f"e{number:04}", False, NOW + number, NOW, NOW + 1, False, b"", b"", b"", b"") for number in range(1200)],
    )


@pytest.mark.empty_database
async def test_a_store_of_the_second_revision_is_upgraded_with_its_rows(database: StoreDatabase, url: str) -> None:
    second_revision(database)
    store = await Store.open(url)
    try:
        assert (store.script_count, store.execution_count) == (2, 1204)
        assert await store.get_script("local", "sha256") == script(last_used_time=NOW + 5)
        assert await store.resolve_name("other", "clean") == "sha256"
        assert await store.list_scripts(ScriptQuery("local", 10, principal="bert")) == []
        assert await store.script_stats("local", ["sha256"]) == [ScriptStats("sha256", 3, 1, 25, 20, 0, NOW + 40)]
        assert await store.get_unit("key") is None

        found = await store.get_execution("local", "e1")
        assert found is not None
        result = execution_pb2.ExecutionResult(execution_id="e1", success=True, stdout_bytes=7)
        assert found == execution(
            state=SUCCEEDED,
            start_time=NOW + 10,
            end_time=NOW + 30,
            last_sequence=3,
            result=result.SerializeToString(),
            return_value=value_pb2.Value(int_value=42).SerializeToString(),
        )
        output = await store.get_output("local", "e1")
        assert output is not None
        assert (output.first_sequence, output.last_sequence) == (1, 3)
        assert (output.stdout_bytes, output.stderr_bytes) == (7, 3)
        assert await store.get_output("local", "e2") is None
        broken = await store.get_execution("local", "e3")
        assert broken is not None
        assert (broken.result, broken.return_value) == (b"\xff not a result", None)

        ids = [record.execution_id for record in await store.list_executions(ExecutionQuery("many", 1000))]
        assert ids == [f"e{number:04}" for number in range(1199, 199, -1)]
        assert await store.interrupt_unfinished(NOW, lambda *_: b"lost") == 1
        assert (await store.delete_script("local", "sha256", "anna")).removed
    finally:
        await store.close()
    assert database.tables() == {*tables.metadata.tables, "alembic_version"}


@pytest.mark.empty_database
async def test_a_store_of_the_third_revision_gets_events_and_keeps_its_rows(database: StoreDatabase, url: str) -> None:
    database.upgrade("0003")
    database.change(
        "INSERT INTO scripts (tenant, script_id, principal, create_time, source_bytes, functions, source) "
        "VALUES ('local', 'sha256', 'anna', ?, 6, ?, ?)",
        *(NOW, b"", b""),
    )
    database.change("INSERT INTO settings VALUES ('unit_key_id', ?)", b"\x00")
    store = await Store.open(url)
    try:
        assert store.script_count == 1
        assert await store.get_setting("unit_key_id") == b"\x00"
        bounds = await store.event_bounds()
        assert (bounds.oldest, bounds.newest) == (1, 0)
        (event,) = await store.append_events([EventDraft("local", "script_compiled", "anna", "", NOW, None, b"")])
        assert event.sequence == 1
        assert await store.list_checked_services() == []
    finally:
        await store.close()


@pytest.mark.empty_database
@pytest.mark.parametrize("revision", [each for each in schema.REVISIONS if each >= "0004"])
async def test_events_services_and_changes_outlive_the_upgrade(
    database: StoreDatabase, url: str, revision: str
) -> None:
    """As the revisions that brought them had them, whatever this one writes."""
    database.upgrade(revision)
    database.change("UPDATE event_positions SET last_sequence = 6")
    database.change_all(
        "INSERT INTO events (sequence, tenant, type, principal, script_id, time, event_id, data) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (7, "local", "script_compiled", "anna", "sha256", NOW, None, b"\x00event"),
            (8, "local", "acme.deployed", "bert", "", NOW + 1, "deploy-7", b"custom"),
        ],
    )
    database.change(
        "INSERT INTO services (tenant, service_id, service_type, principal, register_time, expire_time, lease_ns, "
        "status, status_message, info, health_check) "
        "VALUES ('local', 'web-1', 'Web', 'anna', ?, ?, ?, 1, 'well', ?, ?)",
        *(NOW, NOW + 30, 30, b"\x00info", b"check"),
    )
    change = ConfigRevisionRecord(1, NOW, "anna", "smaller", None, b"\x00changes", b'{"spare_children": 1}')
    if revision >= "0005":
        database.change(
            "INSERT INTO config_revisions (version, time, principal, comment, reverted_to, changes, overlay) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(1, NOW, "anna", "smaller", None, b"\x00changes", b'{"spare_children": 1}'),
        )
    store = await Store.open(url)
    try:
        page = await store.events_after(None, 0, 10)
        assert (page.bounds.oldest, page.bounds.newest) == (7, 8)
        deployed = StoredEvent(8, "local", "acme.deployed", "bert", "", "deploy-7", b"custom")
        compiled = StoredEvent(7, "local", "script_compiled", "anna", "sha256", None, b"\x00event")
        assert list(page) == [compiled, deployed]
        # Its id is taken still, and numbers go on.
        draft = EventDraft("local", "acme.deployed", "bert", "", NOW + 2, "deploy-7", b"custom")
        assert await store.emit([draft], lambda one, other: one.data == other.data) == [(8, True)]
        (event,) = await store.append_events([EventDraft("local", "script_cached", "anna", "", NOW, None, b"")])
        assert event.sequence == 9
        service = ServiceRecord("local", "web-1", "Web", "anna", NOW, NOW + 30, 30, 1, "well", b"\x00info", b"check")
        assert await store.list_services("local") == [service]
        assert await store.heartbeat("local", "web-1", "anna", NOW + 10) == NOW + 40
        assert await store.latest_config_revision() == (change if revision >= "0005" else None)
        await store.add_config_revision(replace(change, version=2))
        assert [each.version for each in await store.list_config_revisions(9, 9)] == [2, 1][: 1 + (revision >= "0005")]
    finally:
        await store.close()


@pytest.mark.empty_database
async def test_an_upgrade_that_fails_late_leaves_all_rows(database: StoreDatabase, url: str) -> None:
    second_revision(database)
    # In the way of the last table of the third revision.
    database.change("CREATE TABLE settings (x text)")
    before = database.dump()
    with pytest.raises(StoreError, match="settings"):
        await Store.open(url)
    assert database.dump() == before


@pytest.mark.empty_database
async def test_an_upgrade_that_fails_leaves_the_store_as_it_was(database: StoreDatabase, url: str) -> None:
    database.upgrade(schema.REVISIONS[0])
    # In the way of the second revision.
    database.change("CREATE TABLE executions_unfinished (x text)")
    with pytest.raises(StoreError):
        await Store.open(url)
    assert database.rows("SELECT version_num FROM alembic_version") == [("0001",)]


@pytest.mark.empty_database
async def test_a_store_whose_creation_fails_stays_empty(database: StoreDatabase) -> None:
    with pytest.raises(Exception, match="9999"):
        database.upgrade("9999")
    assert database.tables() == set()


async def test_a_store_of_a_newer_server_is_refused_and_not_touched(
    store: Store, database: StoreDatabase, url: str
) -> None:
    await store.begin_execution(execution())
    await store.close()
    database.change("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError) as caught:
        await Store.open(url)
    assert caught.value.kind is StoreErrorKind.SCHEMA
    assert "9999" in caught.value.message
    assert schema.REVISIONS[-1] in caught.value.message
    assert database.rows("SELECT execution_id, state FROM executions") == [("e1", 1)]


@pytest.mark.empty_database
@pytest.mark.parametrize("revision", schema.REVISIONS)
async def test_a_store_of_any_revision_is_upgraded(database: StoreDatabase, url: str, revision: str) -> None:
    database.upgrade(revision)
    script_columns = 8 if revision < "0003" else 7
    marks = ", ".join("?" * script_columns)
    times = (NOW, NOW) if revision < "0003" else (NOW,)
    database.change(f"INSERT INTO scripts VALUES ({marks})", *("local", "s", "anna", *times, 6, b"f", b"source"))
    database.change("INSERT INTO script_names VALUES ('local', 'tidy', 's', ?)", NOW)
    store = await Store.open(url)
    try:
        assert await store.resolve_name("local", "tidy") == "s"
        assert await store.begin_execution(execution(script_id="s")) is None
        assert database.rows("SELECT version_num FROM alembic_version") == [(schema.REVISIONS[-1],)]
    finally:
        await store.close()
