"""How services are found, and how they are asked how they are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from .keys import redacted
from .problems import at_key
from .quantities import Count, Entries, Seconds


class DiscoveryConfig(BaseModel):
    """Where this server makes itself known, and what its own registry bears."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    endpoints: tuple[str, ...] = Field(default=(), max_length=1000)
    """`HOST:PORT` of other servers of Crucible at whose registries this one makes itself known too."""
    refresh_interval: Seconds = 10.0
    """How often it renews that, here and there."""
    lease: Seconds = Field(default=30.0, ge=1, le=3600)
    """For registrations that name none; a service is gone when it sends no heartbeat for that long."""
    advertise: str = ""
    """What others are told to reach this server by; when empty the address that it listens on, with the machine's host
    name in the place of one that stands for all, such as 0.0.0.0."""
    max_services: Count = 1000
    """Services that one tenant may have registered."""
    max_watches: Count = 1000
    """Calls of WatchServices at once, of all principals together."""

    @field_validator("endpoints")
    @classmethod
    def _check_endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            host, separator, port = entry.rpartition(":")
            if not separator or not host or "/" in host or not port.isdecimal() or not 0 < int(port) < 65536:
                raise ValueError(f"expected HOST:PORT such as 10.0.0.5:50051, got {redacted(entry)!r}")
        return value

    @model_validator(mode="after")
    def _check_refresh(self) -> DiscoveryConfig:
        if self.refresh_interval >= self.lease:
            raise at_key("refresh_interval", "expected a time shorter than `lease`, a third of it is usual")
        return self


class HealthCheckConfig(BaseModel):
    """How often the server looks how it is, and how the health of registered services is checked."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    allow: Entries = ()
    """What may be asked: entries like those of `engine.http.allow`, http for `grpc://` and https for `grpcs://` too. A
    service with any other `health_check_url` is refused."""
    interval: Seconds = Field(default=5.0, le=3600)
    """Between two checks: of the store, and of services that name none."""
    timeout: Seconds = 2.0
    """For one answer: of the interpreter, of the store, or of a service; at most the interval."""
    failure_threshold: int = Field(default=3, ge=1, le=100)
    """Failures in a row after which a service is unhealthy."""
    success_threshold: int = Field(default=1, ge=1, le=100)
    """Successes in a row after which one that was not is healthy."""
    max_concurrent: int = Field(default=32, gt=0, le=1024)
    """Checks at once."""

    @field_validator("allow")
    @classmethod
    def _check_allow(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value:
            # Imported late, and only when it is needed: the reading of entries belongs to the one who dials.
            from crucible_server.outbound.allow import parse_entry

            for entry in value:
                parse_entry(entry)
        return value

    @field_validator("timeout")
    @classmethod
    def _check_timeout(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("interval", value):
            raise ValueError(f"expected at most the interval, {info.data['interval']:g} s")
        return value
