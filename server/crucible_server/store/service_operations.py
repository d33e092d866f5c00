"""What the writer does to services: each takes its connection and one argument, within the group's transaction."""

from __future__ import annotations

import enum
from typing import TypeAlias

from . import service_statements as s
from .announcements import ServicesChanged
from .database import Connection
from .event_records import ServiceRecord

Registration: TypeAlias = tuple[ServiceRecord, int]
"""(service, how many its tenant may have)"""

_UPSERT = (s.UPSERT_SERVICE, s.UPSERT_SERVICE.taker())


class Registered(enum.Enum):
    """What came of a registration."""

    NEW = "new"
    REPLACED = "replaced"
    TAKEN = "taken"
    """The id is that of another principal's service; nothing was changed."""
    FULL = "full"
    """The tenant has as many services as it may have; nothing was changed."""


def register(connection: Connection, registration: Registration) -> Registered:
    """Stores a service, or replaces the same principal's one of that id."""
    service, most = registration
    row = connection.execute(s.SELECT_SERVICE, (service.tenant, service.service_id)).fetchone()
    if row is not None and ServiceRecord(*row).principal != service.principal:
        return Registered.TAKEN
    # Everybody sees the servers themselves: nobody may be taken for one.
    if service.tenant and connection.execute(s.SELECT_SERVICE, ("", service.service_id)).fetchone() is not None:
        return Registered.TAKEN
    if row is None and connection.execute(s.COUNT_OF_TENANT, (service.tenant,)).fetchone()[0] >= most:
        return Registered.FULL
    statement, taker = _UPSERT
    connection.execute(statement, taker(service))
    connection.announce(ServicesChanged())
    return Registered.NEW if row is None else Registered.REPLACED


def heartbeat(connection: Connection, beat: tuple[int, str, str, str]) -> int | None:
    """Extends the lease of (now, tenant, service_id, principal); its end, or None when there is no such service."""
    rows = connection.execute(s.EXTEND_LEASE, beat).fetchall()
    return int(rows[0][0]) if rows else None


def unregister(connection: Connection, key: tuple[str, str, str]) -> ServiceRecord | None:
    """Removes the service (tenant, service_id, principal); what it was, or None when there is no such service."""
    tenant, service_id, principal = key
    row = connection.execute(s.SELECT_SERVICE, (tenant, service_id)).fetchone()
    if row is None or (service := ServiceRecord(*row)).principal != principal:
        return None
    connection.execute(s.DELETE_SERVICE, (tenant, service_id))
    connection.announce(ServicesChanged())
    return service


def set_status(connection: Connection, change: tuple[int, str, str, str, int]) -> bool:
    """Notes (status, message) of the service (_, _, tenant, service_id, register_time); False when it is no news."""
    status, message, tenant, service_id, register_time = change
    values = (status, message, tenant, service_id, register_time, status)
    is_news = connection.execute(s.SET_STATUS, values).rowcount == 1
    if is_news:
        connection.announce(ServicesChanged())
    return is_news


def expire(connection: Connection, now: int) -> list[ServiceRecord]:
    """Removes the services whose leases have ended; what they were."""
    gone = [ServiceRecord(*row) for row in connection.execute(s.DELETE_EXPIRED, (now,)).fetchall()]
    if gone:
        connection.announce(ServicesChanged())
    return gone


def extend_all(connection: Connection, now: int) -> None:
    """Gives every service but the servers themselves a whole lease from now on."""
    connection.execute(s.EXTEND_ALL, (now, ""))
