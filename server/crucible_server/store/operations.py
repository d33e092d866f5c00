"""What the writer does: each takes its connection and one argument, within the group's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias

from . import statements as s
from .errors import StoreError, StoreErrorKind
from .records import ExecutionEnd, ExecutionRecord, ScriptRecord, UnitRecord

ScriptWrite: TypeAlias = tuple[ScriptRecord, UnitRecord | None, str | None]
Interruption: TypeAlias = tuple[int, int | None, Callable[[ExecutionRecord], bytes]]

_INSERT_EXECUTION = (s.INSERT_EXECUTION.sql, s.INSERT_EXECUTION.taker())
_FINISH_EXECUTION = (s.FINISH_EXECUTION.sql, s.FINISH_EXECUTION.taker())
_UPSERT_SCRIPT = (s.UPSERT_SCRIPT.sql, s.UPSERT_SCRIPT.taker())
_UPSERT_UNIT = (s.UPSERT_UNIT.sql, s.UPSERT_UNIT.taker())

_BOOLEANS = tuple(
    index for index, field in enumerate(fields(ExecutionRecord)) if field.name in ("detached", "redacted")
)


def execution_of_row(row: tuple[Any, ...]) -> ExecutionRecord:
    """The record in a row of SELECT_EXECUTION or SELECT_UNFINISHED; SQLite has no booleans."""
    values = list(row)
    for index in _BOOLEANS:
        values[index] = bool(values[index])
    return ExecutionRecord(*values)


def put_script(connection: sqlite3.Connection, write: ScriptWrite) -> None:
    """Upserts a script and its unit and points the name at it."""
    script, unit, name = write
    sql, taker = _UPSERT_SCRIPT
    connection.execute(sql, taker(script))
    if unit is not None:
        sql, taker = _UPSERT_UNIT
        connection.execute(sql, taker(unit))
    if name is not None:
        connection.execute(s.UPSERT_NAME.sql, (script.tenant, name, script.script_id, script.last_used_time))


def begin_execution(connection: sqlite3.Connection, execution: ExecutionRecord) -> ExecutionRecord | None:
    """Inserts an execution, or returns the one that has its key."""
    sql, taker = _INSERT_EXECUTION
    if connection.execute(sql, taker(execution)).rowcount == 1:
        return None
    key = (execution.tenant, execution.execution_id)
    return execution_of_row(connection.execute(s.SELECT_EXECUTION.sql, key).fetchone())


def mark_running(connection: sqlite3.Connection, running: tuple[str, str, int]) -> None:
    """Moves a queued execution to RUNNING; any other is left as it is."""
    tenant, execution_id, start_time = running
    connection.execute(s.MARK_RUNNING.sql, (s.RUNNING, start_time, tenant, execution_id))


def finish_execution(connection: sqlite3.Connection, end: ExecutionEnd) -> None:
    """Ends an unfinished execution and stores its output. Raises StoreError for any other."""
    sql, taker = _FINISH_EXECUTION
    if connection.execute(sql, taker(end)).rowcount != 1:
        raise StoreError(
            StoreErrorKind.CONFLICT,
            f"The execution {end.execution_id!r} of tenant {end.tenant!r} cannot be finished: it was never "
            "begun, has been deleted, or has ended before.",
        )
    if end.output:
        connection.execute(s.UPSERT_OUTPUT.sql, (end.tenant, end.execution_id, end.output))


def interrupt_unfinished(connection: sqlite3.Connection, interruption: Interruption) -> int:
    """Ends every unfinished execution as INTERRUPTED; returns their number."""
    now, expire_time, result = interruption
    count = 0
    while rows := connection.execute(s.SELECT_UNFINISHED.sql).fetchall():
        for row in rows:
            execution = execution_of_row(row)
            key = (execution.tenant, execution.execution_id)
            values = (s.INTERRUPTED, now, expire_time, result(execution))
            connection.execute(s.INTERRUPT_EXECUTION.sql, values + key)
        count += len(rows)
    return count


def write_probe(connection: sqlite3.Connection, now: int) -> None:
    """Writes the probe row."""
    connection.execute(s.UPSERT_PROBE.sql, (1, now))
