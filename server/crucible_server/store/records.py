"""What the store keeps. All times are nanoseconds since 1970-01-01 UTC."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScriptRecord:
    """A script of one tenant, identified by the hash of its source and included files."""

    tenant: str
    script_id: str
    principal: str
    """Who stored it first."""
    create_time: int
    last_used_time: int
    source_bytes: int
    """Size of the source with its included files."""
    source: bytes
    """A serialized `crucible.v1.ScriptSource`."""
    functions: bytes
    """A serialized `crucible.v1.CompiledScript` that holds functions and modules, for display."""


@dataclass(frozen=True, slots=True)
class ScriptSummary:
    """A script without its source, with its names."""

    tenant: str
    script_id: str
    principal: str
    create_time: int
    last_used_time: int
    source_bytes: int
    functions: bytes
    names: tuple[str, ...]
    """In the order of their characters."""


@dataclass(frozen=True, slots=True)
class ScriptStats:
    """What the executions of a script have used. Times in nanoseconds."""

    script_id: str
    total_executions: int
    successful_executions: int
    total_time_ns: int
    max_time_ns: int
    max_memory_bytes: int
    last_execution_time: int | None


@dataclass(frozen=True, slots=True)
class ScriptQuery:
    """A page of a tenant's scripts, newest first: by (create_time, script_id), descending."""

    tenant: str
    limit: int
    before: tuple[int, str] | None = None
    """The (create_time, script_id) of the last script of the page before."""
    name_prefix: str = ""
    """Only scripts with a name that begins so; case matters."""
    principal: str = ""
    """Only scripts that this principal has stored and not deleted, whoever else has."""
    created_after: int | None = None
    """Inclusive."""
    created_before: int | None = None
    """Exclusive."""


@dataclass(frozen=True, slots=True)
class ScriptDeletion:
    """What came of taking one principal's reference to a script away."""

    found: bool
    """The principal had a reference."""
    removed: bool
    """It was the last: the script is gone with all that belongs to it."""
    unit_keys: tuple[str, ...]
    """The byte code that went with it."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """Byte code. It is not to be trusted before its MAC has been verified."""

    unit_key: str
    """Covers tenant, source, compiler and modules; unique in the store."""
    tenant: str
    script_id: str
    toolchain: str
    """What compiled it."""
    compiled: bytes
    """The serialized `crucible.v1.CompileScriptResponse` that the seal covers: all that is told about the byte code."""
    unit: bytes
    mac: bytes
    create_time: int


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An execution; `(tenant, execution_id)` is its idempotency key."""

    tenant: str
    execution_id: str
    request_hash: bytes
    script_id: str
    script_name: str
    function: str
    state: int
    """A number of `crucible.v1.ExecutionState`."""
    detached: bool
    principal: str
    security_level: int
    """A number of `crucible.v1.SecurityLevel`."""
    instance_id: str
    """The run of the server that accepted it."""
    create_time: int
    start_time: int | None
    end_time: int | None
    expire_time: int | None
    request: bytes
    """What was asked for, for the record: serialized arguments and the like. Lists leave it empty."""
    result: bytes | None
    """A serialized `crucible.v1.ExecutionResult` without its return value, once it has ended."""
    last_sequence: int
    limits: bytes
    """A serialized `crucible.v1.ResourceLimits`: those in force."""
    redacted: bool
    return_value: bytes | None
    """A serialized `crucible.v1.Value`. Lists leave it out."""


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """A page of a tenant's executions, newest first: by (create_time, execution_id), descending."""

    tenant: str
    limit: int
    before: tuple[int, str] | None = None
    """The (create_time, execution_id) of the last execution of the page before."""
    states: tuple[int, ...] = ()
    """Only those in one of these states; all when empty."""
    script_id: str = ""
    principal: str = ""
    created_after: int | None = None
    """Inclusive."""
    created_before: int | None = None
    """Exclusive."""


@dataclass(frozen=True, slots=True)
class OutputSegment:
    """Consecutive chunks of an execution's output."""

    first_sequence: int
    last_sequence: int
    stdout_bytes: int
    stderr_bytes: int
    data: bytes
    """Length-delimited `crucible.v1.ExecutionChunk` messages."""


@dataclass(frozen=True, slots=True)
class ExecutionEnd:
    """How an execution ended. The first end that is stored is the only one."""

    tenant: str
    execution_id: str
    script_id: str
    """Whose figures it is added to."""
    state: int
    start_time: int | None
    end_time: int
    expire_time: int | None
    result: bytes
    return_value: bytes | None
    output: OutputSegment | None
    """The last segment of the output, unless all of it is stored already."""
    last_sequence: int
    success: bool
    execution_time_ns: int
    memory_bytes: int
    """The most memory it had."""


class Change(enum.Enum):
    """What came of an operation on an execution that must have ended."""

    DONE = "done"
    ABSENT = "absent"
    """There is no such execution."""
    UNFINISHED = "unfinished"
    """It has not ended; nothing was changed."""
