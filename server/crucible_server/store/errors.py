"""The one error of the store, and what SQLite's error codes mean for the operator."""

from __future__ import annotations

import enum
import sqlite3
from pathlib import Path


class StoreErrorKind(enum.Enum):
    """Why the store could not do it."""

    UNAVAILABLE = "unavailable"
    """The database cannot be reached, read or written; another try may work."""
    FULL = "full"
    """No space left."""
    READ_ONLY = "read_only"
    """The file or its folder cannot be written."""
    LOCKED = "locked"
    """Another process holds the database."""
    CORRUPT = "corrupt"
    """The file is damaged or not a store."""
    SCHEMA = "schema"
    """The store was written by a newer server, or upgrading it failed."""
    CONFLICT = "conflict"
    """The row to be changed is missing, ended, or breaks a constraint. Nothing of the operation was kept."""
    CONFIGURATION = "configuration"
    """The store's address is not usable."""
    CLOSED = "closed"
    """The store has been closed."""


class StoreError(Exception):
    """Says what was expected, what came and what to do. A failed operation has left nothing behind."""

    def __init__(self, kind: StoreErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


_ADVICE: dict[int, tuple[StoreErrorKind, str]] = {
    sqlite3.SQLITE_FULL: (
        StoreErrorKind.FULL,
        "has no space left to grow. Free space on its disk, or move it; nothing acknowledged is lost",
    ),
    sqlite3.SQLITE_READONLY: (
        StoreErrorKind.READ_ONLY,
        "cannot be written. Give this user write access to the file and its folder, or move the store",
    ),
    sqlite3.SQLITE_PERM: (
        StoreErrorKind.READ_ONLY,
        "cannot be accessed. Give this user read and write access to the file and its folder",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        StoreErrorKind.UNAVAILABLE,
        "cannot be opened. Check that its folder exists and that this user may read and write it",
    ),
    sqlite3.SQLITE_BUSY: (
        StoreErrorKind.LOCKED,
        "is locked by another program. Close whatever has it open (`fuser FILE` names it) and try again",
    ),
    sqlite3.SQLITE_LOCKED: (
        StoreErrorKind.LOCKED,
        "is locked by another connection. Try again",
    ),
    sqlite3.SQLITE_CORRUPT: (
        StoreErrorKind.CORRUPT,
        "is damaged. Stop the server, keep a copy of it with its -wal file, and restore a backup",
    ),
    sqlite3.SQLITE_NOTADB: (
        StoreErrorKind.CORRUPT,
        "is not an SQLite database. Set `store_url` to another file, or move this one away",
    ),
    sqlite3.SQLITE_IOERR: (
        StoreErrorKind.UNAVAILABLE,
        "could not be read or written: the disk reports an error. Check the disk and the kernel log",
    ),
}


def store_error(error: sqlite3.Error, path: Path) -> StoreError:
    """Translates an error of SQLite's driver."""
    if isinstance(error, sqlite3.IntegrityError):
        return StoreError(StoreErrorKind.CONFLICT, f"The store {path} refused a row: {error}.")
    # The low byte is the primary code; the rest says in which of its variants.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    kind, advice = _ADVICE.get(code, (StoreErrorKind.UNAVAILABLE, "failed. See the message in brackets"))
    name = getattr(error, "sqlite_errorname", "error")
    return StoreError(kind, f"The store {path} {advice} ({name}: {error}).")


def store_closed(name: object) -> StoreError:
    """The error of every call after `close`."""
    return StoreError(StoreErrorKind.CLOSED, f"The store {name} has been closed; the server is stopping.")
