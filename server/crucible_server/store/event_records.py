"""Events and registered services as the store keeps them. All times are nanoseconds since 1970-01-01 UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event that is to be stored. `tenant` is empty for what concerns the server as a whole."""

    tenant: str
    type: str
    principal: str
    script_id: str
    time: int
    event_id: str | None
    """The idempotency key of what a client emits; None for what the server tells."""
    data: bytes
    """A serialized `crucible.v1.Event` without its sequence and id."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event in its place."""

    sequence: int
    tenant: str
    type: str
    principal: str
    script_id: str
    event_id: str | None
    data: bytes
    """As in EventDraft."""


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Which events somebody asks for and may see."""

    tenant: str
    sees_server: bool
    """Those of the server as a whole as well."""
    types: frozenset[str]
    """Only these types; with `has_custom`, those of clients besides. All when both are empty."""
    has_custom: bool
    hidden: frozenset[str]
    """Never these types."""
    script_id: str
    principal: str

    def admits_type(self, event: StoredEvent) -> bool:
        """Whether events of this type are asked for."""
        if event.type in self.hidden:
            return False
        if not self.types and not self.has_custom:
            return True
        return event.type in self.types or (self.has_custom and event.event_id is not None)

    def admits(self, event: StoredEvent) -> bool:
        """Whether this is one of them; the same as the statements of the store say."""
        return (
            (event.tenant == self.tenant or (self.sees_server and not event.tenant))
            and self.admits_type(event)
            and (not self.script_id or event.script_id == self.script_id)
            and (not self.principal or event.principal == self.principal)
        )


@dataclass(frozen=True, slots=True)
class EventBounds:
    """What is kept: the oldest sequence number, one beyond the newest when there is none, and the newest ever given."""

    oldest: int
    newest: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events that fit, and how far was looked."""

    events: list[StoredEvent]
    position: int
    """All up to here, or down to here for a page of newest first, have been looked at."""
    bounds: EventBounds

    def __iter__(self) -> Iterator[StoredEvent]:
        return iter(self.events)


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A registered service; `tenant` is empty for the servers of Crucible themselves."""

    tenant: str
    service_id: str
    service_type: str
    principal: str
    register_time: int
    expire_time: int
    lease_ns: int
    status: int
    """A number of `crucible.v1.ServiceStatus`."""
    status_message: str
    info: bytes
    """A serialized `crucible.v1.ServiceInfo`."""
    health_check: bytes
    """A serialized `crucible.v1.HealthCheckConfig`; empty when the health is not checked."""


class EventTakenError(Exception):
    """An event id that another event has. Nothing of the operation was kept."""

    def __init__(self, event_id: str) -> None:
        super().__init__(f"the event id {event_id!r} is taken by another event")
        self.event_id = event_id
