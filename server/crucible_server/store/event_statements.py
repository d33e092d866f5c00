"""Statements on events."""

from __future__ import annotations

from functools import cache, lru_cache

from sqlalchemy import BindParameter, bindparam, delete, func, literal_column, or_, select, update

from .event_records import StoredEvent
from .event_tables import event_positions, events
from .sql import Statement, compiled, equals, fields, number

_row = tuple(events.c[name] for name in fields(StoredEvent))
_position = event_positions.c.position_id == literal_column("1")

SELECT_BOUNDS = compiled(
    select(
        event_positions.c.last_sequence,
        select(func.min(events.c.sequence)).scalar_subquery(),
        select(func.max(events.c.sequence)).scalar_subquery(),
    ).where(_position)
)
"""The last sequence number that was deleted, at least; the first and the last that are there."""
MOVE_POSITION = compiled(
    update(event_positions).where(_position).values(last_sequence=bindparam("last_sequence")), ("last_sequence",)
)
INSERT_EVENT = compiled(events.insert(), events.columns.keys())
_size = func.length(events.c.data)
SELECT_AGES = compiled(
    select(events.c.sequence, events.c.time, _size).order_by(events.c.sequence).limit(bindparam("limit"))
)
"""The oldest events, with their times and sizes."""
SUM_SIZES = compiled(
    select(func.coalesce(func.sum(_size), number(0))).where(
        events.c.sequence > bindparam("after"), events.c.sequence <= bindparam("up_to")
    )
)
"""How much events between two sequence numbers hold."""
SELECT_ALL = compiled(
    select(*_row)
    .where(events.c.sequence > bindparam("after"), events.c.sequence <= bindparam("up_to"))
    .order_by(events.c.sequence)
    .limit(bindparam("limit"))
)
"""Events of all tenants between two sequence numbers."""
DELETE_UP_TO = compiled(delete(events).where(events.c.sequence <= bindparam("up_to")))


@cache
def events_of_ids(ids: int) -> Statement:
    """The statement of a tenant's events with so many ids, which are its parameters after the tenant."""
    wanted: list[BindParameter[str]] = [bindparam(f"id_{index}") for index in range(ids)]
    return compiled(select(*_row).where(equals(events.c.tenant), events.c.event_id.in_(wanted)))


@lru_cache(maxsize=256)
def page_of_events(
    *,
    types: int,
    has_custom: bool,
    hidden: int,
    of_script: bool,
    of_principal: bool,
    is_timed: bool,
    newest_first: bool,
) -> Statement:
    """The statement of events between two sequence numbers, of so many types and without so many others.

    Its parameters: after, up_to, tenant, server, [types...,] [hidden...,] [script_id,] [principal,] [since, before,]
    limit.
    """
    query = select(*_row).where(
        events.c.sequence > bindparam("after"),
        events.c.sequence <= bindparam("up_to"),
        events.c.tenant.in_([bindparam("tenant"), bindparam("server")]),
    )
    wanted = []
    if types:
        wanted.append(events.c.type.in_([bindparam(f"type_{index}") for index in range(types)]))
    if has_custom:
        wanted.append(events.c.event_id.is_not(None))
    if wanted:
        query = query.where(or_(*wanted))
    if hidden:
        query = query.where(events.c.type.not_in([bindparam(f"hidden_{index}") for index in range(hidden)]))
    if of_script:
        query = query.where(equals(events.c.script_id))
    if of_principal:
        query = query.where(equals(events.c.principal))
    if is_timed:
        query = query.where(events.c.time >= bindparam("since"), events.c.time < bindparam("before"))
    order = events.c.sequence.desc() if newest_first else events.c.sequence
    return compiled(query.order_by(order).limit(bindparam("limit")))
