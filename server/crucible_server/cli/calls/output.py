"""How the output and the end of an execution are shown."""

from __future__ import annotations

import json
import sys

from google.protobuf.duration_pb2 import Duration

from crucible.v1 import error_pb2, execution_pb2, script_service_pb2
from crucible_server.cli.calls.plain import emit_json, enum_word, plain
from crucible_server.cli.progress import Spinner
from crucible_server.cli.terminal import emit

_LINE = 100
"""Values up to this many characters are printed on one line."""

Result = execution_pb2.ExecutionResult


class TextOutput:
    """For people: the script's output on our own streams as it comes, then the value or the error."""

    def __init__(self, spinner: Spinner) -> None:
        self._spinner = spinner
        self._line_open = False

    def stdout(self, text: str) -> None:
        """The script wrote to standard output."""
        self._spinner.clear()
        emit(sys.stdout, text)
        self._line_open = not text.endswith("\n")

    def stderr(self, text: str) -> None:
        """The script wrote to standard error."""
        self._spinner.clear()
        emit(sys.stderr, text)

    def not_compiled(self, response: script_service_pb2.CompileScriptResponse) -> None:
        """There is nothing to run."""
        self._spinner.clear()
        emit(sys.stderr, response.rendered_diagnostics.rstrip("\n") + "\n")

    def end(self, result: Result) -> None:
        """The script ended."""
        self._spinner.clear()
        if self._line_open:
            emit(sys.stdout, "\n")
        if result.success:
            emit(sys.stdout, on_lines(result.return_json) + "\n")
        else:
            emit(sys.stderr, failure(result.error) + "\n")

    def started(self, execution_id: str) -> None:
        """The script runs, and nobody waits for it."""
        self._spinner.clear()
        emit(sys.stdout, f"{execution_id}\n")


class LinesOutput:
    """For programs that follow: one JSON object a line for every piece."""

    def piece(self, chunk: execution_pb2.ExecutionChunk) -> None:
        """A piece of the execution came."""
        kind = chunk.WhichOneof("chunk")
        if kind in ("stdout", "stderr"):
            emit_json({"sequence": chunk.sequence, "stream": kind, "text": getattr(chunk, kind)})
        elif kind is not None:
            emit_json({"sequence": chunk.sequence, "result": plain(getattr(chunk, kind))})


class JsonOutput:
    """For programs: one JSON object on standard output, once the script has ended."""

    def __init__(self) -> None:
        self._stdout: list[str] = []
        self._stderr: list[str] = []

    def stdout(self, text: str) -> None:
        """The script wrote to standard output."""
        self._stdout.append(text)

    def stderr(self, text: str) -> None:
        """The script wrote to standard error."""
        self._stderr.append(text)

    def not_compiled(self, response: script_service_pb2.CompileScriptResponse) -> None:
        """There is nothing to run."""
        error = {"kind": "compilation_error", "message": response.rendered_diagnostics}
        emit(sys.stdout, json.dumps({"success": False, "error": error}, ensure_ascii=False) + "\n")

    def end(self, result: Result) -> None:
        """The script ended."""
        usage = result.resource_usage
        members = {
            "execution_id": json.dumps(result.execution_id),
            "script_id": json.dumps(result.script_id),
            "success": json.dumps(result.success),
            "stdout": json.dumps("".join(self._stdout), ensure_ascii=False),
            "stderr": json.dumps("".join(self._stderr), ensure_ascii=False),
            "seconds": json.dumps(_seconds(result.execution_time)),
            "cpu_seconds": json.dumps(_seconds(usage.cpu_time)),
            "memory_bytes": json.dumps(usage.memory_bytes),
            "operations_count": json.dumps(usage.operations_count),
        }
        if result.success:
            # As the server wrote it: reading and writing it again could change a number.
            members["value"] = result.return_json
        else:
            members["error"] = json.dumps(_error_members(result.error), ensure_ascii=False)
        emit(sys.stdout, "{" + ", ".join(f'"{name}": {value}' for name, value in members.items()) + "}\n")

    def started(self, execution_id: str) -> None:
        """The script runs, and nobody waits for it."""
        emit_json({"execution_id": execution_id})


def _error_members(error: error_pb2.ExecutionError) -> dict[str, object]:
    members: dict[str, object] = {"kind": error_kind(error), "message": error.message}
    if error.line:
        members |= {"file": error.file, "line": error.line, "column": error.column}
    if error.limit_name:
        members |= {"limit_name": error.limit_name, "limit_value": error.limit_value}
    members["stack_trace"] = [
        {"function": frame.function, "file": frame.file, "line": frame.line, "column": frame.column}
        for frame in error.stack_trace
    ]
    return members


def failure(error: error_pb2.ExecutionError) -> str:
    """Why a script failed, for people."""
    text = error.rendered.rstrip("\n") or _describe(error)
    return f"error ({error_kind(error)}): {text}"


def _describe(error: error_pb2.ExecutionError) -> str:
    lines = [error.message]
    lines += [
        f"  in {frame.function or 'a closure'} at {frame.file}:{frame.line}:{frame.column}"
        for frame in error.stack_trace
    ]
    return "\n".join(lines)


def error_kind(error: error_pb2.ExecutionError) -> str:
    """The kind of an error in one word."""
    return enum_word(error_pb2.ExecutionErrorKind.DESCRIPTOR, error.kind)


def _seconds(span: Duration) -> float:
    return span.seconds + span.nanos / 10**9


def on_lines(value: str) -> str:
    """JSON as it came when it is short, else spread over lines."""
    if len(value) <= _LINE or value[0] not in "[{":
        return value
    return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
