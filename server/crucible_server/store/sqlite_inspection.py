"""Reads a file for checks and backups, beside a server that may write to it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .connection import SqliteConnection, connect
from .errors import StoreError, StoreErrorKind, store_error
from .schema import revision_of


class SqliteInspection:
    """A file as it is at one moment; see `check.Inspection`."""

    errors: tuple[type[Exception], ...] = (sqlite3.DatabaseError,)

    def __init__(self, connection: SqliteConnection, path: Path) -> None:
        self.connection = connection
        self.revision = revision_of(connection.raw, path)
        self.bytes = _size(path)
        # A page of the integrity check takes about as long as a row of the others.
        self.units = int(connection.raw.execute("PRAGMA page_count").fetchone()[0])

    def damage_of(self, table: str) -> Iterator[str]:
        """See `check.Inspection`."""
        for (text,) in self.connection.raw.execute(f"PRAGMA integrity_check({table})"):
            if text != "ok":
                yield str(text)

    def loose_rows(self) -> Iterator[str]:
        """See `check.Inspection`."""
        for row in self.connection.raw.execute("PRAGMA foreign_key_check"):
            if row[0] != "script_names":
                yield f"Table {row[0]}: a row (rowid {row[1]}) belongs to no row of {row[2]}."


@contextmanager
def inspecting(path: Path) -> Iterator[SqliteInspection]:
    """The file at `path`. Raises StoreError, also for what SQLite raises within."""
    with reading(path) as connection:
        yield SqliteInspection(connection, path)


@contextmanager
def reading(path: Path) -> Iterator[SqliteConnection]:
    """A connection on which all is read as of one moment. Raises StoreError, also for what SQLite raises within."""
    if not path.exists():
        raise StoreError(
            StoreErrorKind.UNAVAILABLE,
            f"There is no store at {path}. Check the path, or `store_url`; a server makes its store when it starts.",
        )
    try:
        connection = connect(path, read_only=True, immutable=_is_immutable(path))
        try:
            connection.execute("BEGIN")
            # The moment is that of the first look, not of the BEGIN.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield SqliteConnection(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def _size(path: Path) -> int:
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _is_immutable(path: Path) -> bool:
    # Without write access and without a log there is no server either, and SQLite could make no log to read by.
    return not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()
