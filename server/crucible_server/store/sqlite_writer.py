"""The writer of SQLite.

A commit that does not wait for the disk takes less time than waking a thread for it: small operations are then executed
in the event loop, those of one turn together. A thread takes the others, and all of them while the disk is slow or
another program holds the database.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from .connection import BUSY_SECONDS, SqliteConnection
from .errors import StoreErrorKind, store_error
from .writer import Write, Writer, is_of_kind

# The event loop may stand still this long for the database; after that the thread has it for a while.
_PATIENCE_SECONDS = 0.02
_THREAD_SECONDS = 1.0


class SqliteWriter(Writer):
    """Owns the only writing connection to a file."""

    def __init__(
        self,
        connection: SqliteConnection,
        path: Path,
        committed: Callable[[int], None] = lambda _size: None,
        *,
        waits_for_disk: bool = True,
    ) -> None:
        """Takes over a connection in autocommit mode.

        With `waits_for_disk`, when each commit is to reach the disk, nothing is executed in the event loop.
        """
        super().__init__(str(path), committed)
        self._path = path
        self._connection = connection
        self._raw = connection.raw
        self._waits_for_disk = waits_for_disk
        self._connection_lock = threading.Lock()
        self._pending: list[Write] = []
        self._thread_until = 0.0
        self._set_patience(_PATIENCE_SECONDS)
        self._thread.start()

    def _enqueue(self, write: Write) -> None:
        if not write.small or self._waits_for_disk or self._loop.time() < self._thread_until:
            self._queue.put(write)
        else:
            if not self._pending:
                self._loop.call_soon(self._execute_pending)
            self._pending.append(write)

    def _finish(self) -> None:
        self._execute_pending()

    def _idle(self) -> None:
        """Never: nothing has to be renewed."""

    def _disconnect(self) -> None:
        self._connection.close()

    def _execute_in_thread(self, group: Sequence[Write]) -> None:
        with self._connection_lock:
            self._set_patience(BUSY_SECONDS)
            self._execute(group)
            self._set_patience(_PATIENCE_SECONDS)

    def _execute_pending(self) -> None:
        group, self._pending = self._pending, []
        if not group:
            return
        if not self._connection_lock.acquire(blocking=False):
            for write in group:
                self._queue.put(write)
            return
        began = self._loop.time()
        try:
            self._execute(group)
        finally:
            self._connection_lock.release()
        ended = self._loop.time()
        if ended - began > _PATIENCE_SECONDS:
            self._thread_until = ended + _THREAD_SECONDS
            # Another program may have the database: the thread can wait for it.
            for write in [write for write in group if is_of_kind(write.error, StoreErrorKind.LOCKED)]:
                group.remove(write)
                write.error = None
                self._queue.put(write)
        self._resolve(group, ended - began)

    def _set_patience(self, seconds: float) -> None:
        """How long SQLite waits for another program that holds the database."""
        self._raw.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _execute(self, group: Sequence[Write]) -> None:
        connection = self._raw
        try:
            if len(group) == 1 and not group[0].compound:
                # A single statement is a transaction of its own, two trips into SQLite shorter.
                self._apply(group[0])
                return
            connection.execute("BEGIN IMMEDIATE")
            if len(group) == 1:
                self._apply(group[0])
                connection.execute("COMMIT" if group[0].error is None else "ROLLBACK")
                return
            for write in group:
                if write.compound:
                    self._apply_compound(write)
                else:
                    self._apply(write)
            connection.execute("COMMIT")
        except Exception as error:
            failure = store_error(error, self._path) if isinstance(error, sqlite3.Error) else error
            for write in group:
                write.error = failure
            self._roll_back()

    def _apply(self, write: Write) -> None:
        try:
            write.result = write.operation(self._connection, write.argument)
        except Exception as error:
            if _fails_group(error):
                raise
            write.error = store_error(error, self._path) if isinstance(error, sqlite3.Error) else error

    def _apply_compound(self, write: Write) -> None:
        connection = self._raw
        connection.execute("SAVEPOINT operation")
        self._apply(write)
        if write.error is not None:
            connection.execute("ROLLBACK TO operation")
        connection.execute("RELEASE operation")

    def _roll_back(self) -> None:
        if self._raw.in_transaction:
            # An error here is seen again, and reported, by the BEGIN of the next group.
            with contextlib.suppress(sqlite3.Error):
                self._raw.execute("ROLLBACK")


def _fails_group(error: Exception) -> bool:
    # Full disks, I/O errors, locks and damage concern the transaction, and SQLite may have rolled it back
    # already; constraints and wrong types concern one statement only.
    if type(error) is sqlite3.DatabaseError:
        return True
    return isinstance(error, (sqlite3.OperationalError, sqlite3.InternalError))
