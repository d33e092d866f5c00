"""SQLite connections, set up for their part."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from .errors import StoreError, StoreErrorKind

Synchronous = Literal["NORMAL", "FULL"]

# Checkpoints are made beside the writer (see `Store`); it makes one itself only when those fall far behind.
_AUTOCHECKPOINT_PAGES = 8_000
# Beyond this the log's file is cut when it starts anew.
_LOG_FILE_BYTES = 32 * 1024 * 1024
BUSY_SECONDS = 2.0
"""How long another program that holds the database is waited for."""


def database_path(url: str) -> Path:
    """The file that `sqlite:///relative` or `sqlite:////absolute` names. Raises StoreError for other URLs."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"`store_url` should look like sqlite:////var/lib/crucible/crucible.db but is {url!r}.",
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"`store_url` names the database {parsed.get_backend_name()!r}; this version stores in SQLite "
            "only. Use sqlite:///PATH.",
        )
    if not parsed.database or parsed.database == ":memory:":
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            "`store_url` names no file. A store in memory would lose executions; use sqlite:///PATH.",
        )
    return Path(parsed.database).expanduser().absolute()


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


@contextmanager
def erasing(connection: sqlite3.Connection) -> Iterator[None]:
    """What is deleted within is overwritten in the file, all of it."""
    connection.execute("PRAGMA secure_delete = ON").fetchall()
    try:
        yield
    finally:
        connection.execute("PRAGMA secure_delete = FAST").fetchall()


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
