"""The one table from errors of the service to gRPC statuses, with google.rpc details."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2, message
from google.rpc import code_pb2, error_details_pb2, status_pb2

from crucible.v1 import error_pb2
from crucible_server.errors import ServiceError
from crucible_server.store import StoreError, StoreErrorKind

ERROR_DOMAIN = "crucible.v1"
MAX_DETAILS_BYTES = 4096
"""Some clients lose trailers that are longer."""
_MAX_MESSAGE_BYTES = 1024
# What is not plain ASCII travels percent-encoded in a header, three bytes for one.
_MAX_ENCODED_MESSAGE_BYTES = 512

_K = error_pb2.ErrorKind
_C = grpc.StatusCode
CODES: dict[error_pb2.ErrorKind, grpc.StatusCode] = {
    _K.ERROR_KIND_UNSPECIFIED: _C.UNKNOWN,
    _K.ERROR_KIND_EXECUTION_ERROR: _C.ABORTED,
    _K.ERROR_KIND_COMPILATION_ERROR: _C.INVALID_ARGUMENT,
    _K.ERROR_KIND_CONFIGURATION_ERROR: _C.FAILED_PRECONDITION,
    _K.ERROR_KIND_VALIDATION_ERROR: _C.INVALID_ARGUMENT,
    _K.ERROR_KIND_SECURITY_VIOLATION: _C.PERMISSION_DENIED,
    _K.ERROR_KIND_RESOURCE_EXCEEDED: _C.RESOURCE_EXHAUSTED,
    _K.ERROR_KIND_TIMEOUT: _C.DEADLINE_EXCEEDED,
    _K.ERROR_KIND_SERVICE_NOT_FOUND: _C.NOT_FOUND,
    _K.ERROR_KIND_SCRIPT_NOT_FOUND: _C.NOT_FOUND,
    _K.ERROR_KIND_MIGRATION_ERROR: _C.FAILED_PRECONDITION,
    _K.ERROR_KIND_INTERNAL_ERROR: _C.INTERNAL,
    _K.ERROR_KIND_EXECUTION_NOT_FOUND: _C.NOT_FOUND,
    _K.ERROR_KIND_EXECUTION_EXISTS: _C.ALREADY_EXISTS,
    _K.ERROR_KIND_UNAVAILABLE: _C.UNAVAILABLE,
    _K.ERROR_KIND_UNIMPLEMENTED: _C.UNIMPLEMENTED,
    _K.ERROR_KIND_EXECUTION_UNFINISHED: _C.FAILED_PRECONDITION,
    _K.ERROR_KIND_EVENTS_EXPIRED: _C.OUT_OF_RANGE,
    _K.ERROR_KIND_SUBSCRIPTION_NOT_FOUND: _C.NOT_FOUND,
    _K.ERROR_KIND_EVENT_EXISTS: _C.ALREADY_EXISTS,
    _K.ERROR_KIND_SERVICE_EXISTS: _C.ALREADY_EXISTS,
    _K.ERROR_KIND_VERSION_CONFLICT: _C.ABORTED,
    _K.ERROR_KIND_REVISION_NOT_FOUND: _C.NOT_FOUND,
}

_STORE_QUOTAS = {StoreErrorKind.FULL: "store"}
_TRANSIENT = {StoreErrorKind.UNAVAILABLE, StoreErrorKind.LOCKED, StoreErrorKind.CLOSED}


def of_store(error: StoreError) -> ServiceError:
    """What a failure of the store means to the caller. Nothing was kept of the failed write."""
    if error.kind in _STORE_QUOTAS:
        return ServiceError(_K.ERROR_KIND_RESOURCE_EXCEEDED, error.message, retry_after=5.0, quota="store")
    kind = _K.ERROR_KIND_UNAVAILABLE if error.kind in _TRANSIENT else _K.ERROR_KIND_INTERNAL_ERROR
    return ServiceError(kind, error.message, retry_after=1.0 if error.kind in _TRANSIENT else None)


def to_status(error: ServiceError) -> tuple[grpc.StatusCode, str, bytes]:
    """Code, message and the serialized google.rpc.Status of an error."""
    code = CODES[error.kind]
    is_plain = error.message.isascii() and error.message.isprintable()
    text = _cut(error.message, _MAX_MESSAGE_BYTES if is_plain else _MAX_ENCODED_MESSAGE_BYTES)
    status = status_pb2.Status(code=getattr(code_pb2, code.name), message=text)
    details: list[message.Message] = [
        error_details_pb2.ErrorInfo(
            reason=error_pb2.ErrorKind.Name(error.kind).removeprefix("ERROR_KIND_"),
            domain=ERROR_DOMAIN,
            metadata={key: _cut(value, 100) for key, value in error.metadata.items()},
        )
    ]
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(int(error.retry_after * 1000))
        details.append(retry)
    if error.quota:
        details.append(
            error_details_pb2.QuotaFailure(
                violations=[error_details_pb2.QuotaFailure.Violation(subject=error.quota, description=_cut(text, 200))]
            )
        )
    if error.violations:
        details.append(
            _bad_request(error, MAX_DETAILS_BYTES - 512 - sum(d.ByteSize() for d in details) - len(text.encode()))
        )
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    return code, text, status.SerializeToString()


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, and a mark where something is missing."""
    encoded = text.encode()
    return text if len(encoded) <= limit else encoded[:limit].decode(errors="ignore") + " ..."


def _bad_request(error: ServiceError, room: int) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for violation in error.violations:
        entry = bad.field_violations.add(field=_cut(violation.field, 200), description=_cut(violation.description, 500))
        if bad.ByteSize() > room:
            bad.field_violations.remove(entry)
            break
    return bad
