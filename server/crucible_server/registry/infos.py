"""What services tell of themselves, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from crucible.v1 import registry_pb2
from crucible_server.config import HealthCheckConfig
from crucible_server.errors import ErrorKind, ServiceError, invalid

_NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,128}")
_ENDPOINT = re.compile(
    r"(?:(?P<scheme>grpcs?|https?)://|(?P<resolver>(?:dns|ipv4|ipv6):(?://[^\s/?#@]*/)?))?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>/[!-~]*)?"
)
_HEALTH_SCHEMES = {"http": "http", "https": "https", "grpc": "http", "grpcs": "https"}
_MAX_VERSION, _MAX_ENDPOINT = 64, 512
_MAX_METADATA, _MAX_KEY, _MAX_VALUE = 64, 64, 1024
_MAX_METADATA_BYTES = 16 * 1024
_MIN_SECONDS, MAX_SECONDS = 1, 3600
"""Bounds of leases, and of the times of health checks."""
_MAX_THRESHOLD = 100


@dataclass(frozen=True, slots=True)
class HealthUrl:
    """Where a service says how it is."""

    text: str
    is_grpc: bool
    url: str
    """As http:// or https://, in which the allow-list has it."""
    grpc_service: str
    """For grpc.health.v1; empty asks for the server as a whole."""

    @classmethod
    def parse(cls, text: str) -> HealthUrl:
        """Reads a `health_check_url`. Raises ServiceError (VALIDATION_ERROR)."""
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in _HEALTH_SCHEMES or not rest.isprintable() or len(text) > _MAX_ENDPOINT:
            raise invalid(
                "service.health_check_url",
                "expected http://HOST:PORT/PATH, https://..., grpc://HOST:PORT or grpcs://HOST:PORT, perhaps with "
                f"/SERVICE after it, at most {_MAX_ENDPOINT} characters, got {text[:80]!r}",
            )
        is_grpc = scheme.startswith("grpc")
        service = rest.partition("/")[2] if is_grpc else ""
        place = rest.partition("/")[0] if is_grpc else rest
        return cls(text, is_grpc, f"{_HEALTH_SCHEMES[scheme]}://{place}", service)


def check_info(info: registry_pb2.ServiceInfo) -> None:
    """Raises ServiceError (VALIDATION_ERROR) unless a service may be called so."""
    check_id(info.service_id, "service.service_id")
    if not _NAME.fullmatch(info.service_type):
        raise invalid("service.service_type", _expected_name(info.service_type))
    if len(info.version) > _MAX_VERSION or not info.version.isprintable():
        raise invalid("service.version", f"expected at most {_MAX_VERSION} printable characters")
    _check_endpoint(info.endpoint)
    if len(info.metadata) > _MAX_METADATA:
        raise invalid("service.metadata", f"expected at most {_MAX_METADATA} facts, got {len(info.metadata)}")
    size = sum(len(key.encode()) + len(value.encode()) for key, value in info.metadata.items())
    if size > _MAX_METADATA_BYTES:
        raise invalid("service.metadata", f"expected at most {_MAX_METADATA_BYTES} bytes in all, got {size}")
    for key, value in info.metadata.items():
        if not 0 < len(key) <= _MAX_KEY or not key.isprintable():
            raise invalid(
                "service.metadata", f"expected names of 1 to {_MAX_KEY} printable characters, got {key[:80]!r}"
            )
        if len(value) > _MAX_VALUE:
            raise invalid(f"service.metadata[{key!r}]", f"expected at most {_MAX_VALUE} characters, got {len(value)}")


def check_id(service_id: str, field: str) -> None:
    """Raises ServiceError (VALIDATION_ERROR) for what cannot be the id of a service."""
    if not _NAME.fullmatch(service_id):
        raise invalid(field, _expected_name(service_id))


def lease_of(duration: Duration | None, default: float) -> int:
    """A lease in nanoseconds. Raises ServiceError (VALIDATION_ERROR)."""
    if duration is None:
        return int(default * 1e9)
    return _between(duration, "lease")


def health_check_of(
    wanted: registry_pb2.HealthCheckConfig, default: HealthCheckConfig
) -> registry_pb2.HealthCheckConfig:
    """What a service asked for, and the server's defaults for the rest. Raises ServiceError (VALIDATION_ERROR)."""
    check = registry_pb2.HealthCheckConfig(
        failure_threshold=wanted.failure_threshold or default.failure_threshold,
        success_threshold=wanted.success_threshold or default.success_threshold,
    )
    interval, timeout = int(default.interval * 1e9), int(default.timeout * 1e9)
    if wanted.HasField("interval"):
        interval = _between(wanted.interval, "health_check.interval")
        timeout = min(timeout, interval)
    if wanted.HasField("timeout"):
        timeout = _nanoseconds(wanted.timeout)
        if not 0 < timeout <= interval:
            raise invalid(
                "health_check.timeout", f"expected a time above zero and at most the interval, {interval / 1e9:g} s"
            )
    for field in ("failure_threshold", "success_threshold"):
        if getattr(check, field) > _MAX_THRESHOLD:
            raise invalid(f"health_check.{field}", f"expected 1 to {_MAX_THRESHOLD}, got {getattr(check, field)}")
    check.interval.FromNanoseconds(interval)
    check.timeout.FromNanoseconds(timeout)
    return check


def no_such_service(service_id: str) -> ServiceError:
    """A service that is not registered, or is another principal's."""
    return ServiceError(
        ErrorKind.ERROR_KIND_SERVICE_NOT_FOUND,
        f"no service that the caller has registered has the id {service_id[:140]!r}; its lease may have expired: "
        "register it again",
        metadata={"service_id": service_id},
    )


def _between(duration: Duration, field: str) -> int:
    nanoseconds = _nanoseconds(duration)
    if not _MIN_SECONDS * 10**9 <= nanoseconds <= MAX_SECONDS * 10**9:
        raise invalid(
            field,
            f"expected {_MIN_SECONDS} to {MAX_SECONDS} s, got seconds={duration.seconds} nanos={duration.nanos}; leave "
            "it unset for the server's default",
        )
    return nanoseconds


def _nanoseconds(duration: Duration) -> int:
    """A duration above zero; -1 for one that is not, or none at all, such as seconds and nanos of different signs."""
    is_one = 0 <= duration.seconds < 10**9 and 0 <= duration.nanos < 10**9
    return duration.seconds * 10**9 + duration.nanos if is_one else -1


def _check_endpoint(endpoint: str) -> None:
    match = _ENDPOINT.fullmatch(endpoint) if len(endpoint) <= _MAX_ENDPOINT else None
    is_whole = match is not None and (match["scheme"] or ((match["port"] or match["resolver"]) and not match["rest"]))
    if match is None or not is_whole or not 0 < int(match["port"] or 1) < 65536:
        raise invalid(
            "service.endpoint",
            "expected HOST:PORT such as 10.0.0.5:8080, a URL of http, https, grpc or grpcs such as "
            "https://example.com/api, or a target of gRPC such as dns:///example.com:50051, ipv4:10.0.0.5:50051; the "
            f"port from 1 to 65535, at most {_MAX_ENDPOINT} characters, got {endpoint[:80]!r}",
        )


def _expected_name(got: str) -> str:
    return f"expected 1 to 128 letters, digits, `_`, `-`, `.`, `:`, `/`, got {got[:140]!r}"
