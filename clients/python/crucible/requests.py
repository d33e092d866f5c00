"""The requests that both clients send, made from native Python values."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from crucible.results import CompiledScript, Script
from crucible.v1 import execution_pb2, script_pb2, script_service_pb2, security_pb2
from crucible.values import to_fields

Level = Literal["safe", "production", "development"]
_LEVELS: dict[str, security_pb2.SecurityLevel] = {
    "safe": security_pb2.SECURITY_LEVEL_SAFE,
    "production": security_pb2.SECURITY_LEVEL_PRODUCTION,
    "development": security_pb2.SECURITY_LEVEL_DEVELOPMENT,
}
State = Literal["QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "INTERRUPTED"]
"""How far an execution has come."""
_STATES: dict[str, execution_pb2.ExecutionState] = {
    "QUEUED": execution_pb2.EXECUTION_STATE_QUEUED,
    "RUNNING": execution_pb2.EXECUTION_STATE_RUNNING,
    "SUCCEEDED": execution_pb2.EXECUTION_STATE_SUCCEEDED,
    "FAILED": execution_pb2.EXECUTION_STATE_FAILED,
    "CANCELLED": execution_pb2.EXECUTION_STATE_CANCELLED,
    "INTERRUPTED": execution_pb2.EXECUTION_STATE_INTERRUPTED,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Limits(TypedDict, total=False):
    """Limits of one execution, by the names of `crucible.v1.ResourceLimits`; times in seconds."""

    max_memory_bytes: int
    max_cpu_percentage: float
    max_concurrent_operations: int
    operation_timeout: float
    max_execution_time: float
    max_network_requests: int
    max_operations: int
    max_output_bytes: int
    max_return_bytes: int
    max_native_depth: int
    max_source_bytes: int
    max_cpu_time: float
    max_host_calls: int


_TIMES = ("operation_timeout", "max_execution_time", "max_cpu_time")


class RunOptions(TypedDict, total=False):
    """What `run` and `stream` take besides the script."""

    script_id: str
    """The id of a compiled script, instead of a source."""
    name: str
    """The name of a compiled script, instead of a source."""
    files: Mapping[str, str]
    """Included files by path, with a source."""
    function: str
    """The public function to call; `main` by default."""
    args: Mapping[str, Any]
    """Arguments by parameter name."""
    level: Level
    """The security level; the server's default when absent."""
    timeout: float
    """Seconds that the script may run; it can only lower the level's limit."""
    limits: Limits
    """Limits that are lower than the level's."""
    execution_id: str
    """The idempotency key; one is generated per call when absent."""
    detached: bool
    """Whether the script lives on when this call is lost."""
    environment: Mapping[str, str]
    """Environment variables that the script can read."""
    working_directory: str
    """Absolute path on the server's machine that the script is run in; only at the level development."""
    seed: bytes
    """32 bytes that make hash order and random numbers repeatable."""
    profile: bool
    """Whether `Result.profile` tells what each line cost; the run takes several times as long."""


def compile_request(
    source: str, name: str | None, files: Mapping[str, str] | None, level: Level | None, file_name: str | None
) -> script_service_pb2.CompileScriptRequest:
    """A CompileScriptRequest; raises ValueError for an unknown level."""
    return script_service_pb2.CompileScriptRequest(
        source=script_pb2.ScriptSource(source=source, file_name=file_name or "", files=files or {}),
        context=script_pb2.CompilationContext(name=name or "", security_level=security_level(level)),
    )


def execution_context(
    script: str | CompiledScript | Script | None, options: RunOptions
) -> execution_pb2.ExecutionContext:
    """The context of an execution, with an id even when none was given: retries have to use one id.

    Raises ValueError for values and limits that cannot be sent, and when not exactly one script is given;
    TypeError for an option that does not exist and for an argument that has no counterpart in Rune.
    """
    # Left alone, a misspelt option would be ignored: a limit that does not bound, an id that protects from nothing.
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        message = f"unknown option {min(unknown)!r}; expected some of {', '.join(RunOptions.__annotations__)}"
        raise TypeError(message)
    given = [script is not None, "script_id" in options, "name" in options]
    if sum(given) != 1:
        message = "expected exactly one of a source, a CompiledScript or Script, script_id= and name="
        raise ValueError(message)
    files = options.get("files")
    if files and not isinstance(script, str):
        message = "files= goes with a source: a compiled script has its files already"
        raise ValueError(message)
    context = execution_pb2.ExecutionContext(
        execution_id=options.get("execution_id") or uuid.uuid4().hex,
        function=options.get("function", ""),
        arguments=to_fields(options.get("args", {}), "args"),
        environment=options.get("environment", {}),
        working_directory=options.get("working_directory", ""),
        security_context=security_pb2.SecurityContext(security_level=security_level(options.get("level"))),
        detached=options.get("detached", False),
        seed=options.get("seed", b""),
        profile=options.get("profile", False),
    )
    if isinstance(script, (CompiledScript, Script)):
        context.script_id = script.script_id
    elif isinstance(script, str):
        context.source.CopyFrom(script_pb2.ScriptSource(source=script, files=files or {}))
    elif "script_id" in options:
        context.script_id = options["script_id"]
    else:
        context.script_name = options["name"]
    if "timeout" in options:
        context.timeout.CopyFrom(duration(options["timeout"]))
    if "limits" in options:
        context.limits.CopyFrom(resource_limits(options["limits"]))
    return context


def resource_limits(limits: Limits) -> security_pb2.ResourceLimits:
    """ResourceLimits; raises ValueError for a name that is none, with those that are."""
    if unknown := limits.keys() - Limits.__annotations__.keys():
        expected = ", ".join(Limits.__annotations__)
        message = f"limits: unknown name {min(unknown)!r}; expected some of {expected}"
        raise ValueError(message)
    fields: dict[str, Any] = {
        name: duration(limit) if name in _TIMES and isinstance(limit, (int, float)) else limit
        for name, limit in limits.items()
    }
    return security_pb2.ResourceLimits(**fields)


def security_level(level: Level | None) -> security_pb2.SecurityLevel:
    """The level of this name; raises ValueError for an unknown one."""
    if level is None:
        return security_pb2.SECURITY_LEVEL_UNSPECIFIED
    if level not in _LEVELS:
        message = f"level: expected one of {', '.join(_LEVELS)}, got {level!r}"
        raise ValueError(message)
    return _LEVELS[level]


def get_script(script_id: str | None, name: str | None, include_source: bool) -> script_service_pb2.GetScriptRequest:
    """A GetScriptRequest; raises ValueError when not exactly one of id and name is given."""
    if (script_id is None) == (name is None):
        message = "expected exactly one of script_id= and name="
        raise ValueError(message)
    if script_id is not None:
        return script_service_pb2.GetScriptRequest(script_id=script_id, include_source=include_source)
    return script_service_pb2.GetScriptRequest(script_name=name, include_source=include_source)


def name_script(name: str, script_id: str) -> script_service_pb2.NameScriptRequest:
    """A NameScriptRequest that points a name at a script; raises ValueError for an empty id, which would remove it."""
    if not script_id:
        message = (
            f"script_id: expected the id of a script to name {name!r}, got an empty one; remove_name removes a name"
        )
        raise ValueError(message)
    return script_service_pb2.NameScriptRequest(name=name, script_id=script_id)


def list_scripts(
    name_prefix: str,
    principal: str,
    created_after: datetime | None,
    created_before: datetime | None,
    page_size: int | None,
) -> script_service_pb2.ListScriptsRequest:
    """The request for the first page; raises ValueError for a time without time zone."""
    return script_service_pb2.ListScriptsRequest(
        name_prefix=name_prefix,
        principal=principal,
        created_after=timestamp("created_after", created_after),
        created_before=timestamp("created_before", created_before),
        page_size=page_size or 0,
    )


def list_executions(
    states: Iterable[State],
    script_id: str,
    principal: str,
    created_after: datetime | None,
    created_before: datetime | None,
    page_size: int | None,
) -> script_service_pb2.ListExecutionsRequest:
    """The request for the first page; raises ValueError for an unknown state and for a time without time zone."""
    return script_service_pb2.ListExecutionsRequest(
        states=map(_state, [states] if isinstance(states, str) else states),
        script_id=script_id,
        principal=principal,
        created_after=timestamp("created_after", created_after),
        created_before=timestamp("created_before", created_before),
        page_size=page_size or 0,
    )


def _state(state: str) -> execution_pb2.ExecutionState:
    if state not in _STATES:
        message = f"states: expected some of {', '.join(_STATES)}, got {state!r}"
        raise ValueError(message)
    return _STATES[state]


def timestamp(name: str, moment: datetime | None) -> Timestamp | None:
    """A moment to the microsecond; raises ValueError for one without time zone, and for one before the year 1 or after
    9999 in UTC. `name` is that of the argument.
    """
    if moment is None:
        return None
    if moment.utcoffset() is None:
        message = f"{name}: expected a datetime with a time zone, got {moment.isoformat()}; datetime.now(UTC) has one"
        raise ValueError(message)
    sent = Timestamp()
    sent.FromMicroseconds((moment - _EPOCH) // timedelta(microseconds=1))
    return sent


def duration(seconds: float) -> Duration:
    """Seconds as a Duration, to the nanosecond."""
    whole = int(seconds // 1)
    return Duration(seconds=whole, nanos=min(round((seconds - whole) * 1e9), 999_999_999))
