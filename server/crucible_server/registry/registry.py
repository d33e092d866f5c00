"""The registry: services with leases, found by type and metadata, and watched."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache

import structlog
from google.protobuf.duration_pb2 import Duration

from crucible.v1 import event_pb2, registry_pb2, server_info_pb2
from crucible.v1 import registry_service_pb2 as pb
from crucible_server.config import DiscoveryConfig, HealthCheckConfig
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.events.journal import EventSink
from crucible_server.policy.principals import Caller
from crucible_server.registry.infos import HealthUrl, check_id, check_info, health_check_of, lease_of, no_such_service
from crucible_server.registry.watching import Change, Watching
from crucible_server.store import (
    Announcement,
    EventDraft,
    Missed,
    Registered,
    ServiceRecord,
    ServicesChanged,
    Store,
    StoreError,
)

Status = server_info_pb2.ServiceStatus
SERVERS = ""
"""The tenant of the servers of Crucible, which everybody sees."""
_EXPIRE_SECONDS = 0.5
_MAX_REASON = 500
_MAX_FACTS = 64

log = structlog.get_logger()


class Registry:
    """The services of every tenant. All methods raise ServiceError and StoreError."""

    def __init__(
        self,
        store: Store,
        events: EventSink,
        discovery: DiscoveryConfig,
        health_check: HealthCheckConfig,
        allow: Callable[[HealthUrl], None],
    ) -> None:
        """`allow` raises ServiceError for what is not to be asked how it is."""
        self._store = store
        self._events = events
        self._discovery = discovery
        self.health_check = health_check
        """For services that name no times of their own."""
        self._allow = allow
        self._watching = Watching(store.list_services)
        self._expiring: asyncio.Task[None] | None = None
        self.counts: dict[int, int] = {}
        """How many services there are of each status, of all tenants, as of a moment ago."""
        self._is_counted = False
        self.on_change: Callable[[], None] = lambda: None
        """Told when a service came, went or changed."""

    async def start(self) -> None:
        """Takes up what an earlier run left; its services get the time to find this one."""
        self._store.listen(self._heard)
        # Where another server runs they had that all the time.
        if not await self._store.other_servers():
            await self._store.extend_leases(time.time_ns())
        self._watching.start()
        self._expiring = asyncio.get_running_loop().create_task(self._expire())

    async def stop(self) -> None:
        """Expires no more leases, and ends those who watch."""
        await self._watching.stop()
        if self._expiring is not None:
            self._expiring.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._expiring

    async def register(self, caller: Caller, request: pb.RegisterServiceRequest) -> tuple[ServiceRecord, bool]:
        """Makes a service known; it, and whether it replaced what was known of it."""
        if not request.HasField("service"):
            raise invalid("service", "expected a service, got none")
        info = request.service
        check_info(info)
        lease_ns = lease_of(request.lease if request.HasField("lease") else None, self._discovery.lease)
        check = health_check_of(request.health_check, self.health_check)
        if info.health_check_url:
            self._allow(HealthUrl.parse(info.health_check_url))
        elif request.HasField("health_check"):
            raise invalid("health_check", "expected it with a service.health_check_url only")
        now = time.time_ns()
        record = ServiceRecord(
            tenant=caller.tenant,
            service_id=info.service_id,
            service_type=info.service_type,
            principal=caller.principal,
            register_time=now,
            expire_time=now + lease_ns,
            lease_ns=lease_ns,
            status=Status.SERVICE_STATUS_STARTING if info.health_check_url else Status.SERVICE_STATUS_HEALTHY,
            status_message="not checked yet" if info.health_check_url else "its lease is kept",
            info=info.SerializeToString(deterministic=True),
            health_check=check.SerializeToString() if info.health_check_url else b"",
        )
        return record, await self.put(record)

    async def put(self, record: ServiceRecord) -> bool:
        """Stores a service; whether it replaced what was known of it."""
        told = self._registered(record)
        outcome = await self._store.register_service(
            record,
            self._discovery.max_services,
            lambda came: (told,) if came in (Registered.NEW, Registered.REPLACED) else (),
        )
        if outcome is Registered.TAKEN:
            raise ServiceError(
                ErrorKind.ERROR_KIND_SERVICE_EXISTS,
                f"the service id {record.service_id!r} is taken by another principal's service; choose another id",
            )
        if outcome is Registered.FULL:
            most = self._discovery.max_services
            raise ServiceError(
                ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                f"expected at most {most} services (engine.discovery.max_services); unregister some",
                quota="max_services",
            )
        self.changed()
        return outcome is Registered.REPLACED

    async def heartbeat(self, caller: Caller, service_id: str, status: int = 0, message: str = "") -> int:
        """Extends a lease, and notes what status the service says it has; its end in nanoseconds since 1970."""
        check_id(service_id, "service_id")
        if status and status not in Status.values():
            raise invalid("status", f"expected one of {', '.join(Status.keys()[1:])}, got {status}")
        if len(message) > _MAX_REASON or not message.isprintable():
            raise invalid("status_message", f"expected at most {_MAX_REASON} printable characters")
        end = await self._store.heartbeat(caller.tenant, service_id, caller.principal, time.time_ns())
        if end is None:
            raise no_such_service(service_id)
        if status:
            record = await self._store.get_service(caller.tenant, service_id)
            if record is not None and record.health_check:
                raise invalid("status", "expected none, as the health of this service is checked; leave it unset")
            if record is not None and record.status != status:
                await self.set_status(record, status, message or "as it says itself")
        return end

    async def unregister(self, caller: Caller, service_id: str, reason: str) -> None:
        """Takes a service back."""
        check_id(service_id, "service_id")
        if len(reason) > _MAX_REASON:
            raise invalid("reason", f"expected at most {_MAX_REASON} characters, got {len(reason)}")

        def told(removed: ServiceRecord | None) -> Sequence[EventDraft]:
            return () if removed is None else (self._unregistered(removed, reason or "unregistered by its owner"),)

        if not await self._store.unregister_service(caller.tenant, service_id, caller.principal, told):
            raise no_such_service(service_id)
        self.changed()

    async def set_status(self, record: ServiceRecord, status: int, message: str, *, tells: bool = True) -> None:
        """Notes how a service is, and tells of it when that is news."""
        kind = event_pb2.HealthStatusChanged(
            service_id=record.service_id,
            status=Status.Name(status),
            previous_status=Status.Name(record.status),
            message=message,
        )
        kind.timestamp.GetCurrentTime()
        told = (self._events.draft(kind, tenant=record.tenant, principal=record.principal),) if tells else ()
        if await self._store.set_service_status(record, status, message, told):
            self.changed()

    async def discover(self, caller: Caller, wanted: registry_pb2.ServiceFilter) -> list[ServiceRecord]:
        """The services that fit, in the order of their ids."""
        fits = _filter(wanted)
        now = time.time_ns()
        records = await self._store.list_services(caller.tenant)
        # One whose lease has ended is gone, though it may take a moment until it is told.
        return [record for record in records if record.expire_time > now and fits(record)]

    async def watch(self, caller: Caller, wanted: registry_pb2.ServiceFilter) -> AsyncIterator[Change]:
        """What fits, then what came or changed and the ids of what went, without end."""
        fits = _filter(wanted)
        if self._watching.count >= self._discovery.max_watches:
            raise ServiceError(
                ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                f"expected at most {self._discovery.max_watches} watches at once (engine.discovery.max_watches)",
                retry_after=1.0,
                quota="max_watches",
            )
        key = (caller.tenant, wanted.SerializeToString(deterministic=True))
        async with contextlib.aclosing(self._watching.watch(key, fits)) as changes:
            async for change in changes:
                yield change
                del change

    async def services_to_check(self) -> list[ServiceRecord]:
        """Everybody's services that are to be asked how they are, by this server: of several one does."""
        services = await self._store.list_checked_services()
        return services if services and await self._store.is_sweeper() else []

    def changed(self) -> None:
        """Has those who watch look again."""
        self._is_counted = False
        self._watching.changed()
        self.on_change()

    def _heard(self, announcement: Announcement) -> None:
        if isinstance(announcement, (ServicesChanged, Missed)):
            self.changed()

    async def _expire(self) -> None:
        while True:
            try:
                gone = await self._expire_once()
                for record in gone:
                    log.info("service_expired", service_id=record.service_id, service_type=record.service_type)
                if gone:
                    self.changed()
                if not self._is_counted:
                    self._is_counted = True
                    self.counts = await self._store.count_services()
            except StoreError as error:
                log.warning("services_not_expired", reason=error.message)
            except Exception:
                log.exception("services_not_expired")
            await asyncio.sleep(_EXPIRE_SECONDS)

    async def _expire_once(self) -> list[ServiceRecord]:
        return await self._store.expire_services(
            time.time_ns(), lambda expired: [self._unregistered(each, "its lease expired") for each in expired]
        )

    def _registered(self, record: ServiceRecord) -> EventDraft:
        info = registry_pb2.ServiceInfo.FromString(record.info)
        kind = event_pb2.ServiceRegistered(service_id=record.service_id, service_type=record.service_type)
        for key, value in info.metadata.items():
            kind.metadata[key].string_value = value
        return self._events.draft(kind, tenant=record.tenant, principal=record.principal)

    def _unregistered(self, record: ServiceRecord, reason: str) -> EventDraft:
        kind = event_pb2.ServiceUnregistered(service_id=record.service_id, reason=reason)
        return self._events.draft(kind, tenant=record.tenant, principal=record.principal)


def _filter(wanted: registry_pb2.ServiceFilter) -> Callable[[ServiceRecord], bool]:
    if len(wanted.metadata) > _MAX_FACTS:
        raise invalid("filter.metadata", f"expected at most {_MAX_FACTS} facts, got {len(wanted.metadata)}")
    facts = dict(wanted.metadata)

    def fits(record: ServiceRecord) -> bool:
        if wanted.service_type and record.service_type != wanted.service_type:
            return False
        if wanted.healthy_only and record.status != Status.SERVICE_STATUS_HEALTHY:
            return False
        if not facts:
            return True
        return facts.items() <= _facts(record.info).items()

    return fits


@lru_cache(maxsize=2048)
def _facts(info: bytes) -> dict[str, str]:
    return dict(registry_pb2.ServiceInfo.FromString(info).metadata)


def presented(record: ServiceRecord) -> registry_pb2.RegisteredService:
    """A service as callers see it."""
    message = registry_pb2.RegisteredService(
        status=Status.Name(record.status),
        status_message=record.status_message,
        lease=_duration(record.lease_ns),
        principal=record.principal,
    )
    message.info.ParseFromString(record.info)
    message.register_time.FromNanoseconds(record.register_time)
    message.lease_expire_time.FromNanoseconds(record.expire_time)
    if record.health_check:
        message.health_check.ParseFromString(record.health_check)
    return message


def _duration(nanoseconds: int) -> Duration:
    message = Duration()
    message.FromNanoseconds(nanoseconds)
    return message
