"""What the store keeps. All times are nanoseconds since 1970-01-01 UTC."""

from __future__ import annotations

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
    """A serialized `crucible.v1.CompiledScript` that holds functions and modules."""


@dataclass(frozen=True, slots=True)
class UnitRecord:
    """Byte code. It is not to be trusted before its MAC has been verified."""

    unit_key: str
    """Covers tenant, source, compiler and modules; unique in the store."""
    tenant: str
    script_id: str
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
    """What was asked for, for the record: serialized arguments and the like."""
    result: bytes | None
    """A serialized `crucible.v1.ExecutionResult`, once it has ended."""
    last_sequence: int
    limits: bytes
    """A serialized `crucible.v1.ResourceLimits`: those in force."""
    redacted: bool


@dataclass(frozen=True, slots=True)
class ExecutionEnd:
    """How an execution ended. The first end that is stored is the only one."""

    tenant: str
    execution_id: str
    state: int
    start_time: int | None
    end_time: int
    expire_time: int | None
    result: bytes
    output: bytes
    """The output log; `b""` stores none."""
    last_sequence: int
