"""SQLite connections, set up for their part."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .announcements import Told
from .database import Synchronous
from .errors import StoreError, StoreErrorKind
from .sql import Statement

# Checkpoints are made beside the writer (see `OpenDatabase`); it makes one itself only when those fall far behind.
_AUTOCHECKPOINT_PAGES = 8_000
# Beyond this the log's file is cut when it starts anew.
_LOG_FILE_BYTES = 32 * 1024 * 1024
BUSY_SECONDS = 2.0
"""How long another program that holds the database is waited for."""


def create_folder(path: Path) -> None:
    """Makes the folder of the file for this user only: it holds all tenants' sources. Raises StoreError."""
    with _explaining(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def create_file(path: Path) -> None:
    """Makes the file and its folder for this user only. Raises StoreError."""
    create_folder(path)
    with _explaining(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


@contextmanager
def _explaining(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            StoreErrorKind.READ_ONLY,
            f"The store {path} cannot be opened for writing: {error.strerror}. Give this user write access "
            "to the file and its folder, or set `store_url` or `data_dir` to another place.",
        ) from error


class SqliteConnection:
    """A connection of Python's driver, `raw`, that executes the store's statements."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self.raw = raw
        self.close = raw.close

    def interrupt(self) -> None:
        """See `Connection`."""
        # It may have been closed a moment ago.
        with suppress(sqlite3.ProgrammingError):
            self.raw.interrupt()

    def execute(self, statement: Statement, parameters: Sequence[Any] = ()) -> sqlite3.Cursor:
        """See `Connection`."""
        return self.raw.execute(statement.sql, parameters)

    def execute_many(self, statement: Statement, rows: Iterable[Sequence[Any]]) -> None:
        """See `Connection`."""
        self.raw.executemany(statement.sql, rows)

    def stream(self, statement: Statement) -> Iterator[tuple[Any, ...]]:
        """See `Connection`."""
        return self.raw.execute(statement.sql)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Connection`."""
        self.raw.execute("BEGIN")
        try:
            yield
        finally:
            self.raw.execute("COMMIT")

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """See `Connection`: in the file, all of it."""
        self.raw.execute("PRAGMA secure_delete = ON").fetchall()
        try:
            yield
        finally:
            self.raw.execute("PRAGMA secure_delete = FAST").fetchall()

    def end_lapsed_leases(self) -> None:
        """See `Connection`: a file has one server."""

    def announce(self, announcement: Told) -> None:
        """See `Connection`: there is nobody else."""

    def may_sweep(self) -> bool:
        """See `Connection`."""
        return True


def connect(
    path: Path, *, read_only: bool, synchronous: Synchronous = "NORMAL", immutable: bool = False
) -> sqlite3.Connection:
    """A connection in autocommit mode that may be handed from thread to thread. Raises sqlite3.Error.

    `immutable` is for a folder that nobody can write to: SQLite then does without the files it keeps beside.
    """
    connection = sqlite3.connect(
        f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}{'&immutable=1' if immutable else ''}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_SECONDS,
    )
    try:
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_AUTOCHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_FILE_BYTES}")
            connection.execute("PRAGMA foreign_keys = ON")
            # What is deleted is overwritten where that needs no more pages to be written: see `erasing`.
            connection.execute("PRAGMA secure_delete = FAST")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
