"""The store of registered services."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import service_operations as operations
from . import service_statements as s
from .base import OpenDatabase
from .event_operations import Drafts
from .event_records import EventDraft, ServiceRecord
from .service_operations import Registered


class ServiceStore(OpenDatabase):
    """Services by (tenant, service_id), each with the end of its lease."""

    async def register_service(self, service: ServiceRecord, most: int, events: Drafts) -> Registered:
        """Stores a service, or replaces the same principal's one of that id; a tenant may have `most`."""
        return await self._write(operations.register, (service, most), events, small=True)

    async def heartbeat(self, tenant: str, service_id: str, principal: str, now: int) -> int | None:
        """Extends a lease; its end, or None when the principal has no such service."""
        return await self._writer.submit(operations.heartbeat, (now, tenant, service_id, principal), small=True)

    async def unregister_service(
        self,
        tenant: str,
        service_id: str,
        principal: str,
        events: Callable[[ServiceRecord | None], Sequence[EventDraft]],
    ) -> bool:
        """Removes a service; False when the principal has no such one."""
        removed = await self._write(operations.unregister, (tenant, service_id, principal), events, small=True)
        return removed is not None

    async def set_service_status(
        self, service: ServiceRecord, status: int, message: str, events: Sequence[EventDraft]
    ) -> bool:
        """Notes how a service is; False when that is no news, or it was registered anew or removed meanwhile."""
        return await self._write(
            operations.set_status,
            (status, message, service.tenant, service.service_id, service.register_time),
            lambda changed: events if changed else (),
            small=True,
        )

    async def expire_services(
        self, now: int, events: Callable[[list[ServiceRecord]], Sequence[EventDraft]]
    ) -> list[ServiceRecord]:
        """Removes the services whose leases have ended."""
        # It is asked for often: a write each time would hold up others for nothing.
        found = await self._readers.first(s.HAS_EXPIRED, (now,))
        if found is None or not found[0]:
            return []
        return await self._write(operations.expire, now, events, small=True)

    async def extend_leases(self, now: int) -> None:
        """Gives every service but the servers themselves a whole lease: nobody could send heartbeats to no server."""
        await self._writer.submit(operations.extend_all, now)

    async def get_service(self, tenant: str, service_id: str) -> ServiceRecord | None:
        """A service of this tenant."""
        row = await self._readers.first(s.SELECT_SERVICE, (tenant, service_id))
        return None if row is None else ServiceRecord(*row)

    async def list_services(self, tenant: str) -> list[ServiceRecord]:
        """The services of a tenant and those of all tenants, by their ids."""
        rows = await self._readers.run(lambda opened: opened.execute(s.SELECT_OF_TENANT, (tenant, "")).fetchall())
        return [ServiceRecord(*row) for row in rows]

    async def count_services(self) -> dict[int, int]:
        """How many services there are of each status, of all tenants."""
        rows = await self._readers.run(lambda opened: opened.execute(s.COUNT_BY_STATUS).fetchall())
        return {int(status): int(count) for status, count in rows}

    async def list_checked_services(self) -> list[ServiceRecord]:
        """Everybody's services whose health is checked, by their ids."""
        rows = await self._readers.run(lambda opened: opened.execute(s.SELECT_CHECKED, (b"",)).fetchall())
        return [ServiceRecord(*row) for row in rows]
