"""What calls give back: plain Python objects over the messages of `crucible.v1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from google.protobuf.message import Message

from crucible.errors import CompilationError, ExecutionFailed
from crucible.v1 import error_pb2, execution_pb2, script_pb2, script_service_pb2, server_info_pb2
from crucible.values import from_value


@dataclass(frozen=True)
class Diagnostic:
    """What the compiler has to say. Lines and columns count from 1; 0 means no place."""

    severity: str
    message: str
    file: str
    line: int
    column: int
    hint: str
    code: str


@dataclass(frozen=True)
class Function:
    """A function of a script."""

    name: str
    parameters: tuple[str, ...]
    doc: str
    is_public: bool
    is_async: bool
    is_generator: bool


@dataclass(frozen=True)
class CompiledScript:
    """A script that compiled and is stored on the server."""

    script_id: str
    name: str
    functions: tuple[Function, ...]
    modules: tuple[str, ...]
    cached: bool
    message: script_pb2.CompiledScript


@dataclass(frozen=True)
class Script:
    """A stored script. Times are in UTC, to the microsecond."""

    script_id: str
    names: tuple[str, ...]
    """The names that point at it."""
    functions: tuple[Function, ...]
    modules: tuple[str, ...]
    source_bytes: int
    """Size of its text with all included files."""
    principal: str
    """Who stored it."""
    create_time: datetime
    """When it was first stored."""
    last_used_time: datetime
    """When it was last compiled or executed."""
    source: str | None
    """The text of its main file; None unless it was asked for."""
    files: Mapping[str, str]
    """Its included files by path; empty unless its text was asked for."""
    message: script_pb2.Script


@dataclass(frozen=True)
class Compilation:
    """What the compiler made of a source; `script` is None when it does not compile."""

    script: CompiledScript | None
    diagnostics: tuple[Diagnostic, ...]
    rendered: str

    def unwrap(self) -> CompiledScript:
        """The script; raises CompilationError when there is none."""
        if self.script is not None:
            return self.script
        errors = [found for found in self.diagnostics if found.severity == "ERROR"]
        first = errors[0] if errors else None
        text = f"{first.message} ({first.file}:{first.line}:{first.column})" if first else "the source does not compile"
        more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise CompilationError(text + more, diagnostics=self.diagnostics, rendered=self.rendered)


@dataclass(frozen=True)
class Frame:
    """One entry of a script's call stack."""

    function: str
    file: str
    line: int
    column: int


@dataclass(frozen=True)
class ExecutionError:
    """Why a script failed. `kind` is an `ExecutionErrorKind` without prefix, such as `RUNTIME`."""

    kind: str
    message: str
    file: str
    line: int
    column: int
    stack_trace: tuple[Frame, ...]
    rendered: str
    value: Any
    """The payload of a returned `Err(..)`; None otherwise."""


@dataclass(frozen=True)
class Usage:
    """What an execution used: bytes, seconds, percent of one processor, instructions."""

    memory_bytes: int
    max_resident_bytes: int
    cpu_percentage: float
    cpu_time: float
    operations: int
    host_calls: int


@dataclass(frozen=True)
class Result:
    """The end of an execution. `stdout` and `stderr` are empty when they were streamed."""

    execution_id: str
    script_id: str
    success: bool
    value: Any
    stdout: str
    stderr: str
    error: ExecutionError | None
    usage: Usage
    execution_time: float
    """Seconds from the start of the script to its end."""
    profile: bytes
    """What each line cost, for `go tool pprof`; empty unless it was asked for."""
    message: execution_pb2.ExecutionResult
    """All of it, such as the exact kinds of the value and whether output was truncated."""

    def unwrap(self) -> Result:
        """This, when it succeeded; raises ExecutionFailed otherwise."""
        if self.success or self.error is None:
            return self
        raise ExecutionFailed(self, self.error)


@dataclass(frozen=True)
class Output:
    """A piece of output, and the sequence number after which reading can be taken up again."""

    sequence: int
    stream: Literal["stdout", "stderr"]
    text: str


@dataclass(frozen=True)
class Execution:
    """The record of an execution. `state` is an `ExecutionState` without prefix, `result` its end if it ended;
    in lists and after redaction that has no output and no value. Times are in UTC, to the microsecond.
    """

    execution_id: str
    script_id: str
    script_name: str
    """The name by which the script was asked for; empty when it was not by name."""
    function: str
    state: str
    detached: bool
    principal: str
    """Who started it."""
    create_time: datetime
    """When it was accepted."""
    start_time: datetime | None
    """When its script started."""
    end_time: datetime | None
    expire_time: datetime | None
    """Until when at least it is kept."""
    redacted: bool
    """Its arguments, outputs and return value have been erased."""
    last_sequence: int
    result: Result | None
    message: execution_pb2.Execution


@dataclass(frozen=True)
class ScriptStats:
    """Figures of one script for as long as it is stored. Times are in seconds, memory in bytes."""

    script_id: str
    total_executions: int
    successful_executions: int
    average_execution_time: float
    max_execution_time: float
    max_memory_bytes: int
    last_execution_time: datetime | None
    message: server_info_pb2.ScriptExecutionStats


@dataclass(frozen=True)
class Metrics:
    """Figures of the service since its start. Times are in seconds, memory in bytes; `message` has the others."""

    total_executions: int
    successful_executions: int
    failed_executions: int
    """Those that ended otherwise: failed, cancelled, interrupted."""
    refused_executions: int
    """Those that found the queue full."""
    active_executions: int
    queued_executions: int
    average_execution_time: float
    total_compilations: int
    successful_compilations: int
    average_compile_time: float
    cache_hits: int
    cache_misses: int
    memory_bytes: int
    """Resident, of the server and its interpreter processes."""
    cpu_percentage: float
    """Of one processor, over the last ten seconds."""
    uptime: float
    scripts: Mapping[str, ScriptStats]
    """Of the scripts asked for, by id."""
    message: server_info_pb2.PerformanceMetrics


def compilation(response: script_service_pb2.CompileScriptResponse) -> Compilation:
    """Reads the answer of CompileScript."""
    return Compilation(
        script=_compiled(response.script) if response.success else None,
        diagnostics=tuple(map(_diagnostic, response.diagnostics)),
        rendered=response.rendered_diagnostics,
    )


def result(message: execution_pb2.ExecutionResult) -> Result:
    """Reads the end of an execution."""
    used = message.resource_usage
    return Result(
        execution_id=message.execution_id,
        script_id=message.script_id,
        success=message.success,
        value=from_value(message.return_value) if message.HasField("return_value") else None,
        stdout=message.stdout,
        stderr=message.stderr,
        error=None if message.success else _error(message.error),
        usage=Usage(
            memory_bytes=used.memory_bytes,
            max_resident_bytes=used.max_resident_bytes,
            cpu_percentage=used.cpu_percentage,
            cpu_time=used.cpu_time.ToTimedelta().total_seconds(),
            operations=used.operations_count,
            host_calls=used.host_calls_count,
        ),
        execution_time=message.execution_time.ToTimedelta().total_seconds(),
        profile=message.profile,
        message=message,
    )


def piece(chunk: execution_pb2.ExecutionChunk) -> Output | Result | None:
    """Reads one piece of an execution: output, its end, or None for a kind that this client does not know."""
    match chunk.WhichOneof("chunk"):
        case "stdout":
            return Output(chunk.sequence, "stdout", chunk.stdout)
        case "stderr":
            return Output(chunk.sequence, "stderr", chunk.stderr)
        case "complete":
            return result(chunk.complete)
        case "error":
            return result(chunk.error)
    return None


def execution(message: execution_pb2.Execution) -> Execution:
    """Reads the record of an execution."""
    return Execution(
        execution_id=message.execution_id,
        script_id=message.script_id,
        script_name=message.script_name,
        function=message.function,
        state=_name(execution_pb2.ExecutionState, message.state, "EXECUTION_STATE_"),
        detached=message.detached,
        principal=message.principal,
        create_time=message.create_time.ToDatetime(UTC),
        start_time=_moment(message, "start_time"),
        end_time=_moment(message, "end_time"),
        expire_time=_moment(message, "expire_time"),
        redacted=message.redacted,
        last_sequence=message.last_sequence,
        result=result(message.result) if message.HasField("result") else None,
        message=message,
    )


def script(message: script_pb2.Script) -> Script:
    """Reads a stored script."""
    return Script(
        script_id=message.script_id,
        names=tuple(message.names),
        functions=tuple(map(_function, message.functions)),
        modules=tuple(message.modules),
        source_bytes=message.source_bytes,
        principal=message.principal,
        create_time=message.create_time.ToDatetime(UTC),
        last_used_time=message.last_used_time.ToDatetime(UTC),
        source=message.source.source if message.HasField("source") else None,
        files=dict(message.source.files),
        message=message,
    )


def metrics(response: script_service_pb2.GetMetricsResponse) -> Metrics:
    """Reads the answer of GetMetrics."""
    figures = response.metrics
    return Metrics(
        total_executions=figures.total_executions,
        successful_executions=figures.successful_executions,
        failed_executions=figures.failed_executions,
        refused_executions=figures.refused_executions,
        active_executions=figures.active_connections,
        queued_executions=figures.queued_executions,
        average_execution_time=figures.average_execution_time.ToTimedelta().total_seconds(),
        total_compilations=figures.total_compilations,
        successful_compilations=figures.successful_compilations,
        average_compile_time=figures.average_compile_time.ToTimedelta().total_seconds(),
        cache_hits=figures.cache_hits,
        cache_misses=figures.cache_misses,
        memory_bytes=figures.memory_usage,
        cpu_percentage=figures.cpu_usage,
        uptime=figures.uptime.ToTimedelta().total_seconds(),
        scripts={stats.script_id: _stats(stats) for stats in response.script_stats},
        message=figures,
    )


def _stats(message: server_info_pb2.ScriptExecutionStats) -> ScriptStats:
    return ScriptStats(
        script_id=message.script_id,
        total_executions=message.total_executions,
        successful_executions=message.successful_executions,
        average_execution_time=message.average_execution_time.ToTimedelta().total_seconds(),
        max_execution_time=message.max_execution_time.ToTimedelta().total_seconds(),
        max_memory_bytes=message.max_memory_bytes,
        last_execution_time=_moment(message, "last_execution_time"),
        message=message,
    )


def _moment(message: Message, field: str) -> datetime | None:
    moment: datetime | None = getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None
    return moment


def _compiled(message: script_pb2.CompiledScript) -> CompiledScript:
    functions = tuple(map(_function, message.functions))
    return CompiledScript(message.script_id, message.name, functions, tuple(message.modules), message.cached, message)


def _function(message: script_pb2.FunctionInfo) -> Function:
    return Function(
        name=message.name,
        parameters=tuple(parameter.name for parameter in message.parameters),
        doc=message.doc,
        is_public=message.is_public,
        is_async=message.is_async,
        is_generator=message.is_generator,
    )


def _diagnostic(message: script_pb2.Diagnostic) -> Diagnostic:
    severity = _name(script_pb2.Severity, message.severity, "SEVERITY_")
    span = message.span
    return Diagnostic(severity, message.message, span.file, span.line, span.column, message.hint, message.code)


def _error(message: error_pb2.ExecutionError) -> ExecutionError:
    return ExecutionError(
        kind=_name(error_pb2.ExecutionErrorKind, message.kind, "EXECUTION_ERROR_KIND_"),
        message=message.message,
        file=message.file,
        line=message.line,
        column=message.column,
        stack_trace=tuple(Frame(frame.function, frame.file, frame.line, frame.column) for frame in message.stack_trace),
        rendered=message.rendered,
        value=from_value(message.value) if message.HasField("value") else None,
    )


def _name(enum: Any, number: int, prefix: str) -> str:
    # A newer server may send numbers that this client has no name for.
    names: dict[int, str] = {value: name for name, value in enum.items()}
    return names.get(number, str(number)).removeprefix(prefix)
