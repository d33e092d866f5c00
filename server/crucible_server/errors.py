"""Errors of the service: why something could not be done, in the terms of `crucible.v1.ErrorKind`.

Nothing here knows gRPC; `crucible_server.api.errors` translates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crucible.v1 import error_pb2

ErrorKind = error_pb2.ErrorKind


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One thing wrong with one field of a request."""

    field: str
    """Path of the field, such as `context.arguments["n"]`."""
    description: str
    """What was expected and what came."""


@dataclass(slots=True)
class ServiceError(Exception):
    """A call that could not be served. The message says what was expected, what came and what to do."""

    kind: ErrorKind
    message: str
    violations: Sequence[FieldViolation] = ()
    retry_after: float | None = None
    """Seconds after which trying again may help; None when it will not."""
    quota: str = ""
    """The limit that was reached, for RESOURCE_EXCEEDED."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    security_level: int = 0
    """The level that was asked for, when that was refused."""
    is_told: bool = False
    """Another event than that of a refused request tells of it."""

    def __str__(self) -> str:
        return self.message


def invalid(field_path: str, description: str) -> ServiceError:
    """A request with one malformed field."""
    return ServiceError(
        ErrorKind.ERROR_KIND_VALIDATION_ERROR,
        f"{field_path}: {description}",
        violations=(FieldViolation(field_path, description),),
    )


def unavailable(message: str, retry_after: float = 1.0) -> ServiceError:
    """The service or its engine is not ready; the same call may succeed later."""
    return ServiceError(ErrorKind.ERROR_KIND_UNAVAILABLE, message, retry_after=retry_after)
