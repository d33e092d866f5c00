"""Statements on scripts, their names, byte code and figures."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import (
    BindParameter,
    Boolean,
    Integer,
    LargeBinary,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from .records import ScriptRecord, ScriptStats, ScriptSummary, UnitRecord
from .sql import Statement, compiled, compiled_insert, equals, fields, indexed_by, insert_missing, larger, upsert
from .tables import script_names, script_references, script_stats, scripts, units
from .types import Text

_script_key = (equals(scripts.c.tenant), equals(scripts.c.script_id))
_stats_key = (equals(script_stats.c.tenant), equals(script_stats.c.script_id))
_with_stats = scripts.join(
    script_stats,
    (script_stats.c.tenant == scripts.c.tenant) & (script_stats.c.script_id == scripts.c.script_id),
)
_of_both = {**{column.name: column for column in scripts.columns}, "last_used_time": script_stats.c.last_used_time}
_FIGURES = (
    "total_executions",
    "successful_executions",
    "total_time_ns",
    "max_time_ns",
    "max_memory_bytes",
)

INSERT_SCRIPT = insert_missing(scripts)
UPDATE_SCRIPT = compiled(update(scripts).where(*_script_key), ("source_bytes", "functions", "source"))
SELECT_SCRIPT = compiled(
    select(*(_of_both[name] for name in fields(ScriptRecord))).select_from(_with_stats).where(*_script_key)
)
SELECT_SUMMARY = compiled(
    select(*(_of_both[name] for name in fields(ScriptSummary, without=("names",))))
    .select_from(_with_stats)
    .where(*_script_key)
)
SCRIPT_EXISTS = compiled(select(literal_column("1")).select_from(scripts).where(*_script_key))
SELECT_SCRIPT_TIME = compiled(select(scripts.c.create_time).where(*_script_key))
COUNT_SCRIPTS = compiled(select(func.count()).select_from(scripts))

# The reference takes over the script's time, which may be older than the call that stores it.
_reference = select(scripts.c.tenant, scripts.c.script_id, bindparam("principal", type_=Text), scripts.c.create_time)
INSERT_REFERENCE = compiled_insert(
    lambda insert: (
        insert(script_references)
        .from_select(["tenant", "script_id", "principal", "create_time"], _reference.where(*_script_key))
        .on_conflict_do_nothing()
    )
)
DELETE_REFERENCE = compiled(
    delete(script_references).where(
        equals(script_references.c.tenant),
        equals(script_references.c.script_id),
        equals(script_references.c.principal),
    )
)
SELECT_REFERENCE = compiled(
    select(literal_column("1"))
    .select_from(script_references)
    .where(equals(script_references.c.tenant), equals(script_references.c.script_id))
    .limit(literal_column("1"))
)
IS_REFERENCED_BY = compiled(
    select(literal_column("1"))
    .select_from(script_references)
    .where(
        equals(script_references.c.tenant),
        equals(script_references.c.script_id),
        equals(script_references.c.principal),
    )
)

UPSERT_NAME = upsert(script_names, ("script_id", "update_time"))
SELECT_NAME = compiled(
    select(script_names.c.script_id).where(equals(script_names.c.tenant), equals(script_names.c.name))
)
SELECT_NAMES = compiled(
    select(script_names.c.name)
    .where(equals(script_names.c.tenant), equals(script_names.c.script_id))
    .order_by(script_names.c.name)
)
DELETE_NAME = compiled(delete(script_names).where(equals(script_names.c.tenant), equals(script_names.c.name)))

UPSERT_STATS = upsert(
    script_stats,
    values=lambda excluded: {"last_used_time": larger(script_stats.c.last_used_time, excluded.last_used_time)},
)
TOUCH_SCRIPT = compiled(
    update(script_stats)
    .where(*_stats_key)
    .values(last_used_time=larger(script_stats.c.last_used_time, bindparam("time")))
)
_end: BindParameter[int] = bindparam("end_time")
COUNT_EXECUTION = compiled(
    update(script_stats)
    .where(*_stats_key)
    .values(
        last_used_time=larger(script_stats.c.last_used_time, _end),
        total_executions=script_stats.c.total_executions + literal_column("1"),
        successful_executions=script_stats.c.successful_executions + cast(bindparam("success", type_=Boolean), Integer),
        total_time_ns=script_stats.c.total_time_ns + bindparam("execution_time_ns"),
        max_time_ns=larger(script_stats.c.max_time_ns, bindparam("execution_time_ns")),
        max_memory_bytes=larger(script_stats.c.max_memory_bytes, bindparam("memory_bytes")),
        last_execution_time=larger(func.coalesce(script_stats.c.last_execution_time, _end), _end),
    )
)
SELECT_STATS = compiled(select(*(script_stats.c[name] for name in fields(ScriptStats))).where(*_stats_key))

UPSERT_UNIT = upsert(units, [column.name for column in units.columns if not column.primary_key])
# Bytes, whatever damage has made of them, so that the seal can tell: reading what has become text would fail.
UNIT_FIELDS = tuple(
    cast(units.c[name], LargeBinary) if isinstance(units.c[name].type, LargeBinary) else units.c[name]
    for name in fields(UnitRecord)
)
SELECT_UNIT = compiled(select(*UNIT_FIELDS).where(equals(units.c.unit_key)))
SELECT_UNIT_KEYS = compiled(select(units.c.unit_key).where(equals(units.c.tenant), equals(units.c.script_id)))
DELETE_UNIT = compiled(delete(units).where(equals(units.c.unit_key), equals(units.c.mac)))
_other = units.alias("other")
DELETE_SOME_UNITS = compiled(
    delete(units).where(units.c.unit_key.in_(select(_other.c.unit_key).limit(bindparam("limit"))))
)
DELETE_UNITS_OF_OTHERS = compiled(
    delete(units).where(
        units.c.unit_key.in_(
            select(_other.c.unit_key)
            .where(or_(_other.c.toolchain < bindparam("toolchain"), _other.c.toolchain > bindparam("toolchain")))
            .limit(bindparam("limit"))
        )
    )
)

REMOVE_SCRIPT = tuple(
    compiled(delete(table).where(equals(table.c.tenant), equals(table.c.script_id)))
    for table in (units, script_names, script_references, script_stats, scripts)
)
"""In an order that the foreign keys allow."""

_names_of_it = exists().where(
    script_names.c.tenant == script_stats.c.tenant, script_names.c.script_id == script_stats.c.script_id
)
SELECT_UNNAMED = compiled(
    select(script_stats.c.tenant, script_stats.c.script_id, script_stats.c.last_used_time)
    .where(script_stats.c.last_used_time < bindparam("before"), ~_names_of_it)
    .order_by(script_stats.c.last_used_time)
    .limit(bindparam("limit"))
)
"""Reads all of `script_stats`, which is narrow, in a reader's thread: an index would cost every execution."""
IS_UNUSED = compiled(
    select(literal_column("1"))
    .select_from(script_stats)
    .where(*_stats_key, script_stats.c.last_used_time <= bindparam("last_used_time"), ~_names_of_it)
)

_between = (
    equals(script_names.c.tenant),
    script_names.c.name >= bindparam("prefix"),
    script_names.c.name < bindparam("prefix_end"),
)
SELECT_NAMED = compiled(select(script_names.c.script_id).where(*_between).limit(bindparam("limit")))
"""Scripts by the names in a range; one comes once for each of its names."""


@lru_cache
def page_of_scripts(*, of_principal: bool, is_named: bool) -> Statement:
    """The statement of (create_time, script_id) of a page, newest first.

    Its parameters: tenant, [principal,] created_after, before_time, before_id, [prefix, prefix_end,] limit.
    """
    table, index = (script_references, "script_references_principal") if of_principal else (scripts, "scripts_time")
    query = select(table.c.create_time, table.c.script_id).with_hint(table, indexed_by(index), "sqlite")
    query = query.where(equals(table.c.tenant))
    if of_principal:
        query = query.where(equals(script_references.c.principal))
    query = query.where(
        table.c.create_time >= bindparam("created_after"),
        tuple_(table.c.create_time, table.c.script_id) < tuple_(bindparam("before_time"), bindparam("before_id")),
    )
    if is_named:
        named = exists().where(
            script_names.c.tenant == table.c.tenant,
            script_names.c.script_id == table.c.script_id,
            script_names.c.name >= bindparam("prefix"),
            script_names.c.name < bindparam("prefix_end"),
        )
        query = query.where(named)
    return compiled(query.order_by(table.c.create_time.desc(), table.c.script_id.desc()).limit(bindparam("limit")))
