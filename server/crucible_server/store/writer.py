"""The one writer: executes all waiting operations in one transaction, then answers them all.

A commit that does not wait for the disk takes less time than waking a thread for it: small operations are then executed
in the event loop, those of one turn together. A thread takes the others, and all of them while the disk is slow or
another program holds the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from .connection import BUSY_SECONDS
from .errors import StoreError, StoreErrorKind, store_closed, store_error

T = TypeVar("T")

Operation = Callable[[sqlite3.Connection, Any], T]
"""Does its work on the connection inside the group's transaction. What it raises is its caller's alone."""

# Bounds how long the first of a group waits for the last.
_MAX_GROUP = 256
# The event loop may stand still this long for the database; after that the thread has it for a while.
_PATIENCE_SECONDS = 0.02
_THREAD_SECONDS = 1.0


class _Write:
    """An operation on its way. `error` and `result` are the writer's until the future is resolved."""

    __slots__ = ("argument", "committed", "compound", "error", "future", "operation", "result")

    def __init__(
        self,
        operation: Operation[Any],
        argument: Any,
        compound: bool,
        future: asyncio.Future[Any] | None,
        committed: Callable[[Any], None] | None = None,
    ) -> None:
        self.operation = operation
        self.argument = argument
        self.compound = compound
        self.future = future
        self.committed = committed
        self.result: Any = None
        self.error: Exception | None = None


class Writer:
    """Owns the only writing connection. To be used from one event loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        committed: Callable[[int], None] = lambda _size: None,
        *,
        waits_for_disk: bool = True,
    ) -> None:
        """Takes over a connection in autocommit mode; tells `committed`, in the loop, each group's size.

        With `waits_for_disk`, when each commit is to reach the disk, nothing is executed in the event loop.
        """
        self._connection = connection
        self._path = path
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Write | None] = SimpleQueue()
        self._closed = False
        self._waits_for_disk = waits_for_disk
        self._connection_lock = threading.Lock()
        self._pending: list[_Write] = []
        self._thread_until = 0.0
        self._set_patience(_PATIENCE_SECONDS)
        # A daemon, so that a store that was never closed does not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="crucible-store-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        operation: Operation[T],
        argument: Any,
        *,
        compound: bool = False,
        small: bool = False,
        committed: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """Queues an operation. The future is resolved once its transaction is committed.

        `compound` operations execute several statements that must succeed or fail together. `small` ones write
        a few kilobytes and may be executed in the event loop. Cancelling the future does not take the
        operation back; `committed` is told the outcome in the event loop even then. Raises StoreError when the
        writer is closed.
        """
        self._check_open()
        future: asyncio.Future[T] = self._loop.create_future()
        write = _Write(operation, argument, compound, future, committed)
        if not small or self._waits_for_disk or self._loop.time() < self._thread_until:
            self._queue.put(write)
        else:
            if not self._pending:
                self._loop.call_soon(self._execute_pending)
            self._pending.append(write)
        return future

    def post(self, operation: Operation[Any], argument: Any) -> None:
        """Queues an operation whose outcome nobody waits for. Raises StoreError when the writer is closed."""
        self._check_open()
        self._queue.put(_Write(operation, argument, False, None))

    async def close(self) -> None:
        """Executes what is queued, then closes the connection."""
        if not self._closed:
            self._closed = True
            self._execute_pending()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _check_open(self) -> None:
        if self._closed:
            raise store_closed(self._path)

    def _run(self) -> None:
        running = True
        while running:
            group: list[_Write] = []
            write = self._queue.get()
            try:
                while write is not None:
                    group.append(write)
                    if len(group) == _MAX_GROUP:
                        break
                    write = self._queue.get_nowait()
                else:
                    running = False
            except Empty:
                pass
            if group:
                with self._connection_lock:
                    self._set_patience(BUSY_SECONDS)
                    self._execute(group)
                    self._set_patience(_PATIENCE_SECONDS)
                # A closed event loop has nobody left who waits.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._resolve, group)
        self._connection.close()

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
            for write in [write for write in group if _is_locked(write.error)]:
                group.remove(write)
                write.error = None
                self._queue.put(write)
        self._resolve(group)

    def _set_patience(self, seconds: float) -> None:
        """How long SQLite waits for another program that holds the database."""
        self._connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def _execute(self, group: Sequence[_Write]) -> None:
        connection = self._connection
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

    def _apply(self, write: _Write) -> None:
        try:
            write.result = write.operation(self._connection, write.argument)
        except Exception as error:
            if _fails_group(error):
                raise
            write.error = store_error(error, self._path) if isinstance(error, sqlite3.Error) else error

    def _apply_compound(self, write: _Write) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT operation")
        self._apply(write)
        if write.error is not None:
            connection.execute("ROLLBACK TO operation")
        connection.execute("RELEASE operation")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            # An error here is seen again, and reported, by the BEGIN of the next group.
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _resolve(self, group: Sequence[_Write]) -> None:
        for write in group:
            if write.committed is not None and write.error is None:
                write.committed(write.result)
            future = write.future
            if future is None or future.done():
                continue
            if write.error is None:
                future.set_result(write.result)
            else:
                future.set_exception(write.error)
        self._committed(len(group))


def _is_locked(error: Exception | None) -> bool:
    return isinstance(error, StoreError) and error.kind is StoreErrorKind.LOCKED


def _fails_group(error: Exception) -> bool:
    # Full disks, I/O errors, locks and damage concern the transaction, and SQLite may have rolled it back
    # already; constraints and wrong types concern one statement only.
    if type(error) is sqlite3.DatabaseError:
        return True
    return isinstance(error, (sqlite3.OperationalError, sqlite3.InternalError))
