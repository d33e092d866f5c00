"""A database that is open: one writer, some readers, checkpoints beside them."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Literal, Self

from . import execution_operations as operations
from .connection import Synchronous, connect, create_file, database_path
from .errors import StoreError, StoreErrorKind, store_error
from .execution_statements import COUNT_EXECUTIONS, SELECT_PROBE, SELECT_SETTING
from .lock import FileLock
from .reader import Readers
from .schema import ensure_schema
from .script_statements import COUNT_SCRIPTS
from .writer import Writer

# Operations between checkpoints; some 4 MB of log.
_CHECKPOINT_OPERATIONS = 1000


class OpenDatabase:
    """Opening, closing, checkpoints and settings; what is stored is added by those that inherit."""

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection, synchronous: Synchronous) -> None:
        self._path = path
        self._lock = lock
        self._readers = Readers(path)
        self._writer = Writer(connection, path, self._committed, waits_for_disk=synchronous == "FULL")
        self._loop = asyncio.get_running_loop()
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._execution_count = 0
        self._script_count = 0

    @classmethod
    async def open(cls, url: str, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> Self:
        """Opens `sqlite:///PATH`, creating or upgrading it. Raises StoreError, which says what to do."""
        path = database_path(url)
        lock, connection = await asyncio.to_thread(_prepare, path, synchronous)
        store = cls(path, lock, connection, synchronous)
        try:
            await store._count()
        except BaseException:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        """Writes what is queued and closes. Calling it again only waits for the first."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = self._loop.create_future()
        try:
            self._flush()
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
        """Executions of all tenants."""
        return self._execution_count

    @property
    def script_count(self) -> int:
        """Scripts of all tenants."""
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

    def _flush(self) -> None:
        """Queues what was only noted so far."""

    async def _count(self) -> None:
        executions = await self._readers.first(COUNT_EXECUTIONS, ())
        scripts = await self._readers.first(COUNT_SCRIPTS, ())
        self._add_executions(0 if executions is None else executions[0])
        self._add_scripts(0 if scripts is None else scripts[0])

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


def _checkpoint(path: Path) -> None:
    try:
        connection = connect(path, read_only=False)
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise store_error(error, path) from error
