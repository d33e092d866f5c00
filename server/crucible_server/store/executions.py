"""The store of executions and their output."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

from . import execution_operations as operations
from . import execution_statements as s
from . import lists
from .announcements import CancelRequested
from .base import OpenDatabase, Snapshot
from .database import Database
from .errors import StoreError, StoreErrorKind
from .event_records import EventDraft
from .records import Change, ExecutionEnd, ExecutionQuery, ExecutionRecord, OutputSegment
from .sql import Statement

# How long a RUNNING mark may wait: most executions end sooner, and their end says when they started.
_MARK_DELAY_SECONDS = 0.05
# What an operation may write to count as small.
_SMALL_BYTES = 16 * 1024
# What one transaction deletes at most: others wait for it.
_BATCH = 50
_LATEST = (1 << 63) - 1

_Key: TypeAlias = tuple[str, str]
_Mark: TypeAlias = tuple[int, Sequence[EventDraft]]
"""When an execution began to run, and the events that tell of it."""


class ExecutionStore(OpenDatabase):
    """Executions by (tenant, execution_id)."""

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        super().__init__(database, snapshot)
        self._marks: dict[_Key, _Mark] = {}
        self._posted_marks: dict[_Key, asyncio.Future[Any]] = {}
        self._mark_timer: asyncio.TimerHandle | None = None

    async def begin_execution(
        self, execution: ExecutionRecord, events: Sequence[EventDraft] = ()
    ) -> ExecutionRecord | None:
        """Inserts an execution and tells: None, or the existing one when its (tenant, execution_id) is taken."""
        return await self._write(
            operations.begin_execution,
            execution,
            lambda existing: events if existing is None else (),
            small=len(execution.request) < _SMALL_BYTES,
            committed=lambda existing: self._add_executions(int(existing is None)),
        )

    def mark_running(self, tenant: str, execution_id: str, start_time: int, events: Sequence[EventDraft] = ()) -> None:
        """Notes that a queued execution runs. Readers see it a moment later; an end overtakes it, and tells it too."""
        self._marks[(tenant, execution_id)] = (start_time, events)
        if self._mark_timer is None:
            self._mark_timer = self._loop.call_later(_MARK_DELAY_SECONDS, self._flush)

    async def append_output(self, tenant: str, execution_id: str, segment: OutputSegment) -> None:
        """Adds a segment to the output of an unfinished execution.

        Raises StoreError of kind CONFLICT when it was never begun or has ended, or the segment is there.
        """
        await self._writer.submit(operations.append_output, (tenant, execution_id, segment))

    async def finish_execution(self, end: ExecutionEnd, events: Sequence[EventDraft] = ()) -> None:
        """Ends an execution with its result, the rest of its output and the events that tell of it, all or nothing.

        Raises StoreError of kind CONFLICT when it was never begun or has ended before.
        """
        key = (end.tenant, end.execution_id)
        if (posted := self._posted_marks.get(key)) is not None:
            # Small writes may overtake it, and nothing ends before it starts.
            await asyncio.wait((posted,))
        mark = self._marks.pop(key, None)
        told = events if mark is None else (*mark[1], *events)
        size = len(end.result)
        if end.return_value is not None:
            size += len(end.return_value)
        if end.output is not None:
            size += len(end.output.data)
        try:
            await self._write(operations.finish_execution, end, told, small=size < _SMALL_BYTES)
        except StoreError as error:
            if mark is not None and error.kind is not StoreErrorKind.CONFLICT:
                self._marks[key] = mark
            raise

    async def get_execution(self, tenant: str, execution_id: str) -> ExecutionRecord | None:
        """An execution of this tenant."""
        row = await self._readers.first(s.SELECT_EXECUTION, (tenant, execution_id))
        return None if row is None else operations.execution_of_row(row)

    async def list_executions(self, query: ExecutionQuery) -> list[ExecutionRecord]:
        """A page of executions, newest first, without their requests and return values."""
        return await self._readers.run(lambda connection: lists.list_executions(connection, query))

    async def get_output(self, tenant: str, execution_id: str, after: int = 0) -> OutputSegment | None:
        """The first segment that goes beyond a sequence number."""
        return await self._segment(s.SELECT_SEGMENT, tenant, execution_id, after)

    async def get_output_of(
        self, tenant: str, execution_id: str, is_stderr: bool, after: int = 0
    ) -> OutputSegment | None:
        """The first segment beyond a sequence number that holds something of one stream."""
        statement = s.SELECT_STDERR_SEGMENT if is_stderr else s.SELECT_STDOUT_SEGMENT
        return await self._segment(statement, tenant, execution_id, after)

    async def request_cancel(self, tenant: str, execution_id: str, reason: str) -> None:
        """Asks the server that runs an execution to end it; whether it does shows in the record."""
        await self._writer.submit(operations.request_cancel, CancelRequested(tenant, execution_id, reason))

    async def redact_execution(self, tenant: str, execution_id: str, redact: Callable[[bytes], bytes]) -> Change:
        """Erases the request, return value and output of an ended execution.

        `redact` gives what is left of its serialized ExecutionResult; it is called in the writer's thread, so that
        the result is that of the very execution which is redacted.
        """
        return await self._writer.submit(operations.redact_execution, (tenant, execution_id, redact), compound=True)

    async def delete_execution(self, tenant: str, execution_id: str) -> Change:
        """Deletes an ended execution with its output."""
        return await self._writer.submit(
            operations.delete_execution,
            (tenant, execution_id),
            compound=True,
            committed=lambda change: self._add_executions(-int(change is Change.DONE)),
        )

    async def expire_executions(self, now: int, limit: int = 500) -> int:
        """Deletes up to `limit` executions whose time of expiry has come; returns their number."""
        total = 0
        while total < limit:
            expiry = (now, min(_BATCH, limit - total))
            count = await self._writer.submit(
                operations.expire_executions, expiry, compound=True, committed=self._subtract_executions
            )
            if not count:
                break
            total += count
        return total

    async def trim_executions(self, keep: int, limit: int = 500) -> int:
        """Deletes up to `limit` ended executions, the oldest first, while there are more than `keep`.

        Returns their number.
        """
        await asyncio.shield(self._counting)
        total = 0
        while (size := min(_BATCH, limit - total, self._execution_count - keep)) > 0:
            count = await self._writer.submit(
                operations.trim_executions, size, compound=True, committed=self._subtract_executions
            )
            if not count:
                break
            total += count
        return total

    async def interrupt_unfinished(
        self,
        now: int,
        result: Callable[[ExecutionRecord, int, int], bytes],
        expire_time: int | None = None,
        event: Callable[[ExecutionRecord], EventDraft] | None = None,
    ) -> int:
        """Ends the unfinished executions of servers that are gone as INTERRUPTED, all or none; returns their number.

        With a file of its own that is every one of earlier runs, and to be called at the start only. A shared database
        tells by the servers' leases, and it may be called at any time. `result` gives each its serialized
        ExecutionResult from its record and the bytes of standard output and standard error that are stored, and
        `event` the event that tells of it; both are called in the writer's thread.
        """
        interruption = (now, expire_time, result, event)
        count, _ = await self._write(operations.interrupt_unfinished, interruption, lambda outcome: outcome[1])
        return count

    def _flush(self) -> None:
        super()._flush()
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        marks, self._marks = self._marks, {}
        for key, mark in marks.items():
            posted = self._post(operations.mark_running, (*key, mark[0]), mark[1])
            self._posted_marks[key] = posted
            posted.add_done_callback(partial(self._mark_posted, key, mark))

    def _mark_posted(self, key: _Key, mark: _Mark, posted: asyncio.Future[Any]) -> None:
        del self._posted_marks[key]
        if posted.cancelled() or posted.exception() is not None:
            # It is told with the end, if not before.
            self._marks[key] = mark

    async def _segment(self, statement: Statement, tenant: str, execution_id: str, after: int) -> OutputSegment | None:
        if after >= _LATEST:
            return None
        parameters = (tenant, execution_id, tenant, execution_id, after, after)
        row = await self._readers.first(statement, parameters)
        return None if row is None else OutputSegment(*row)

    def _subtract_executions(self, number: int) -> None:
        self._add_executions(-number)
