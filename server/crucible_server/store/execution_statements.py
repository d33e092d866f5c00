"""Statements on executions and their output."""

from __future__ import annotations

import enum
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    text,
    tuple_,
    update,
)

from .records import ExecutionRecord, OutputSegment
from .sql import (
    QUEUED,
    RUNNING,
    Statement,
    compiled,
    equals,
    fields,
    indexed_by,
    insert_missing,
    number,
    upsert,
)
from .tables import executions, output_segments, probes, servers, settings

LISTED = fields(ExecutionRecord, without=("request", "return_value"))
"""The fields that lists read."""

_key = (equals(executions.c.tenant), equals(executions.c.execution_id))
_unfinished = executions.c.state.in_([number(QUEUED), number(RUNNING)])
# A partial index is found by its own words only.
_has_ended = text("end_time IS NOT NULL")
_of_record = [executions.c[name] for name in fields(ExecutionRecord)]
_ended = select(executions.c.tenant, executions.c.execution_id).with_hint(
    executions, indexed_by("executions_ended"), "sqlite"
)

INSERT_EXECUTION = insert_missing(executions)
SELECT_EXECUTION = compiled(select(*_of_record).where(*_key))
SELECT_STATE = compiled(select(executions.c.state).where(*_key))
SELECT_RESULT = compiled(select(executions.c.result).where(*_key))
SELECT_LOST = compiled(
    select(*_of_record)
    .with_hint(executions, indexed_by("executions_state"), "sqlite")
    .where(_unfinished, ~exists().where(servers.c.instance_id == executions.c.instance_id))
    .limit(number(256))
)
"""Unfinished executions of servers that are not there any more."""
COUNT_EXECUTIONS = compiled(select(func.count()).select_from(executions))
MARK_RUNNING = compiled(update(executions).where(*_key, executions.c.state == number(QUEUED)), ("state", "start_time"))
_ENDED = ("state", "end_time", "expire_time", "result", "last_sequence")
FINISH_EXECUTION = compiled(update(executions).where(*_key, _unfinished), (*_ENDED, "start_time", "return_value"))
INTERRUPT_EXECUTION = compiled(update(executions).where(*_key, _unfinished), _ENDED)
REDACT_EXECUTION = compiled(update(executions).where(*_key), ("request", "return_value", "result", "redacted"))
DELETE_EXECUTION = compiled(delete(executions).where(*_key))

SELECT_EXPIRED = compiled(
    _ended.where(_has_ended, executions.c.expire_time <= bindparam("now"))
    .order_by(executions.c.expire_time)
    .limit(bindparam("limit"))
)
_with_times = _ended.with_only_columns(
    executions.c.end_time, executions.c.tenant, executions.c.execution_id, maintain_column_froms=True
).with_hint(executions, indexed_by("executions_ended"), "sqlite")
SELECT_FIRST_TO_EXPIRE = compiled(
    _with_times.where(_has_ended, executions.c.expire_time.is_not(None))
    .order_by(executions.c.expire_time, executions.c.end_time)
    .limit(bindparam("limit"))
)
SELECT_FIRST_OF_LASTING = compiled(
    _with_times.where(_has_ended, executions.c.expire_time.is_(None))
    .order_by(executions.c.end_time)
    .limit(bindparam("limit"))
)

_segment_key = (equals(output_segments.c.tenant), equals(output_segments.c.execution_id))
_of_segment = [output_segments.c[name] for name in fields(OutputSegment)]
INSERT_SEGMENT = compiled(insert(output_segments), output_segments.columns.keys())
APPEND_SEGMENT = compiled(
    insert(output_segments).from_select(
        output_segments.columns.keys(),
        select(*(bindparam(column.name, type_=column.type) for column in output_segments.columns)).where(
            exists().where(*_key, _unfinished).correlate(None)
        ),
    )
)
"""Inserts nothing when the execution is not there or has ended."""
DELETE_SEGMENTS = compiled(delete(output_segments).where(*_segment_key))
MEASURE_SEGMENTS = compiled(
    select(
        func.coalesce(func.max(output_segments.c.last_sequence), number(0)),
        cast(func.coalesce(func.sum(output_segments.c.stdout_bytes), number(0)), BigInteger),
        cast(func.coalesce(func.sum(output_segments.c.stderr_bytes), number(0)), BigInteger),
    ).where(*_segment_key)
)

UPSERT_PROBE = upsert(probes, ("time",))
SELECT_PROBE = compiled(select(probes.c.time).where(equals(probes.c.probe_id)))
UPSERT_SETTING = upsert(settings, ("value",))
INSERT_SETTING = insert_missing(settings)
SELECT_SETTING = compiled(select(settings.c.value).where(equals(settings.c.name)))


def _segment_after(*conditions: Any) -> Statement:
    # It is the one that begins at the next number or before, or a later one: nothing earlier is read.
    other = output_segments.alias("other")
    begin = (
        select(func.max(other.c.first_sequence))
        .where(
            other.c.tenant == bindparam("tenant"),
            other.c.execution_id == bindparam("execution_id"),
            other.c.first_sequence <= bindparam("after") + number(1),
        )
        .scalar_subquery()
    )
    return compiled(
        select(*_of_segment)
        .where(
            *_segment_key,
            output_segments.c.first_sequence >= func.coalesce(begin, number(0)),
            output_segments.c.last_sequence > bindparam("after"),
            *conditions,
        )
        .order_by(output_segments.c.first_sequence)
        .limit(number(1))
    )


SELECT_SEGMENT = _segment_after()
SELECT_STDOUT_SEGMENT = _segment_after(output_segments.c.stdout_bytes > number(0))
SELECT_STDERR_SEGMENT = _segment_after(output_segments.c.stderr_bytes > number(0))
"""Their parameters: tenant, execution_id, tenant, execution_id, after, after."""


class Walk(enum.Enum):
    """The index along which a page is read."""

    TIME = "executions_time"
    SCRIPT = "executions_script"
    PRINCIPAL = "executions_principal"
    STATE = "executions_state"


@lru_cache
def page_of_executions(walk: Walk, *, of_script: bool, of_principal: bool, state: int | None) -> Statement:
    """The statement of a page, newest first.

    Its parameters: tenant, [script_id,] [principal,] created_after, before_time, before_id, limit.
    """
    return compiled(
        _walked([executions.c[name] for name in LISTED], walk, of_script, of_principal, state)
        .order_by(executions.c.create_time.desc(), executions.c.execution_id.desc())
        .limit(bindparam("limit"))
    )


@lru_cache
def length_of_walk(walk: Walk, state: int | None) -> Statement:
    """How many entries of the index a walk has to read at most, counted up to `limit`. Parameters as above."""
    of_script, of_principal = walk is Walk.SCRIPT, walk is Walk.PRINCIPAL
    of_state = state if walk is Walk.STATE else None
    entries = _walked([literal_column("1")], walk, of_script, of_principal, of_state).limit(bindparam("limit"))
    return compiled(select(func.count()).select_from(entries.subquery()))


def _walked(columns: list[Any], walk: Walk, of_script: bool, of_principal: bool, state: int | None) -> Any:
    query = select(*columns).select_from(executions).with_hint(executions, indexed_by(walk.value), "sqlite")
    query = query.where(equals(executions.c.tenant))
    if of_script:
        query = query.where(equals(executions.c.script_id))
    if of_principal:
        query = query.where(equals(executions.c.principal))
    query = query.where(
        executions.c.create_time >= bindparam("created_after"),
        tuple_(executions.c.create_time, executions.c.execution_id)
        < tuple_(bindparam("before_time"), bindparam("before_id")),
    )
    if state is not None:
        query = query.where(executions.c.state == number(state))
    return query
