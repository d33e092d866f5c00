"""The store as the engine sees it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from . import operations
from . import statements as s
from .connection import Synchronous, connect, create_file, database_path
from .errors import StoreError, StoreErrorKind, store_error
from .lock import FileLock
from .reader import Readers
from .records import ExecutionEnd, ExecutionRecord, ScriptRecord, UnitRecord
from .schema import ensure_schema
from .writer import Writer

# How long a RUNNING mark may wait: most executions end sooner, and their end says when they started.
_MARK_DELAY_SECONDS = 0.05
# What an operation may write to count as small.
_SMALL_BYTES = 16 * 1024
# Operations between checkpoints; some 4 MB of log.
_CHECKPOINT_OPERATIONS = 1000


class Store:
    """Scripts, names, byte code, executions and output in one database.

    Every awaited write is committed when it returns: it survives a killed server, and with `synchronous` FULL
    a power loss as well. Cancelling a caller does not take its write back. All methods raise StoreError. Used
    from the event loop that opened it.
    """

    def __init__(self, path: Path, lock: FileLock, connection: sqlite3.Connection, synchronous: Synchronous) -> None:
        self._path = path
        self._lock = lock
        self._readers = Readers(path)
        self._writer = Writer(connection, path, self._committed, waits_for_disk=synchronous == "FULL")
        self._loop = asyncio.get_running_loop()
        self._marks: dict[tuple[str, str], int] = {}
        self._mark_timer: asyncio.TimerHandle | None = None
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, url: str, *, synchronous: Literal["NORMAL", "FULL"] = "NORMAL") -> Store:
        """Opens `sqlite:///PATH`, creating or upgrading it. Raises StoreError, which says what to do."""
        path = database_path(url)
        lock, connection = await asyncio.to_thread(_prepare, path, synchronous)
        return cls(path, lock, connection, synchronous)

    async def close(self) -> None:
        """Writes what is queued and closes. Calling it again only waits for the first."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = self._loop.create_future()
        try:
            self._flush_marks()
            if self._checkpoint is not None:
                await self._checkpoint
            # The writer goes last: the last connection to close folds the log back into the database.
            await self._readers.close()
            await self._writer.close()
            self._lock.release()
        finally:
            self._closing.set_result(None)

    async def put_script(self, script: ScriptRecord, unit: UnitRecord | None, name: str | None) -> None:
        """Stores a script with its byte code and points the name at it, all or nothing.

        A script that exists keeps `create_time` and `principal`.
        """
        await self._writer.submit(operations.put_script, (script, unit, name), compound=True)

    async def get_script(self, tenant: str, script_id: str) -> ScriptRecord | None:
        """A script of this tenant."""
        row = await self._readers.first(s.SELECT_SCRIPT, (tenant, script_id))
        return None if row is None else ScriptRecord(*row)

    async def resolve_name(self, tenant: str, name: str) -> str | None:
        """The id of the script that a name points at."""
        row = await self._readers.first(s.SELECT_NAME, (tenant, name))
        return None if row is None else str(row[0])

    async def get_unit(self, unit_key: str) -> UnitRecord | None:
        """Byte code, not verified."""
        row = await self._readers.first(s.SELECT_UNIT, (unit_key,))
        return None if row is None else UnitRecord(*row)

    async def begin_execution(self, execution: ExecutionRecord) -> ExecutionRecord | None:
        """Inserts an execution: None, or the existing one when its (tenant, execution_id) is taken."""
        return await self._writer.submit(
            operations.begin_execution, execution, small=len(execution.request) < _SMALL_BYTES
        )

    def mark_running(self, tenant: str, execution_id: str, start_time: int) -> None:
        """Notes that a queued execution runs. Readers see it a moment later; an end overtakes it."""
        self._marks[(tenant, execution_id)] = start_time
        if self._mark_timer is None:
            self._mark_timer = self._loop.call_later(_MARK_DELAY_SECONDS, self._flush_marks)

    async def finish_execution(self, end: ExecutionEnd) -> None:
        """Ends an execution with its result and output, all or nothing.

        Raises StoreError of kind CONFLICT when it was never begun or has ended before.
        """
        self._marks.pop((end.tenant, end.execution_id), None)
        small = len(end.result) + len(end.output) < _SMALL_BYTES
        await self._writer.submit(operations.finish_execution, end, compound=bool(end.output), small=small)

    async def get_execution(self, tenant: str, execution_id: str) -> ExecutionRecord | None:
        """An execution of this tenant."""
        row = await self._readers.first(s.SELECT_EXECUTION, (tenant, execution_id))
        return None if row is None else operations.execution_of_row(row)

    async def get_output(self, tenant: str, execution_id: str) -> bytes:
        """The output log of an execution; `b""` when there is none."""
        row = await self._readers.first(s.SELECT_OUTPUT, (tenant, execution_id))
        return b"" if row is None else bytes(row[0])

    async def interrupt_unfinished(
        self, now: int, result: Callable[[ExecutionRecord], bytes], expire_time: int | None = None
    ) -> int:
        """Ends every unfinished execution as INTERRUPTED, all or none; returns their number.

        For start-up, when all of them belong to earlier runs of the server. `result` gives each its
        serialized ExecutionResult; it is called in the writer's thread.
        """
        interruption = (now, expire_time, result)
        return await self._writer.submit(operations.interrupt_unfinished, interruption, compound=True)

    async def check(self) -> None:
        """Writes a probe row and reads it back."""
        now = time.time_ns()
        await self._writer.submit(operations.write_probe, now)
        row = await self._readers.first(s.SELECT_PROBE, (1,))
        if row is None or row[0] < now:
            raise StoreError(
                StoreErrorKind.UNAVAILABLE,
                f"The store {self._path} does not give back what was written: expected {now}, got {row}. "
                "Check whether another program has replaced the file; restart the server.",
            )

    def _flush_marks(self) -> None:
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        for (tenant, execution_id), start_time in self._marks.items():
            self._writer.post(operations.mark_running, (tenant, execution_id, start_time))
        self._marks.clear()

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
