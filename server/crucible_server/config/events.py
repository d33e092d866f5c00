"""How long events are kept, and how many are taken."""

from __future__ import annotations

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from .quantities import Bytes, Count, Seconds


class EventsConfig(BaseModel):
    """What EventService keeps and bears."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    retention: Seconds = 7 * 86400.0
    """How long events are kept, unless `max_stored` or `max_stored_bytes` is reached."""
    max_stored: Count = 1_000_000
    """Events beyond these are deleted, the oldest first."""
    max_stored_bytes: Bytes = Field(default=ByteSize(1024 * 1024 * 1024), ge=1024 * 1024)
    """What all stored events together may hold; beyond that the oldest are deleted."""
    max_event_bytes: Bytes = Field(default=ByteSize(64 * 1024), le=1024 * 1024)
    """The data of one event that a client emits."""
    max_emitted_per_minute: Count = 60_000
    """Events that one principal may emit: as many at once, then as they come back with time."""
    max_subscriptions: Count = 10_000
    """Subscriptions at once, of all principals together."""
    max_subscriptions_per_principal: Count = 1_000
    """And of one."""
    bookmark_interval: Seconds = 10.0
    """How often a subscriber is told how far it has come while there is nothing of its filter."""
