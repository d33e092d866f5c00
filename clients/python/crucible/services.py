"""Registered services as both clients give them, and the requests for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from crucible.requests import duration
from crucible.v1 import registry_pb2, server_info_pb2
from crucible.v1 import registry_service_pb2 as api


@dataclass(frozen=True)
class Service:
    """A service as the registry knows it. Times are in UTC, to the microsecond."""

    service_id: str
    service_type: str
    version: str
    endpoint: str
    health_check_url: str
    metadata: Mapping[str, str]
    status: str
    """A `ServiceStatus` without its prefix, such as `HEALTHY`."""
    status_message: str
    principal: str
    """Who registered it; empty for a server of Crucible itself."""
    register_time: datetime
    lease_expire_time: datetime
    """When it is taken for gone, unless it sends a heartbeat before."""
    lease: float
    """Seconds by which each heartbeat extends that."""
    message: registry_pb2.RegisteredService


@dataclass(frozen=True)
class ServiceChange:
    """What became of the services that are watched."""

    services: tuple[Service, ...]
    """Those that came, or changed; the first time all that there are."""
    removed: tuple[str, ...]
    """The ids of those that went."""


def register_request(
    service_id: str,
    service_type: str,
    endpoint: str,
    version: str,
    health_check_url: str,
    metadata: Mapping[str, str] | None,
    lease: float | None,
) -> api.RegisterServiceRequest:
    """A RegisterServiceRequest; `lease` in seconds."""
    return api.RegisterServiceRequest(
        service=registry_pb2.ServiceInfo(
            service_id=service_id,
            service_type=service_type,
            version=version,
            endpoint=endpoint,
            health_check_url=health_check_url,
            metadata=metadata or {},
        ),
        lease=None if lease is None else duration(lease),
    )


def service_filter(
    service_type: str, metadata: Mapping[str, str] | None, healthy_only: bool
) -> registry_pb2.ServiceFilter:
    """A ServiceFilter."""
    return registry_pb2.ServiceFilter(service_type=service_type, metadata=metadata or {}, healthy_only=healthy_only)


def service(message: registry_pb2.RegisteredService) -> Service:
    """Reads a service."""
    names = {number: name for name, number in server_info_pb2.ServiceStatus.items()}
    info = message.info
    return Service(
        service_id=info.service_id,
        service_type=info.service_type,
        version=info.version,
        endpoint=info.endpoint,
        health_check_url=info.health_check_url,
        metadata=dict(info.metadata),
        status=names.get(message.status, str(message.status)).removeprefix("SERVICE_STATUS_"),
        status_message=message.status_message,
        principal=message.principal,
        register_time=message.register_time.ToDatetime(UTC),
        lease_expire_time=message.lease_expire_time.ToDatetime(UTC),
        lease=message.lease.ToTimedelta().total_seconds(),
        message=message,
    )


class Changes:
    """Puts the messages of a watch together that continue each other."""

    def __init__(self) -> None:
        self._services: list[Service] = []
        self._removed: list[str] = []

    def take(self, message: api.WatchServicesResponse) -> ServiceChange | None:
        """Reads one message; None when the next one continues it."""
        self._services += map(service, message.services)
        self._removed += message.removed_service_ids
        if message.more:
            return None
        change = ServiceChange(tuple(self._services), tuple(self._removed))
        self._services, self._removed = [], []
        return change


def moment(timestamp: Timestamp) -> datetime:
    """A time in UTC."""
    return timestamp.ToDatetime(UTC)
