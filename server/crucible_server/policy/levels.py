"""The security levels: what each grants, and what a request gets of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf import duration_pb2

from crucible.v1 import security_pb2
from crucible_server.config import ServerConfig

SAFE = security_pb2.SECURITY_LEVEL_SAFE
PRODUCTION = security_pb2.SECURITY_LEVEL_PRODUCTION
DEVELOPMENT = security_pb2.SECURITY_LEVEL_DEVELOPMENT

_MIB = 1024 * 1024
_MODULES: dict[int, tuple[str, ...]] = {
    SAFE: ("crucible::basic",),
    PRODUCTION: ("crucible::basic", "crucible::fs", "crucible::http", "crucible::json"),
    DEVELOPMENT: (
        "crucible::basic",
        "crucible::fs",
        "crucible::http",
        "crucible::json",
        "crucible::net",
        "crucible::process",
    ),
}
_LEAVE_OUT = "Leave the field out for the level's own limit."
# The range of google.protobuf.Duration.
_MAX_SECONDS = 315_576_000_000
_NAMES = {"safe": SAFE, "production": PRODUCTION, "development": DEVELOPMENT}
_NO_DEVELOPMENT = (
    "DEVELOPMENT is off on this server: its operator would have to set `allow_development = true`; "
    "use SAFE or PRODUCTION."
)
# A script that is slowed to its share of the processor should meet the wall clock first, which says more.
_CPU_TIME_MARGIN = 1.1
_CPU_TIME_START_SECONDS = 0.1


class PolicyError(Exception):
    """A request that is not granted. `field` is the path of the field at fault.

    `denied` tells what the policy forbids (a security violation) from what is malformed (a validation error).
    """

    def __init__(self, field: str, message: str, *, denied: bool = False) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.denied = denied


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in force, named as in `crucible.v1.ResourceLimits`; times in seconds, None is unlimited."""

    max_memory_bytes: int | None = None
    max_cpu_percentage: float | None = None
    max_concurrent_operations: int | None = None
    operation_timeout: float | None = None
    max_execution_time: float | None = None
    max_network_requests: int | None = None
    max_operations: int | None = None
    max_output_bytes: int | None = None
    max_return_bytes: int | None = None
    max_native_depth: int | None = None
    max_source_bytes: int | None = None
    max_cpu_time: float | None = None
    max_host_calls: int | None = None


_LEVELS: dict[int, Limits] = {
    SAFE: Limits(
        max_memory_bytes=50 * _MIB,
        max_cpu_percentage=50.0,
        max_concurrent_operations=10,
        max_execution_time=10.0,
        max_network_requests=0,
        max_output_bytes=_MIB,
        max_return_bytes=_MIB,
        max_native_depth=128,
        max_host_calls=10_000,
    ),
    PRODUCTION: Limits(
        max_memory_bytes=100 * _MIB,
        max_cpu_percentage=75.0,
        max_concurrent_operations=50,
        max_execution_time=30.0,
        max_network_requests=100,
        max_output_bytes=4 * _MIB,
        max_return_bytes=_MIB,
        max_native_depth=128,
        max_host_calls=10_000,
    ),
    # What is bounded is what the server keeps or sends of an execution.
    DEVELOPMENT: Limits(max_output_bytes=64 * _MIB, max_return_bytes=_MIB, max_native_depth=128),
}
# What the operator may raise above the level's default; the rest of the table is what the levels stand for.
_RAISABLE = ("max_operations", "max_output_bytes", "max_return_bytes", "max_native_depth", "max_host_calls")
_COUNTS = tuple(
    field.name
    for field in dataclasses.fields(Limits)
    if field.name not in ("max_cpu_percentage", "operation_timeout", "max_execution_time", "max_cpu_time")
)
_TIMES = ("operation_timeout", "max_execution_time", "max_cpu_time")


def resolve_level(
    requested: int, config: ServerConfig, *, field: str = "context.security_context.security_level"
) -> security_pb2.SecurityLevel:
    """The level for a request: the server's default when it names none.

    Raises PolicyError for Development where it is off, and for unknown numbers; a level is never rounded to another.
    """
    if requested == security_pb2.SECURITY_LEVEL_UNSPECIFIED:
        requested = _NAMES[config.engine.security_level]
    if requested == DEVELOPMENT:
        if not config.allow_development:
            raise PolicyError(field, _NO_DEVELOPMENT, denied=True)
        return DEVELOPMENT
    if requested == SAFE:
        return SAFE
    if requested == PRODUCTION:
        return PRODUCTION
    raise PolicyError(
        field,
        "expected SECURITY_LEVEL_SAFE (1), SECURITY_LEVEL_PRODUCTION (3) or, where it is enabled, "
        f"SECURITY_LEVEL_DEVELOPMENT (2), got {requested}.",
    )


def disabled_reason(level: int, config: ServerConfig) -> str:
    """Why a level cannot be used; empty when it can."""
    return _NO_DEVELOPMENT if level == DEVELOPMENT and not config.allow_development else ""


def check_sandbox(level: int, sandbox: bool | None, *, field: str = "context.security_context.sandbox") -> None:
    """Refuses to leave the jail outside Development, and to enter it there, with PolicyError.

    None is as the level has it.
    """
    if sandbox and level == DEVELOPMENT:
        raise PolicyError(
            field,
            "expected false: DEVELOPMENT has no jail. Leave the field out, or choose SAFE or PRODUCTION.",
            denied=True,
        )
    if sandbox is False and level != DEVELOPMENT:
        raise PolicyError(
            field,
            "expected true: only DEVELOPMENT runs scripts outside the jail. Leave the field out.",
            denied=True,
        )


def modules_of(level: int, available: Iterable[str]) -> tuple[str, ...]:
    """The modules besides the Rune core that scripts of a level may use, of those the interpreter has."""
    there = frozenset(available)
    return tuple(module for module in _MODULES.get(level, ()) if module in there)


def level_limits(level: int, config: ServerConfig) -> Limits:
    """The most that the server grants at this level."""
    table, configured = _LEVELS[level], config.engine.resource_limits
    # Defaults are for the levels that have limits of their own; Development has those that the operator wrote down.
    names = configured.model_fields_set if level == DEVELOPMENT else type(configured).model_fields
    granted: dict[str, Any] = {}
    for name in (field.name for field in dataclasses.fields(Limits)):
        own, wish = getattr(table, name), getattr(configured, name) if name in names else None
        granted[name] = (wish if wish is not None else own) if name in _RAISABLE else _smaller(own, wish)
    granted["max_source_bytes"] = int(config.engine.max_source_size)
    return _with_cpu_time(dataclasses.replace(Limits(), **granted))


def effective_limits(
    level: int,
    config: ServerConfig,
    requested: security_pb2.ResourceLimits | None = None,
    timeout: duration_pb2.Duration | None = None,
    *,
    path: str = "context",
) -> Limits:
    """The limits for one request: for each the smallest of level, server and request.

    `requested` and `timeout` are None when the request has none; fields of `requested` that are unset ask for
    nothing. Without any wish for a time, the configured default execution timeout applies. Raises
    PolicyError, with the field's path below `path`, for a limit that is zero, negative or not a number.
    """
    granted = level_limits(level, config)
    wishes = {} if requested is None else _wishes(requested, f"{path}.limits")
    if timeout is not None:
        seconds = _seconds(timeout, f"{path}.timeout")
        wishes["max_execution_time"] = _smaller(wishes.get("max_execution_time"), seconds)
    if level != DEVELOPMENT or "default_execution_timeout" in config.engine.model_fields_set:
        wishes.setdefault("max_execution_time", config.engine.default_execution_timeout)
    lowered: dict[str, Any] = {name: _smaller(getattr(granted, name), wish) for name, wish in wishes.items()}
    # Derived anew, from the lowered time and share; never more than before, as those are not.
    lowered["max_cpu_time"] = wishes.get("max_cpu_time")
    return _with_cpu_time(dataclasses.replace(granted, **lowered))


def to_message(limits: Limits) -> security_pb2.ResourceLimits:
    """The same as a message; an unset field is unlimited."""
    message = security_pb2.ResourceLimits()
    for name in (field.name for field in dataclasses.fields(Limits)):
        value = getattr(limits, name)
        if value is None:
            continue
        if name in _TIMES:
            getattr(message, name).FromNanoseconds(round(value * 1_000_000_000))
        else:
            setattr(message, name, value)
    return message


def _wishes(requested: security_pb2.ResourceLimits, path: str) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    for name in _COUNTS:
        if requested.HasField(name):
            count = int(getattr(requested, name))
            if count == 0:
                raise PolicyError(f"{path}.{name}", f"expected a number above zero, got 0. {_LEAVE_OUT}")
            wishes[name] = count
    if requested.HasField("max_cpu_percentage"):
        share = requested.max_cpu_percentage
        if not math.isfinite(share) or share <= 0:
            field = f"{path}.max_cpu_percentage"
            raise PolicyError(field, f"expected a percentage above zero, got {share}. {_LEAVE_OUT}")
        wishes["max_cpu_percentage"] = share
    for name in _TIMES:
        if requested.HasField(name):
            wishes[name] = _seconds(getattr(requested, name), f"{path}.{name}")
    return wishes


def _seconds(duration: duration_pb2.Duration, field: str) -> float:
    if abs(duration.nanos) >= 1_000_000_000 or duration.seconds * duration.nanos < 0:
        raise PolicyError(
            field,
            "expected a Duration with nanos below one second and the sign of seconds, got "
            f"seconds={duration.seconds} nanos={duration.nanos}.",
        )
    if duration.seconds > _MAX_SECONDS:
        raise PolicyError(field, f"expected at most {_MAX_SECONDS} s, got {duration.seconds} s. {_LEAVE_OUT}")
    # In one division: the sum of two fractions may be the next number above what was asked for.
    seconds = (duration.seconds * 1_000_000_000 + duration.nanos) / 1e9
    if seconds <= 0:
        raise PolicyError(field, f"expected a duration above zero, got {seconds:g} s. {_LEAVE_OUT}")
    return seconds


def _with_cpu_time(limits: Limits) -> Limits:
    wall, share = limits.max_execution_time, limits.max_cpu_percentage
    if wall is None:
        return limits
    bound = wall
    if share is not None:
        bound = min(wall, wall * share / 100 * _CPU_TIME_MARGIN + _CPU_TIME_START_SECONDS)
    return dataclasses.replace(limits, max_cpu_time=_smaller(limits.max_cpu_time, bound))


def _smaller(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
