"""Brings a database to the schema of this server, or refuses it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from .errors import StoreError, StoreErrorKind, store_error

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All revisions in order; kept here too, so that a start without an upgrade need not load Alembic."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_VERSION_TABLE = (
    "CREATE TABLE IF NOT EXISTS alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)


def ensure_schema(path: Path) -> None:
    """Creates or upgrades the schema of the database at `path`, in one transaction.

    Raises StoreError when the file is not a store, is of a newer schema, or cannot be upgraded.
    """
    revision = _revision(path)
    if revision is None:
        create(path)
    elif revision not in REVISIONS:
        raise newer_schema(path, revision)
    elif revision != REVISIONS[-1]:
        upgrade(path, REVISIONS[-1])


def newer_schema(path: object, revision: str) -> StoreError:
    """The error of a store that this version does not know."""
    return StoreError(
        StoreErrorKind.SCHEMA,
        f"The store {path} has schema {revision}; this server knows schemas up to {REVISIONS[-1]}. A "
        "newer server has written it: start that version, or set `store_url` to another place.",
    )


def create(path: Path) -> None:
    """Makes all tables in an empty database, in one transaction. Raises StoreError.

    What the migrations would lead to, in a fifth of the time: most of theirs is that of loading Alembic.
    """
    # With the tables of these two, which stand in the same metadata.
    from . import config_tables, event_tables  # noqa: F401
    from .tables import metadata

    dialect = sqlite.dialect()
    statements: list[ExecutableDDLElement] = []
    for table in metadata.sorted_tables:
        statements.append(CreateTable(table))
        statements += [CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name))]
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            for statement in statements:
                connection.execute(str(statement.compile(dialect=dialect)))
            connection.execute("INSERT INTO event_positions (position_id, last_sequence) VALUES (1, 0)")
            connection.execute(_VERSION_TABLE)
            connection.execute("INSERT INTO alembic_version VALUES (?)", (REVISIONS[-1],))
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def upgrade(path: Path, revision: str) -> None:
    """Applies the migrations up to `revision`. Raises StoreError; the database is then as it was before."""
    from sqlalchemy import create_engine, event
    from sqlalchemy.exc import SQLAlchemyError

    engine = create_engine(f"sqlite:///{path}")

    # The driver would commit before DDL; with transactions in our own hands the upgrade is all or nothing.
    @event.listens_for(engine, "connect")
    def _autocommit(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            migrate(connection, revision)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        if isinstance(cause, sqlite3.Error):
            raise store_error(cause, path) from error
        raise StoreError(
            StoreErrorKind.SCHEMA,
            f"The store {path} could not be brought to schema {revision}: {error}. It is unchanged; start "
            "the server version that wrote it, and report this.",
        ) from error
    finally:
        engine.dispose()


def migrate(connection: Any, revision: str) -> None:
    """Applies the migrations up to `revision` in the transaction of a SQLAlchemy connection, whose errors it raises."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _revision(path: Path) -> str | None:
    try:
        connection = sqlite3.connect(path)
        try:
            return revision_of(connection, path)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def revision_of(connection: sqlite3.Connection, path: Path) -> str | None:
    """The revision of the database; None when it is empty.

    Raises StoreError when it holds something else than a store, and sqlite3.Error.
    """
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {str(row[0]) for row in names}
    rows = []
    if "alembic_version" in tables:
        rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    if not rows and tables - {"alembic_version"}:
        raise not_a_store(path, tables)
    return str(rows[0][0]) if rows else None


def not_a_store(name: object, tables: set[str]) -> StoreError:
    """The error of a database that holds something else."""
    return StoreError(
        StoreErrorKind.CORRUPT,
        f"The database {name} holds tables ({', '.join(sorted(tables)[:10])}) but is not a store of Crucible. Set "
        "`store_url` to another one.",
    )
