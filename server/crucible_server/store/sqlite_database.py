"""SQLite as the database of a store: one file, one server."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from .announcements import Announcement
from .connection import SqliteConnection, connect, create_file
from .database import Database, Synchronous
from .errors import StoreError, store_error
from .lock import FileLock
from .schema import ensure_schema
from .sqlite_writer import SqliteWriter


class SqliteDatabase(Database):
    """A file that is locked for this process."""

    errors = (sqlite3.Error,)

    def __init__(self, path: Path, synchronous: Synchronous) -> None:
        """Makes or upgrades the file. Raises StoreError, with nothing held."""
        self._path = path
        self._synchronous = synchronous
        self._instance_id = secrets.token_hex(8)
        create_file(path)
        self._lock = FileLock(path)
        try:
            ensure_schema(path)
            self._connection = SqliteConnection(connect(path, read_only=False, synchronous=synchronous))
        except sqlite3.Error as error:
            self._lock.release()
            raise store_error(error, path) from error
        except BaseException:
            self._lock.release()
            raise

    def __str__(self) -> str:
        return str(self._path)

    @property
    def instance_id(self) -> str:
        """See `Database`."""
        return self._instance_id

    def translate(self, error: Exception) -> StoreError:
        """See `Database`."""
        assert isinstance(error, sqlite3.Error)
        return store_error(error, self._path)

    def connect(self) -> SqliteConnection:
        """See `Database`."""
        return SqliteConnection(connect(self._path, read_only=True))

    def writer(self, committed: Callable[[int], None]) -> SqliteWriter:
        """See `Database`."""
        return SqliteWriter(self._connection, self._path, committed, waits_for_disk=self._synchronous == "FULL")

    def on_lapse(self, lapsed: Callable[[], None]) -> None:
        """See `Database`: never."""

    def listen(self, heard: Callable[[Announcement], None]) -> None:
        """See `Database`: there is nobody else."""

    def checkpoint(self) -> None:
        """See `Database`: the log goes into the file."""
        try:
            connection = connect(self._path, read_only=False)
            try:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise store_error(error, self._path) from error

    def abandon(self) -> None:
        """See `Database`."""
        self._connection.close()
        self._lock.release()

    def release(self) -> None:
        """See `Database`."""
        self._lock.release()
