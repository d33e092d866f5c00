"""How this server finds others, and how it looks after itself and them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from .quantities import Seconds


class DiscoveryConfig(BaseModel):
    """Where other services are looked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    endpoints: tuple[str, ...] = ()
    """`HOST:PORT` of servers whose registry is asked besides our own."""
    refresh_interval: Seconds = 30.0
    """Between two times that they are asked."""

    @field_validator("endpoints")
    @classmethod
    def _check_endpoints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for endpoint in value:
            host, separator, port = endpoint.rpartition(":")
            if not (separator and host and port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
                raise ValueError(f"expected HOST:PORT such as 10.0.0.2:50051, the port at most 65535; got {endpoint!r}")
        return value


class HealthCheckConfig(BaseModel):
    """How often the server looks how it is, and services that name no times of their own are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    interval: Seconds = Field(default=5.0, le=3600)
    """Between two checks."""
    timeout: Seconds = 2.0
    """For one answer: of the interpreter, or of a service that is asked; at most the interval."""
    failure_threshold: int = Field(default=3, gt=0, le=100)
    """Failures in a row after which a registered service is no longer healthy."""
    success_threshold: int = Field(default=1, gt=0, le=100)
    """Successes in a row after which it is healthy again."""

    @field_validator("timeout")
    @classmethod
    def _check_timeout(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("interval", value):
            raise ValueError(f"expected at most the interval, {info.data['interval']:g} s")
        return value
