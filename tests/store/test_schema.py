"""Upgrades, and stores of servers yet to come."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

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
    Store,
    StoreError,
    StoreErrorKind,
    schema,
    tables,
)
from tests.store.records import FAILED, INTERRUPTED, NOW, RUNNING, SUCCEEDED, execution, script


def indexes(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        return {row[0] for row in rows}
    finally:
        connection.close()


async def test_the_list_of_revisions_is_that_of_the_files() -> None:
    directory = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    walked = [entry.revision for entry in directory.walk_revisions()]
    assert tuple(reversed(walked)) == schema.REVISIONS


async def test_the_migrations_lead_to_the_tables(store: Store, path: Path) -> None:
    await store.close()
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


async def test_a_store_of_the_first_revision_is_upgraded_with_its_rows(path: Path, url: str) -> None:
    path.parent.mkdir()
    schema.upgrade(path, schema.REVISIONS[0])
    assert "executions_unfinished" not in indexes(path)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "INSERT INTO scripts VALUES ('local', 'sha256', 'anna', ?, ?, 6, ?, ?)",
            (NOW, NOW, b"functions", b"source"),
        )
        connection.execute(
            "INSERT INTO executions VALUES ('local', 'e1', 'sha256', 'tools/clean', 'main', 1, 1, 'anna', 3, "
            "'run-1', ?, NULL, NULL, NULL, 0, 0, ?, ?, ?, NULL)",
            (NOW, b"\x00hash", b"limits", b"arguments"),
        )
    connection.close()

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
    assert "executions_state" in indexes(path)


def second_revision(path: Path) -> None:
    """A store as the second revision had it: scripts, byte code, executions in all states and their output."""
    path.parent.mkdir()
    schema.upgrade(path, "0002")
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
    connection = sqlite3.connect(path)
    with connection:
        for tenant, name in (("local", "anna"), ("other", "bert")):
            connection.execute(
                "INSERT INTO scripts VALUES (?, 'sha256', ?, ?, ?, 6, ?, ?)",
                (tenant, name, NOW, NOW + 5, b"functions", b"source"),
            )
            connection.execute("INSERT INTO script_names VALUES (?, 'clean', 'sha256', ?)", (tenant, NOW))
        connection.execute("INSERT INTO units VALUES ('key', 'local', 'sha256', ?, ?, ?)", (NOW, b"mac", b"code"))
        for name, state, start, end, data in (
            ("e1", SUCCEEDED, NOW + 10, NOW + 30, result.SerializeToString()),
            ("e2", FAILED, NOW + 10, NOW + 15, failed.SerializeToString()),
            ("e3", FAILED, None, NOW + 40, b"\xff not a result"),
            ("e4", RUNNING, NOW + 10, None, None),
        ):
            connection.execute(
                "INSERT INTO executions VALUES ('local', ?, 'sha256', 'tools/clean', 'main', ?, 1, 'anna', 3, "
                "'run-1', ?, ?, ?, NULL, 3, 0, ?, ?, ?, ?)",
                (name, state, NOW, start, end, b"\x00hash", b"limits", b"arguments", data),
            )
        connection.execute("INSERT INTO execution_outputs VALUES ('local', 'e1', ?)", (stream.getvalue(),))
        connection.execute("INSERT INTO execution_outputs VALUES ('local', 'e2', ?)", (b"\xff not chunks",))
        connection.executemany(
            "INSERT INTO executions VALUES ('many', ?, 'sha256', '', 'main', 3, 0, 'bert', 1, 'run-1', ?, ?, ?, NULL, "
            "0, 0, x'', x'', x'', x'')",
            [(f"e{number:04}", NOW + number, NOW, NOW + 1) for number in range(1200)],
        )
    connection.close()


async def test_a_store_of_the_second_revision_is_upgraded_with_its_rows(path: Path, url: str) -> None:
    second_revision(path)
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
    connection = sqlite3.connect(path)
    found_tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    connection.close()
    assert found_tables == {*tables.metadata.tables, "alembic_version"}


async def test_a_store_of_the_third_revision_gets_events_and_keeps_its_rows(path: Path, url: str) -> None:
    path.parent.mkdir()
    schema.upgrade(path, "0003")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "INSERT INTO scripts (tenant, script_id, principal, create_time, source_bytes, functions, source) "
            "VALUES ('local', 'sha256', 'anna', ?, 6, x'', x'')",
            (NOW,),
        )
        connection.execute("INSERT INTO settings VALUES ('unit_key_id', x'00')")
    connection.close()
    store = await Store.open(url)
    try:
        assert store.script_count == 1
        assert await store.get_setting("unit_key_id") == b"\x00"
        bounds = await store.event_bounds()
        assert (bounds.oldest, bounds.newest) == (1, 0)
        (event,) = await store.append_events([EventDraft("local", "script_compiled", "anna", "", NOW, None, b"")])
        assert event.sequence == 1
        assert await store.list_services(None) == []
    finally:
        await store.close()


async def test_an_upgrade_that_fails_late_leaves_all_rows(path: Path, url: str) -> None:
    second_revision(path)
    connection = sqlite3.connect(path)
    with connection:
        # In the way of the last table of the third revision.
        connection.execute("CREATE TABLE settings (x)")
    before = list(connection.iterdump())
    connection.close()
    with pytest.raises(StoreError, match="settings"):
        await Store.open(url)
    connection = sqlite3.connect(path)
    assert list(connection.iterdump()) == before
    connection.close()


async def test_an_upgrade_that_fails_leaves_the_store_as_it_was(path: Path) -> None:
    path.parent.mkdir()
    schema.upgrade(path, schema.REVISIONS[0])
    connection = sqlite3.connect(path)
    with connection:
        # In the way of the second revision.
        connection.execute("CREATE TABLE executions_unfinished (x)")
    connection.close()
    with pytest.raises(StoreError):
        schema.ensure_schema(path)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    connection.close()


async def test_a_store_whose_creation_fails_stays_empty(path: Path) -> None:
    path.parent.mkdir()
    with pytest.raises(Exception, match="9999"):
        schema.upgrade(path, "9999")
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    connection.close()


async def test_a_store_of_a_newer_server_is_refused_and_not_touched(store: Store, path: Path, url: str) -> None:
    await store.begin_execution(execution())
    await store.close()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(StoreError) as caught:
        await Store.open(url)
    assert caught.value.kind is StoreErrorKind.SCHEMA
    assert "9999" in caught.value.message
    assert schema.REVISIONS[-1] in caught.value.message
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT execution_id, state FROM executions").fetchall() == [("e1", 1)]
    connection.close()
