"""Upgrades, and stores of servers yet to come."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from crucible_server.store import Store, StoreError, StoreErrorKind, schema, tables
from tests.store.records import INTERRUPTED, NOW, execution, script


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


async def test_the_unfinished_are_found_by_their_index(store: Store, path: Path) -> None:
    from crucible_server.store.execution_statements import SELECT_UNFINISHED

    await store.check()
    connection = sqlite3.connect(path)
    plan = connection.execute("EXPLAIN QUERY PLAN " + SELECT_UNFINISHED.sql).fetchall()
    connection.close()
    assert "executions_state" in str(plan)
