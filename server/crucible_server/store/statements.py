"""The statements, built once by SQLAlchemy's expression language and run as text, at no cost per call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from sqlalchemy import ClauseElement, Column, Table, bindparam, literal_column, select, update
from sqlalchemy.dialects import sqlite

from .records import ExecutionEnd, ExecutionRecord, ScriptRecord, UnitRecord
from .tables import execution_outputs, executions, probes, script_names, scripts, units

QUEUED = 1
RUNNING = 2
INTERRUPTED = 6

_DIALECT = sqlite.dialect(paramstyle="qmark")


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """SQL text and the names of its parameters in order."""

    sql: str
    names: tuple[str, ...]

    def taker(self) -> Callable[[Any], tuple[Any, ...]]:
        """A function that takes the parameters from an object's attributes."""
        return attrgetter(*self.names)


def _compile(clause: ClauseElement, columns: Iterable[str] | None = None) -> Statement:
    keys = None if columns is None else list(columns)
    compiled: Any = clause.compile(dialect=_DIALECT, column_keys=keys)
    return Statement(str(compiled), tuple(compiled.positiontup or ()))


def _fields(record: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(record))


def _columns(table: Table, record: type) -> list[Column[Any]]:
    return [table.c[name] for name in _fields(record)]


def _is(column: Column[Any]) -> Any:
    return column == bindparam(column.name)


def _number(value: int) -> Any:
    return literal_column(str(value))


def _upsert(table: Table, updated: Iterable[str]) -> Statement:
    insert = sqlite.insert(table)
    clause = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: insert.excluded[name] for name in updated},
    )
    return _compile(clause, table.columns.keys())


_execution_key = (_is(executions.c.tenant), _is(executions.c.execution_id))
_unfinished = executions.c.state.in_([_number(QUEUED), _number(RUNNING)])

UPSERT_SCRIPT = _upsert(scripts, ("last_used_time", "source_bytes", "functions", "source"))
UPSERT_NAME = _upsert(script_names, ("script_id", "update_time"))
UPSERT_UNIT = _upsert(units, ("tenant", "script_id", "create_time", "mac", "unit"))
SELECT_SCRIPT = _compile(
    select(*_columns(scripts, ScriptRecord)).where(_is(scripts.c.tenant), _is(scripts.c.script_id))
)
SELECT_NAME = _compile(select(script_names.c.script_id).where(_is(script_names.c.tenant), _is(script_names.c.name)))
SELECT_UNIT = _compile(select(*_columns(units, UnitRecord)).where(_is(units.c.unit_key)))

INSERT_EXECUTION = _compile(sqlite.insert(executions).on_conflict_do_nothing(), _fields(ExecutionRecord))
SELECT_EXECUTION = _compile(select(*_columns(executions, ExecutionRecord)).where(*_execution_key))
SELECT_UNFINISHED = _compile(
    select(*_columns(executions, ExecutionRecord)).where(_unfinished).limit(_number(256)).offset(_number(0))
)
MARK_RUNNING = _compile(
    update(executions).where(*_execution_key, executions.c.state == _number(QUEUED)), ("state", "start_time")
)
FINISH_EXECUTION = _compile(
    update(executions).where(*_execution_key, _unfinished),
    [name for name in _fields(ExecutionEnd) if name not in ("tenant", "execution_id", "output")],
)
INTERRUPT_EXECUTION = _compile(
    update(executions).where(*_execution_key, _unfinished), ("state", "end_time", "expire_time", "result")
)
UPSERT_OUTPUT = _upsert(execution_outputs, ("output",))
SELECT_OUTPUT = _compile(
    select(execution_outputs.c.output).where(_is(execution_outputs.c.tenant), _is(execution_outputs.c.execution_id))
)
UPSERT_PROBE = _upsert(probes, ("time",))
SELECT_PROBE = _compile(select(probes.c.time).where(_is(probes.c.probe_id)))
