"""What the writer does to executions: each takes its connection and one argument, within the group's transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeAlias

from . import execution_statements as s
from .announcements import CancelRequested
from .database import Connection
from .errors import StoreError, StoreErrorKind
from .event_records import EventDraft
from .records import Change, ExecutionEnd, ExecutionRecord, OutputSegment
from .script_statements import COUNT_EXECUTION
from .sql import INTERRUPTED, QUEUED, RUNNING

Interruption: TypeAlias = tuple[
    int,
    int | None,
    Callable[[ExecutionRecord, int, int], bytes],
    Callable[[ExecutionRecord], EventDraft] | None,
]
Appending: TypeAlias = tuple[str, str, OutputSegment]
Redaction: TypeAlias = tuple[str, str, Callable[[bytes], bytes]]

# Outputs differ in size by factors of a million: a batch of deletions is bounded by its time.
_BATCH_SECONDS = 0.02

_INSERT_EXECUTION = (s.INSERT_EXECUTION, s.INSERT_EXECUTION.taker())
_FINISH_EXECUTION = (s.FINISH_EXECUTION, s.FINISH_EXECUTION.taker())
_COUNT_EXECUTION = (COUNT_EXECUTION, COUNT_EXECUTION.taker())

_BOOLEANS = tuple(
    index for index, field in enumerate(fields(ExecutionRecord)) if field.name in ("detached", "redacted")
)


def execution_of_row(row: tuple[Any, ...]) -> ExecutionRecord:
    """The record in a row of SELECT_EXECUTION or SELECT_LOST; SQLite has no booleans."""
    values = list(row)
    for index in _BOOLEANS:
        values[index] = bool(values[index])
    return ExecutionRecord(*values)


def begin_execution(connection: Connection, execution: ExecutionRecord) -> ExecutionRecord | None:
    """Inserts an execution, or returns the one that has its key."""
    statement, taker = _INSERT_EXECUTION
    if connection.execute(statement, taker(execution)).rowcount == 1:
        return None
    key = (execution.tenant, execution.execution_id)
    return execution_of_row(connection.execute(s.SELECT_EXECUTION, key).fetchone())


def mark_running(connection: Connection, running: tuple[str, str, int]) -> None:
    """Moves a queued execution to RUNNING; any other is left as it is."""
    tenant, execution_id, start_time = running
    connection.execute(s.MARK_RUNNING, (RUNNING, start_time, tenant, execution_id))


def append_output(connection: Connection, appending: Appending) -> None:
    """Adds a segment to the output of an unfinished execution. Raises StoreError for any other."""
    tenant, execution_id, segment = appending
    values = (*_segment_values(tenant, execution_id, segment), tenant, execution_id)
    if connection.execute(s.APPEND_SEGMENT, values).rowcount != 1:
        raise _not_unfinished(tenant, execution_id, "get more output")


def finish_execution(connection: Connection, end: ExecutionEnd) -> None:
    """Ends an unfinished execution, stores the rest of its output, adds to its script's figures.

    Raises StoreError for any other execution.
    """
    statement, taker = _FINISH_EXECUTION
    if connection.execute(statement, taker(end)).rowcount != 1:
        raise _not_unfinished(end.tenant, end.execution_id, "be finished")
    statement, taker = _COUNT_EXECUTION
    connection.execute(statement, taker(end))
    if end.output is not None:
        connection.execute(s.INSERT_SEGMENT, _segment_values(end.tenant, end.execution_id, end.output))


def interrupt_unfinished(connection: Connection, interruption: Interruption) -> tuple[int, list[EventDraft]]:
    """Ends the unfinished executions of servers that are gone, with the output they have.

    Returns their number, and the events that tell of them.
    """
    now, expire_time, result, event = interruption
    connection.end_lapsed_leases()
    count = 0
    told: list[EventDraft] = []
    while rows := connection.execute(s.SELECT_LOST).fetchall():
        for row in rows:
            execution = execution_of_row(row)
            key = (execution.tenant, execution.execution_id)
            last_sequence, stdout, stderr = connection.execute(s.MEASURE_SEGMENTS, key).fetchone()
            values = (INTERRUPTED, now, expire_time, last_sequence, result(execution, stdout, stderr))
            connection.execute(s.INTERRUPT_EXECUTION, values + key)
            time_ns = 0 if execution.start_time is None else max(now - execution.start_time, 0)
            figures = (now, False, time_ns, time_ns, 0, now, now, execution.tenant, execution.script_id)
            connection.execute(COUNT_EXECUTION, figures)
            if event is not None:
                told.append(event(execution))
        count += len(rows)
    return count, told


def redact_execution(connection: Connection, redaction: Redaction) -> Change:
    """Erases what the execution (tenant, execution_id, _) contains; (_, _, redact) says what is left of its result."""
    tenant, execution_id, redact = redaction
    obstacle = _obstacle(connection, tenant, execution_id)
    if obstacle is not None:
        return obstacle
    (stored,) = connection.execute(s.SELECT_RESULT, (tenant, execution_id)).fetchone()
    result = redact(stored or b"")
    with connection.erasing():
        connection.execute(s.DELETE_SEGMENTS, (tenant, execution_id))
        connection.execute(s.REDACT_EXECUTION, (True, result, b"", None, tenant, execution_id))
    return Change.DONE


def delete_execution(connection: Connection, key: tuple[str, str]) -> Change:
    """Deletes the execution (tenant, execution_id) with its output."""
    obstacle = _obstacle(connection, *key)
    if obstacle is not None:
        return obstacle
    with connection.erasing():
        _delete(connection, key)
    return Change.DONE


def expire_executions(connection: Connection, expiry: tuple[int, int]) -> int:
    """Deletes up to (_, limit) executions whose time of expiry is (now, _) or earlier; returns their number."""
    return _delete_some(connection, connection.execute(s.SELECT_EXPIRED, expiry).fetchall())


def trim_executions(connection: Connection, limit: int) -> int:
    """Deletes up to `limit` executions, those that ended first; returns their number."""
    # Those that expire, and those that do not, by one index; within either, the end decides.
    found = connection.execute(s.SELECT_FIRST_TO_EXPIRE, (limit,)).fetchall()
    found += connection.execute(s.SELECT_FIRST_OF_LASTING, (limit,)).fetchall()
    return _delete_some(connection, [(tenant, execution_id) for _, tenant, execution_id in sorted(found)[:limit]])


def write_probe(connection: Connection, now: int) -> None:
    """Writes the probe row."""
    connection.execute(s.UPSERT_PROBE, (1, now))


def put_setting(connection: Connection, setting: tuple[str, bytes]) -> None:
    """Writes the setting (name, value)."""
    connection.execute(s.UPSERT_SETTING, setting)


def claim_setting(connection: Connection, setting: tuple[str, bytes]) -> bytes:
    """Writes the setting (name, value) unless there is one; returns the value that it has."""
    connection.execute(s.INSERT_SETTING, setting)
    return bytes(connection.execute(s.SELECT_SETTING, setting[:1]).fetchone()[0])


def may_sweep(connection: Connection, _: None) -> bool:
    """Whether this server is the one that deletes what is too old."""
    return connection.may_sweep()


def request_cancel(connection: Connection, request: CancelRequested) -> None:
    """Tells the server that runs an execution."""
    connection.announce(request)


def _delete_some(connection: Connection, keys: Sequence[tuple[str, str]]) -> int:
    """Deletes at least the first, and no more once others have waited long enough; returns how many."""
    until = time.monotonic() + _BATCH_SECONDS
    for count, key in enumerate(keys, 1):
        _delete(connection, key)
        if time.monotonic() > until:
            return count
    return len(keys)


def _delete(connection: Connection, key: tuple[str, str]) -> None:
    connection.execute(s.DELETE_SEGMENTS, key)
    connection.execute(s.DELETE_EXECUTION, key)


def _obstacle(connection: Connection, tenant: str, execution_id: str) -> Change | None:
    row = connection.execute(s.SELECT_STATE, (tenant, execution_id)).fetchone()
    if row is None:
        return Change.ABSENT
    return Change.UNFINISHED if row[0] in (QUEUED, RUNNING) else None


def _segment_values(tenant: str, execution_id: str, segment: OutputSegment) -> tuple[Any, ...]:
    return (
        tenant,
        execution_id,
        segment.first_sequence,
        segment.last_sequence,
        segment.stdout_bytes,
        segment.stderr_bytes,
        segment.data,
    )


def _not_unfinished(tenant: str, execution_id: str, what: str) -> StoreError:
    return StoreError(
        StoreErrorKind.CONFLICT,
        f"The execution {execution_id!r} of tenant {tenant!r} cannot {what}: it was never begun, has been "
        "deleted, or has ended before.",
    )
