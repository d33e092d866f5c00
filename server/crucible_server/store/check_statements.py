"""What `check_store` reads: all rows of the tables, in the order of their keys."""

from __future__ import annotations

from sqlalchemy import exists, func, select

from .config_tables import config_revisions
from .event_records import ServiceRecord
from .event_tables import event_positions, events, services
from .records import OutputSegment
from .script_statements import UNIT_FIELDS
from .sql import compiled, fields
from .tables import executions, output_segments, script_names, script_references, script_stats, scripts, units

COUNTS = tuple(
    compiled(select(func.count()).select_from(table))
    for table in (scripts, units, executions, output_segments, events, services, config_revisions)
)
SCRIPTS = compiled(
    select(
        scripts.c.tenant,
        scripts.c.script_id,
        scripts.c.functions,
        scripts.c.source,
        *(
            exists().where(table.c.tenant == scripts.c.tenant, table.c.script_id == scripts.c.script_id)
            for table in (script_stats, script_references)
        ),
    )
)
LOOSE_NAMES = compiled(
    select(script_names.c.tenant, script_names.c.name, script_names.c.script_id).where(
        ~exists().where(scripts.c.tenant == script_names.c.tenant, scripts.c.script_id == script_names.c.script_id)
    )
)
UNITS = compiled(select(*UNIT_FIELDS))
EXECUTIONS = compiled(
    select(
        executions.c.tenant,
        executions.c.execution_id,
        executions.c.state,
        executions.c.end_time,
        executions.c.last_sequence,
        executions.c.limits,
        executions.c.result,
        executions.c.request,
        executions.c.return_value,
        select(func.max(output_segments.c.last_sequence))
        .where(
            output_segments.c.tenant == executions.c.tenant,
            output_segments.c.execution_id == executions.c.execution_id,
        )
        .scalar_subquery(),
    )
)
SEGMENTS = compiled(
    select(
        output_segments.c.tenant,
        output_segments.c.execution_id,
        ~exists().where(
            executions.c.tenant == output_segments.c.tenant,
            executions.c.execution_id == output_segments.c.execution_id,
        ),
        *(output_segments.c[name] for name in fields(OutputSegment)),
    ).order_by(output_segments.c.tenant, output_segments.c.execution_id, output_segments.c.first_sequence)
)
POSITION = compiled(select(event_positions.c.last_sequence))
EVENTS = compiled(
    select(
        events.c.sequence, events.c.type, events.c.principal, events.c.script_id, events.c.time, events.c.data
    ).order_by(events.c.sequence)
)
SERVICES = compiled(
    select(*(services.c[name] for name in fields(ServiceRecord))).order_by(services.c.tenant, services.c.service_id)
)
CONFIG_REVISIONS = compiled(
    select(config_revisions.c.version, config_revisions.c.changes, config_revisions.c.overlay).order_by(
        config_revisions.c.version
    )
)
