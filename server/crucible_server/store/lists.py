"""Pages of scripts and executions, read on a reader's connection at a cost that does not grow with the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import execution_statements as e
from . import script_statements as s
from .database import Connection
from .execution_statements import LISTED, Walk
from .records import ExecutionQuery, ExecutionRecord, ScriptQuery, ScriptStats, ScriptSummary
from .sql import SUCCEEDED

# As many entries are gone through one by one; what has more is read along an index until the page is full.
_FEW = 300
_FIRST, _LAST = -(1 << 63), (1 << 63) - 1
_DETACHED, _REDACTED, _RESULT = (LISTED.index(name) for name in ("detached", "redacted", "result"))


def list_executions(connection: Connection, query: ExecutionQuery) -> list[ExecutionRecord]:
    """A page of executions, without their requests and return values."""
    with connection.snapshot():
        states: Sequence[int | None] = sorted(set(query.states)) or [None]
        rows: list[tuple[Any, ...]] = []
        # Each state is a range of its own in the index: to be read newest first, they are merged here.
        for state in states:
            rows += _page_of_state(connection, query, state)
    records = [_listed(row) for row in rows]
    records.sort(key=lambda record: (record.create_time, record.execution_id), reverse=True)
    return records[: query.limit]


def list_scripts(connection: Connection, query: ScriptQuery) -> list[ScriptSummary]:
    """A page of scripts, without their sources."""
    with connection.snapshot():
        summaries = (script_summary(connection, query.tenant, script) for script in _scripts(connection, query))
        return [summary for summary in summaries if summary is not None]


def script_summary(connection: Connection, tenant: str, script_id: str) -> ScriptSummary | None:
    """A script without its source, or None."""
    row = connection.execute(s.SELECT_SUMMARY, (tenant, script_id)).fetchone()
    if row is None:
        return None
    names = connection.execute(s.SELECT_NAMES, (tenant, script_id))
    return ScriptSummary(*(*row, tuple(name for (name,) in names)))


def script_stats(connection: Connection, tenant: str, scripts: Sequence[str]) -> list[ScriptStats]:
    """The figures of those scripts that are there, in the order asked for."""
    rows = (connection.execute(s.SELECT_STATS, (tenant, script)).fetchone() for script in scripts)
    return [ScriptStats(*row) for row in rows if row is not None]


def _page_of_state(connection: Connection, query: ExecutionQuery, state: int | None) -> list[tuple[Any, ...]]:
    between = _between(query)
    # Of walks that are all long the first is taken: of the executions of a script, most have succeeded.
    walks: dict[Walk, tuple[Any, ...]] = {}
    if state not in (None, SUCCEEDED):
        walks[Walk.STATE] = (query.tenant, *between)
    if query.script_id:
        walks[Walk.SCRIPT] = (query.tenant, query.script_id, *between)
    if query.principal:
        walks[Walk.PRINCIPAL] = (query.tenant, query.principal, *between)
    if state == SUCCEEDED:
        walks[Walk.STATE] = (query.tenant, *between)
    walk = next(iter(walks), Walk.TIME)
    if len(walks) > 1:
        lengths = {
            walk: connection.execute(e.length_of_walk(walk, state), (*parameters, _FEW)).fetchone()[0]
            for walk, parameters in walks.items()
        }
        walk = min(lengths, key=lengths.__getitem__)
    statement = e.page_of_executions(
        walk, of_script=bool(query.script_id), of_principal=bool(query.principal), state=state
    )
    filters = (value for value in (query.script_id, query.principal) if value)
    return connection.execute(statement, (query.tenant, *filters, *between, query.limit)).fetchall()


def _listed(row: tuple[Any, ...]) -> ExecutionRecord:
    values = list(row)
    values[_DETACHED] = bool(values[_DETACHED])
    values[_REDACTED] = bool(values[_REDACTED])
    # The request stands before the result, the return value at the end.
    values.insert(_RESULT, b"")
    values.append(None)
    return ExecutionRecord(*values)


def _scripts(connection: Connection, query: ScriptQuery) -> list[str]:
    prefix = (query.name_prefix, query.name_prefix + "\U0010ffff") if query.name_prefix else ()
    if prefix:
        rows = connection.execute(s.SELECT_NAMED, (query.tenant, *prefix, _FEW)).fetchall()
        if len(rows) < _FEW:
            return _newest_of(connection, query, {script for (script,) in rows})
    statement = s.page_of_scripts(of_principal=bool(query.principal), is_named=bool(prefix))
    principal = (query.principal,) if query.principal else ()
    parameters = (query.tenant, *principal, *_between(query), *prefix, query.limit)
    return [script for _, script in connection.execute(statement, parameters)]


def _newest_of(connection: Connection, query: ScriptQuery, scripts: set[str]) -> list[str]:
    after, before_time, before_id = _between(query)
    found: list[tuple[int, str]] = []
    for script in scripts:
        key = (query.tenant, script)
        (time,) = connection.execute(s.SELECT_SCRIPT_TIME, key).fetchone()
        if time < after or (time, script) >= (before_time, before_id):
            continue
        if query.principal and connection.execute(s.IS_REFERENCED_BY, (*key, query.principal)).fetchone() is None:
            continue
        found.append((time, script))
    return [script for _, script in sorted(found, reverse=True)[: query.limit]]


def _between(query: ExecutionQuery | ScriptQuery) -> tuple[int, int, str]:
    """The first time of a page, and the key that all of it comes before."""
    after = _FIRST if query.created_after is None else query.created_after
    before = (_LAST, "") if query.created_before is None else (query.created_before, "")
    # No id is empty, so an empty one comes before all of its time.
    return after, *(before if query.before is None else min(before, query.before))
