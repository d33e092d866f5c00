"""Results as the store keeps them: the value apart from the rest, so that lists need not read it."""

from __future__ import annotations

from crucible.v1 import error_pb2, execution_pb2, security_pb2, value_pb2
from crucible_server.store import ExecutionRecord

Kind = error_pb2.ExecutionErrorKind
State = execution_pb2.ExecutionState

INTERRUPTED = "the server stopped while the script ran; it was not run again"
LAPSED = "the server lost touch with its database for so long that others recorded the end of this execution"
_REDACTED = "the contents of this execution have been erased"

_END_STATES = {
    Kind.EXECUTION_ERROR_KIND_CANCELLED: State.EXECUTION_STATE_CANCELLED,
    Kind.EXECUTION_ERROR_KIND_INTERRUPTED: State.EXECUTION_STATE_INTERRUPTED,
}


def state_of(result: execution_pb2.ExecutionResult) -> State:
    """The end state that a result stands for."""
    if result.success:
        return State.EXECUTION_STATE_SUCCEEDED
    return _END_STATES.get(result.error.kind, State.EXECUTION_STATE_FAILED)


def error_word(kind: error_pb2.ExecutionErrorKind) -> str:
    """A kind of error as clients name it."""
    return Kind.Name(kind).removeprefix("EXECUTION_ERROR_KIND_")


def level_word(level: security_pb2.SecurityLevel) -> str:
    """A security level as people say it."""
    return security_pb2.SecurityLevel.Name(level).removeprefix("SECURITY_LEVEL_").lower()


def split(result: execution_pb2.ExecutionResult) -> tuple[bytes, bytes | None]:
    """A result without its value, and the value: the one returned, or the one that the error carries."""
    if result.HasField("return_value"):
        value = result.return_value
    elif result.error.HasField("value"):
        value = result.error.value
    else:
        return result.SerializeToString(), None
    rest = execution_pb2.ExecutionResult()
    rest.CopyFrom(result)
    rest.ClearField("return_value")
    if rest.HasField("error"):
        rest.error.ClearField("value")
    return rest.SerializeToString(), value.SerializeToString()


def merge(record: ExecutionRecord) -> execution_pb2.ExecutionResult:
    """The result of an execution that has ended, from its record."""
    result = execution_pb2.ExecutionResult.FromString(record.result or b"")
    if record.return_value is not None:
        value = value_pb2.Value.FromString(record.return_value)
        (result.return_value if result.success else result.error.value).CopyFrom(value)
    return result


def redacted(stored: bytes) -> bytes:
    """What is left of a stored result: how it ended and what it used, no word of the script's."""
    result = execution_pb2.ExecutionResult.FromString(stored)
    result.ClearField("metadata")
    result.ClearField("profile")
    result.ClearField("return_value")
    if result.HasField("error"):
        kind = result.error.kind
        result.error.Clear()
        result.error.kind = kind
        result.error.message = _REDACTED
    return result.SerializeToString()


def interrupted(record: ExecutionRecord, stdout_bytes: int, stderr_bytes: int) -> bytes:
    """The result of an execution that the server did not see to its end."""
    result = execution_pb2.ExecutionResult(
        execution_id=record.execution_id,
        script_id=record.script_id,
        stdout_bytes=stdout_bytes,
        stderr_bytes=stderr_bytes,
    )
    result.error.kind = Kind.EXECUTION_ERROR_KIND_INTERRUPTED
    result.error.message = INTERRUPTED
    return result.SerializeToString()
