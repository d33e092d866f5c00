"""Statements on registered services."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, func, select, update

from .event_records import ServiceRecord
from .event_tables import services
from .sql import compiled, equals, fields, larger, upsert

_row = tuple(services.c[name] for name in fields(ServiceRecord))
_key = (equals(services.c.tenant), equals(services.c.service_id))

UPSERT_SERVICE = upsert(services, [column.name for column in services.columns if not column.primary_key])
SELECT_SERVICE = compiled(select(*_row).where(*_key))
SELECT_CHECKED = compiled(
    select(*_row).where(services.c.health_check != bindparam("none")).order_by(services.c.service_id, services.c.tenant)
)
SELECT_OF_TENANT = compiled(
    select(*_row)
    .where(services.c.tenant.in_([bindparam("tenant"), bindparam("server")]))
    .order_by(services.c.service_id, services.c.tenant)
)
COUNT_OF_TENANT = compiled(select(func.count()).select_from(services).where(equals(services.c.tenant)))
COUNT_BY_STATUS = compiled(select(services.c.status, func.count()).group_by(services.c.status))
EXTEND_LEASE = compiled(
    update(services)
    .where(*_key, equals(services.c.principal))
    .values(expire_time=bindparam("now") + services.c.lease_ns)
    .returning(services.c.expire_time)
)
EXTEND_ALL = compiled(
    update(services)
    .where(services.c.tenant != bindparam("server"))
    .values(expire_time=larger(services.c.expire_time, bindparam("now") + services.c.lease_ns))
)
"""The leases of all but the servers themselves, none of which is alive when the only one starts."""
SET_STATUS = compiled(
    update(services)
    .where(*_key, equals(services.c.register_time), services.c.status != bindparam("status"))
    .values(status=bindparam("status"), status_message=bindparam("status_message"))
)
DELETE_SERVICE = compiled(delete(services).where(*_key))
HAS_EXPIRED = compiled(select(func.count()).select_from(services).where(services.c.expire_time <= bindparam("now")))
DELETE_EXPIRED = compiled(delete(services).where(services.c.expire_time <= bindparam("now")).returning(*_row))
