"""A database that is open: one writer, some readers, checkpoints beside them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from . import event_operations
from . import execution_operations as operations
from .connection import Synchronous, connect, create_file, database_path
from .errors import StoreError, StoreErrorKind, store_error
from .event_operations import Drafts
from .event_records import StoredEvent
from .execution_statements import COUNT_EXECUTIONS, SELECT_PROBE, SELECT_SETTING
from .lock import FileLock
from .reader import Readers
from .schema import ensure_schema
from .script_statements import COUNT_SCRIPTS
from .writer import Operation, Writer

T = TypeVar("T")

# Operations between checkpoints; some 10 MB of log.
_CHECKPOINT_OPERATIONS = 300
# How long `open` waits for the count of what is stored.
_COUNT_SECONDS = 0.05


class OpenDatabase:
    """Opening, closing, checkpoints and settings; what is stored is added by those that inherit."""

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection, synchronous: Synchronous) -> None:
        """Takes over a lock and a connection that nothing else writes beside. Raises StoreError."""
        self._path = path
        self._lock = lock
        self._readers = Readers(path)
        self._writer = Writer(connection, path, self._committed, waits_for_disk=synchronous == "FULL")
        self._loop = asyncio.get_running_loop()
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self.on_events: Callable[[list[StoredEvent]], None] = lambda _: None
        """Told of events once they are committed. Those of one group come in order; of two groups, either may be told
        first."""
        # What came and went since the store was opened; what was there before is counted beside.
        self._execution_count = 0
        self._script_count = 0
        self._snapshot = _snapshot(path)
        self._counting = self._loop.create_task(self._count())
        # Whoever needs the count is told; nobody may.
        self._counting.add_done_callback(lambda task: task.cancelled() or task.exception())

    @classmethod
    async def open(cls, url: str, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> Self:
        """Opens `sqlite:///PATH`, creating or upgrading it. Raises StoreError, which says what to do."""
        path = database_path(url)
        lock, connection = await asyncio.to_thread(_prepare, path, synchronous)
        try:
            store = cls(path, lock, connection, synchronous)
        except BaseException:
            connection.close()
            lock.release()
            raise
        await asyncio.wait((store._counting,), timeout=_COUNT_SECONDS)
        return store

    async def close(self) -> None:
        """Writes what is queued and closes. Calling it again only waits for the first."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = self._loop.create_future()
        try:
            self._flush()
            if not self._counting.done():
                self._snapshot.interrupt()
            await asyncio.wait((self._counting,))
            if self._checkpoint is not None:
                await self._checkpoint
            # The writer goes last: the last connection to close folds the log back into the database.
            await self._readers.close()
            await self._writer.close()
            self._lock.release()
        finally:
            self._closing.set_result(None)

    @property
    def execution_count(self) -> int:
        """Executions of all tenants; in a large store, for a moment after `open`, only those that came since."""
        return self._execution_count

    @property
    def script_count(self) -> int:
        """Scripts of all tenants; likewise."""
        return self._script_count

    async def get_setting(self, name: str) -> bytes | None:
        """What was put under this name last."""
        row = await self._readers.first(SELECT_SETTING, (name,))
        return None if row is None else bytes(row[0])

    async def put_setting(self, name: str, value: bytes) -> None:
        """Keeps a value under a name, in place of an earlier one."""
        await self._writer.submit(operations.put_setting, (name, value))

    async def check(self) -> None:
        """Writes a probe row and reads it back."""
        now = time.time_ns()
        await self._writer.submit(operations.write_probe, now)
        row = await self._readers.first(SELECT_PROBE, (1,))
        if row is None or row[0] < now:
            raise StoreError(
                StoreErrorKind.UNAVAILABLE,
                f"The store {self._path} does not give back what was written: expected {now}, got {row}. "
                "Check whether another program has replaced the file; restart the server.",
            )

    async def _write(
        self,
        operation: Operation[T],
        argument: Any,
        events: Drafts,
        *,
        small: bool = False,
        committed: Callable[[T], None] = lambda _: None,
    ) -> T:
        """Does an operation together with the events that tell of it, all or nothing."""

        def both_committed(both: tuple[T, list[StoredEvent]]) -> None:
            committed(both[0])
            self._tell(both[1])

        both: tuple[T, list[StoredEvent]] = await self._writer.submit(
            event_operations.tell, (operation, argument, events), compound=True, small=small, committed=both_committed
        )
        return both[0]

    def _post(self, operation: Operation[Any], argument: Any, events: Drafts) -> None:
        """The same, when nobody waits for the outcome. Raises StoreError when the store is closed."""
        write = (operation, argument, events)
        future = self._writer.submit(
            event_operations.tell, write, compound=True, committed=lambda both: self._tell(both[1])
        )
        future.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _tell(self, events: list[StoredEvent]) -> None:
        if events:
            self.on_events(events)

    def _flush(self) -> None:
        """Queues what was only noted so far."""

    async def _count(self) -> None:
        # A million executions may take a second, which the start of a server does not wait for.
        try:
            executions, scripts = await asyncio.to_thread(_count, self._snapshot, self._path)
        finally:
            self._snapshot.close()
        self._add_executions(executions)
        self._add_scripts(scripts)

    def _add_executions(self, number: int) -> None:
        self._execution_count += number

    def _add_scripts(self, number: int) -> None:
        self._script_count += number

    def _committed(self, count: int) -> None:
        self._since_checkpoint += count
        due = self._since_checkpoint >= _CHECKPOINT_OPERATIONS
        if due and self._checkpoint is None and self._closing is None:
            self._since_checkpoint = 0
            self._checkpoint = self._loop.create_task(self._make_checkpoint())

    async def _make_checkpoint(self) -> None:
        # A checkpoint waits for the disk; in the writer's own thread every caller would wait with it.
        try:
            await asyncio.to_thread(_checkpoint, self._path)
        except StoreError:
            # Nothing is lost: the log grows until the next one, or the writer's own, succeeds.
            pass
        finally:
            self._checkpoint = None


def _prepare(path: Path, synchronous: Synchronous) -> tuple[FileLock, sqlite3.Connection]:
    if synchronous not in ("NORMAL", "FULL"):
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"`store_synchronous` should be NORMAL or FULL but is {synchronous!r}.",
        )
    create_file(path)
    lock = FileLock(path)
    try:
        ensure_schema(path)
        return lock, connect(path, read_only=False, synchronous=synchronous)
    except sqlite3.Error as error:
        lock.release()
        raise store_error(error, path) from error
    except BaseException:
        lock.release()
        raise


def _snapshot(path: Path) -> sqlite3.Connection:
    """A connection that sees the store as it is now for as long as it is open."""
    try:
        connection = connect(path, read_only=True)
        try:
            connection.execute("BEGIN")
            connection.execute(SELECT_PROBE.sql, (1,)).fetchone()
        except sqlite3.Error:
            connection.close()
            raise
        return connection
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def _count(snapshot: sqlite3.Connection, path: Path) -> tuple[int, int]:
    try:
        (executions,) = snapshot.execute(COUNT_EXECUTIONS.sql).fetchone()
        (scripts,) = snapshot.execute(COUNT_SCRIPTS.sql).fetchone()
        return executions, scripts
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def _checkpoint(path: Path) -> None:
    try:
        connection = connect(path, read_only=False)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise store_error(error, path) from error
