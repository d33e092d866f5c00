"""What can go wrong with a call, as exceptions. All of them are CrucibleError."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from crucible.results import Diagnostic, ExecutionError, Result

ERROR_DOMAIN = "crucible.v1"


@dataclass(frozen=True)
class FieldViolation:
    """One thing wrong with one field of the request."""

    field: str
    description: str


class CrucibleError(Exception):
    """A call did not succeed. Its text says what was expected, what came and what to do."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        code: grpc.StatusCode | None = None,
        violations: Sequence[FieldViolation] = (),
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        """The `ErrorKind` (or `ExecutionErrorKind`) without its prefix; empty when the server named none."""
        self.code = code
        """The gRPC status code; None when the call itself was answered."""
        self.violations = tuple(violations)
        self.retry_after = retry_after
        """Seconds after which to try again, where the server said so."""
        self.metadata = dict(metadata or {})
        """What else the server said of it, for programs."""


class CompilationError(CrucibleError):
    """The source does not compile."""

    def __init__(
        self, message: str, *, diagnostics: Sequence[Diagnostic] = (), rendered: str = "", **rest: Any
    ) -> None:
        super().__init__(message, **{"kind": "COMPILATION_ERROR", **rest})
        self.diagnostics = tuple(diagnostics)
        """What the compiler found. Only `compile` gives it; `run` of a source gives `violations`."""
        self.rendered = rendered
        """The same as a person would like to read it."""


class ExecutionFailed(CrucibleError):  # noqa: N818 - it names what happened, ExecutionError is the detail
    """The script ran and failed; `result` has its output and what it used."""

    def __init__(self, result: Result, error: ExecutionError) -> None:
        place = f" ({error.file or '<script>'}:{error.line}:{error.column})" if error.line else ""
        super().__init__(f"{error.message}{place}", kind=error.kind)
        self.result = result
        self.error = error


class ConfigurationError(CrucibleError):
    """The server is not set up for what was asked."""


class ExecutionAborted(CrucibleError):  # noqa: N818
    """The execution could not be carried to a result."""


class EventExists(CrucibleError):  # noqa: N818
    """The event id is taken by another event; none of those emitted with it was stored."""


class EventsExpired(CrucibleError):  # noqa: N818
    """Events after the one to resume from have been deleted; the text names the oldest that is kept."""


class ExecutionExists(CrucibleError):  # noqa: N818
    """The execution id is taken by another request."""


class ExecutionNotFound(CrucibleError):  # noqa: N818
    """There is no such execution."""


class ExecutionUnfinished(CrucibleError):  # noqa: N818
    """The execution has not ended, so that it can be neither deleted nor redacted: cancel it first."""


class InternalError(CrucibleError):
    """A fault of the server."""


class MigrationError(CrucibleError):
    """A tool could not be migrated."""


class ResourceExceeded(CrucibleError):  # noqa: N818
    """A limit or quota is used up."""


class ScriptNotFound(CrucibleError):  # noqa: N818
    """There is no such script."""


class SecurityViolation(CrucibleError):  # noqa: N818
    """The caller, the level or the policy does not permit it."""


class ServiceExists(CrucibleError):  # noqa: N818
    """The service id is taken by a service of another principal."""


class ServiceNotFound(CrucibleError):  # noqa: N818
    """There is no such registered service."""


class SubscriptionNotFound(CrucibleError):  # noqa: N818
    """The caller has no such subscription at this server."""


class CallTimeout(CrucibleError):  # noqa: N818
    """The call ran out of time."""


class Unavailable(CrucibleError):  # noqa: N818
    """The server cannot be reached or takes nothing now; the retries are used up."""


class Unimplemented(CrucibleError):  # noqa: N818
    """This server does not serve the call."""


class RevisionNotFound(CrucibleError):  # noqa: N818
    """There is no such version of the configuration."""


class VersionConflict(CrucibleError):  # noqa: N818
    """Somebody else has changed it meanwhile: read it again, and decide anew.

    It can also mean that a try whose answer was lost has made the change.
    """

    @property
    def current_version(self) -> int:
        """The version in force."""
        return int(self.metadata.get("current_version", 0))


class ValidationError(CrucibleError):
    """The request is malformed; `violations` names the fields."""


_CLASSES: dict[str, type[CrucibleError]] = {
    "COMPILATION_ERROR": CompilationError,
    "CONFIGURATION_ERROR": ConfigurationError,
    "EVENTS_EXPIRED": EventsExpired,
    "EVENT_EXISTS": EventExists,
    "EXECUTION_ERROR": ExecutionAborted,
    "EXECUTION_EXISTS": ExecutionExists,
    "EXECUTION_NOT_FOUND": ExecutionNotFound,
    "EXECUTION_UNFINISHED": ExecutionUnfinished,
    "INTERNAL_ERROR": InternalError,
    "MIGRATION_ERROR": MigrationError,
    "RESOURCE_EXCEEDED": ResourceExceeded,
    "REVISION_NOT_FOUND": RevisionNotFound,
    "SCRIPT_NOT_FOUND": ScriptNotFound,
    "SECURITY_VIOLATION": SecurityViolation,
    "SERVICE_EXISTS": ServiceExists,
    "SERVICE_NOT_FOUND": ServiceNotFound,
    "SUBSCRIPTION_NOT_FOUND": SubscriptionNotFound,
    "TIMEOUT": CallTimeout,
    "UNAVAILABLE": Unavailable,
    "UNIMPLEMENTED": Unimplemented,
    "VALIDATION_ERROR": ValidationError,
    "VERSION_CONFLICT": VersionConflict,
}

# Statuses that gRPC itself makes carry no ErrorInfo.
_KINDS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "TIMEOUT",
    grpc.StatusCode.INTERNAL: "INTERNAL_ERROR",
    grpc.StatusCode.INVALID_ARGUMENT: "VALIDATION_ERROR",
    grpc.StatusCode.PERMISSION_DENIED: "SECURITY_VIOLATION",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "RESOURCE_EXCEEDED",
    grpc.StatusCode.UNAVAILABLE: "UNAVAILABLE",
    grpc.StatusCode.UNIMPLEMENTED: "UNIMPLEMENTED",
}


def from_rpc_error(error: grpc.RpcError) -> CrucibleError:
    """The exception for an error status, of the synchronous or the asynchronous gRPC."""
    # Both kinds of gRPC error have these methods, but share no class that declares them.
    call: Any = error
    code: grpc.StatusCode = call.code()
    kind, violations, retry_after, metadata = "", [], None, {}
    for detail in _details(call.trailing_metadata() or ()):
        info, bad, retry = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            error_details_pb2.RetryInfo(),
        )
        if detail.Unpack(info) and info.domain == ERROR_DOMAIN:
            kind = info.reason
            metadata = dict(info.metadata)
        elif detail.Unpack(bad):
            violations = [FieldViolation(entry.field, entry.description) for entry in bad.field_violations]
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    kind = kind or _KINDS.get(code, "")
    return _CLASSES.get(kind, CrucibleError)(
        call.details() or code.name,
        kind=kind,
        code=code,
        violations=violations,
        retry_after=retry_after,
        metadata=metadata,
    )


def _details(metadata: Any) -> Any:
    for key, content in metadata:
        if key == "grpc-status-details-bin":
            try:
                return status_pb2.Status.FromString(content).details
            except DecodeError:
                break
    return ()
