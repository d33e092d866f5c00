"""Backups of a PostgreSQL database, and what is restored into one.

A backup is a store of SQLite in one file: it needs no program of PostgreSQL, none of its versions matters, it can be
checked like any store, and it moves a store from one database to the other.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Table, create_engine, insert, select
from sqlalchemy.pool import StaticPool

from crucible_server.store import sqlite_maintenance as files
from crucible_server.store.address import PostgresAddress
from crucible_server.store.check import Progress
from crucible_server.store.connection import SqliteConnection
from crucible_server.store.errors import StoreError, StoreErrorKind
from crucible_server.store.errors import store_error as sqlite_error
from crucible_server.store.schema import REVISIONS, ensure_schema, migrate
from crucible_server.store.sql import compiled
from crucible_server.store.sqlite_inspection import reading
from crucible_server.store.tables import metadata, servers

from .connection import Raw, connect
from .errors import store_error
from .inspection import inspecting
from .schema import owning, require_usable, revision_of

# In an order that the foreign keys allow. Who uses the database is nothing to keep.
_TABLES = tuple(table for table in metadata.sorted_tables if table is not servers)
_ROWS_AT_ONCE = 200
# Tables of former revisions that are no longer among those of this one.
_FORMER = ("alembic_version", "execution_outputs")


def backup(address: PostgresAddress, destination: Path, progress: Progress) -> None:
    """See `maintenance.backup_store`."""
    with files.new_file(destination) as copy:
        with inspecting(address) as source:
            if source.revision != REVISIONS[-1]:
                raise StoreError(
                    StoreErrorKind.SCHEMA,
                    f"The store {address} has schema {source.revision}; expected {REVISIONS[-1]}. Use the version of "
                    "Crucible that wrote it, or start this server on it once, which upgrades it.",
                )
            total = sum(source.connection.execute(_count(table)).fetchone()[0] for table in _TABLES)  # type: ignore[index]
            try:
                ensure_schema(copy)
                with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as raw:
                    raw.execute("PRAGMA journal_mode = OFF").fetchall()
                    raw.execute("BEGIN")
                    target, done = SqliteConnection(raw), 0
                    for table in _TABLES:
                        # What the migrations have put there is in the backup as it is by now.
                        raw.execute(f'DELETE FROM "{table.name}"')
                        rows = source.connection.stream(compiled(select(*table.columns)))
                        statement = compiled(insert(table), table.columns.keys())
                        while batch := list(islice(rows, _ROWS_AT_ONCE)):
                            target.execute_many(statement, batch)
                            done += len(batch)
                            progress(done, total)
                    raw.execute("COMMIT")
            except sqlite3.Error as error:
                raise sqlite_error(error, destination) from error
        files.sync(copy)
        progress(total, total)


def restore(file: Path, address: PostgresAddress, progress: Progress) -> str | None:
    """See `maintenance.restore_store`."""
    with tempfile.TemporaryDirectory(prefix="crucible-restore-") as folder:
        copy = Path(folder) / "store.db"
        copy.touch(0o600)
        files.prepare(file, copy, lambda _done, _total: None)
        try:
            connection = connect(address, read_only=False)
            try:
                raw = connection.raw
                raw.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
                require_usable(raw, address)
                with owning(raw, address, "be restored"), reading(copy) as source:
                    return _replace(raw, address, source, progress)
            finally:
                connection.close()
        except psycopg.Error as error:
            raise store_error(error, address) from error


def _replace(raw: Raw, address: PostgresAddress, source: SqliteConnection, progress: Progress) -> str | None:
    was_there = revision_of(raw, address) is not None
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=StaticPool)
    raw.autocommit = False
    try:
        with engine.begin() as transaction:
            aside = _set_aside(raw) if was_there else None
            migrate(transaction, REVISIONS[-1])
            total = sum(source.execute(_count(table)).fetchone()[0] for table in _TABLES)
            done = 0
            for table in _TABLES:
                for filled in _fill(raw, table, source):
                    done += filled
                    progress(done, total)
        progress(total, total)
        return aside
    finally:
        raw.rollback()
        raw.autocommit = True


def _fill(raw: Raw, table: Table, source: SqliteConnection) -> Iterator[int]:
    """Copies a table; tells from time to time how many rows came since."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns.keys()))
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table.name), columns)
    # What the migrations have put there is in the backup as it was by then.
    raw.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table.name)))
    with raw.cursor() as cursor, cursor.copy(copy) as rows:
        stream = source.stream(compiled(select(*table.columns)))
        while batch := list(islice(stream, _ROWS_AT_ONCE)):
            for row in batch:
                rows.write_row(row)
            yield len(batch)


def _set_aside(raw: Raw) -> str:
    """Moves the tables of a store to a schema of their own; returns its name."""
    names = {*metadata.tables, *_FORMER}
    found = raw.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
    tables = sorted(names & {str(name) for (name,) in found})
    stem = f"crucible_before_restore_{time.strftime('%Y%m%d_%H%M%S')}"
    aside, number = stem, 1
    while raw.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (aside,)).fetchone() is not None:
        number += 1
        aside = f"{stem}_{number}"
    raw.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(aside)))
    for table in tables:
        moved = sql.SQL("ALTER TABLE {} SET SCHEMA {}")
        raw.execute(moved.format(sql.Identifier(table), sql.Identifier(aside)))
    return aside


def _count(table: Table) -> Any:
    from sqlalchemy import func

    return compiled(select(func.count()).select_from(table))
