"""What calls give back: plain Python objects over the messages of `crucible.v1`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from crucible.errors import CompilationError, ExecutionFailed
from crucible.v1 import error_pb2, execution_pb2, script_pb2, script_service_pb2
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
    """The record of an execution. `state` is an `ExecutionState` without prefix, `result` its end if it
    ended.
    """

    execution_id: str
    script_id: str
    function: str
    state: str
    detached: bool
    last_sequence: int
    result: Result | None
    message: execution_pb2.Execution


def compilation(response: script_service_pb2.CompileScriptResponse) -> Compilation:
    """Reads the answer of CompileScript."""
    return Compilation(
        script=_script(response.script) if response.success else None,
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
        function=message.function,
        state=_name(execution_pb2.ExecutionState, message.state, "EXECUTION_STATE_"),
        detached=message.detached,
        last_sequence=message.last_sequence,
        result=result(message.result) if message.HasField("result") else None,
        message=message,
    )


def _script(message: script_pb2.CompiledScript) -> CompiledScript:
    functions = tuple(
        Function(
            name=function.name,
            parameters=tuple(parameter.name for parameter in function.parameters),
            doc=function.doc,
            is_public=function.is_public,
            is_async=function.is_async,
            is_generator=function.is_generator,
        )
        for function in message.functions
    )
    return CompiledScript(message.script_id, message.name, functions, tuple(message.modules), message.cached, message)


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
