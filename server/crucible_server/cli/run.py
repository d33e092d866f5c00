"""`crucible run FILE`: compile a script and run one function of it, its output shown while it runs."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from pathlib import Path
from typing import Annotated

import grpc
import typer
from google.protobuf.duration_pb2 import Duration

from crucible import AsyncClient
from crucible.errors import from_rpc_error
from crucible.v1 import error_pb2, execution_pb2, script_pb2, script_service_pb2, security_pb2
from crucible_server.cli.arguments import Level, arguments_json, duration
from crucible_server.cli.connection import complete, connect
from crucible_server.cli.exits import Exit
from crucible_server.cli.source import read_source
from crucible_server.cli.terminal import CommandError, OutputClosedError, emit

_CANCEL_SECONDS = 5.0
_LINE = 100
"""Values up to this many characters are printed on one line."""

Result = execution_pb2.ExecutionResult


def run(
    file: Annotated[Path, typer.Argument(help="The script; - for standard input.")],
    arg: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An argument: JSON, else taken as text. Repeat for more."),
    ] = None,
    function: Annotated[str, typer.Option(help="The public function to call.")] = "main",
    level: Annotated[Level, typer.Option(help="Decides modules and limits.")] = Level.SAFE,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it may run, such as 500ms, 5s, 2m.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="host:port; a server of its own when left out.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end instead of output and value.")
    ] = False,
) -> None:
    """Run a script: its output as it comes, then the value it returns.

    Ctrl-C cancels the execution. Exit code 1 means that the script does not compile, or ran and failed.
    """
    context = execution_pb2.ExecutionContext(
        execution_id=uuid.uuid4().hex,
        function=function,
        arguments_json=arguments_json(arg or ()),
        security_context=security_pb2.SecurityContext(security_level=level.to_proto()),
        timeout=duration(timeout) if timeout else None,
    )
    output = JsonOutput() if as_json else TextOutput()
    succeeded = complete(_run(read_source(file), context, output, server))
    if not succeeded:
        raise typer.Exit(Exit.SCRIPT_FAILED)


async def _run(
    source: script_pb2.ScriptSource,
    context: execution_pb2.ExecutionContext,
    output: TextOutput | JsonOutput,
    server: str | None,
) -> bool:
    async with connect(server) as client:
        compiled = await client.stub.CompileScript(
            script_service_pb2.CompileScriptRequest(
                source=source,
                context=script_pb2.CompilationContext(security_level=context.security_context.security_level),
            )
        )
        if not compiled.success:
            output.not_compiled(compiled)
            return False
        context.script_id = compiled.script.script_id
        try:
            result = await _follow(client, context, output)
        except (asyncio.CancelledError, OutputClosedError):
            await _cancel(client, context.execution_id)
            raise
        output.end(result)
        return result.success


async def _follow(
    client: AsyncClient, context: execution_pb2.ExecutionContext, output: TextOutput | JsonOutput
) -> Result:
    request = script_service_pb2.ExecuteScriptStreamRequest(context=context, include_return_json=True)
    async for response in client.stub.ExecuteScriptStream(request):
        match response.chunk.WhichOneof("chunk"):
            case "stdout":
                output.stdout(response.chunk.stdout)
            case "stderr":
                output.stderr(response.chunk.stderr)
            case "complete":
                return response.chunk.complete
            case "error":
                return response.chunk.error
            case _:
                # A newer server may send more kinds of chunks.
                continue
    raise CommandError(Exit.UNREACHABLE, "the server ended the stream without a result: is it being stopped?")


async def _cancel(client: AsyncClient, execution_id: str) -> None:
    # Losing the call would end the script too; asking makes sure that it has ended before we go.
    request = script_service_pb2.CancelExecutionRequest(execution_id=execution_id, reason="interrupted by the user")
    try:
        await client.stub.CancelExecution(request, timeout=_CANCEL_SECONDS)
    except grpc.RpcError as error:
        emit(sys.stderr, f"warning: the execution could not be cancelled: {from_rpc_error(error)}\n")


class TextOutput:
    """For people: the script's output on our own streams as it comes, then the value or the error."""

    def __init__(self) -> None:
        self._line_open = False

    def stdout(self, text: str) -> None:
        """The script wrote to standard output."""
        emit(sys.stdout, text)
        self._line_open = not text.endswith("\n")

    def stderr(self, text: str) -> None:
        """The script wrote to standard error."""
        emit(sys.stderr, text)

    def not_compiled(self, response: script_service_pb2.CompileScriptResponse) -> None:
        """There is nothing to run."""
        emit(sys.stderr, response.rendered_diagnostics.rstrip("\n") + "\n")

    def end(self, result: Result) -> None:
        """The script ended."""
        if self._line_open:
            emit(sys.stdout, "\n")
        if result.success:
            emit(sys.stdout, _on_lines(result.return_json) + "\n")
            return
        error = result.error
        text = error.rendered.rstrip("\n") or _describe(error)
        emit(sys.stderr, f"error ({_kind(error)}): {text}\n")


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


def _error_members(error: error_pb2.ExecutionError) -> dict[str, object]:
    members: dict[str, object] = {"kind": _kind(error), "message": error.message}
    if error.line:
        members |= {"file": error.file, "line": error.line, "column": error.column}
    if error.limit_name:
        members |= {"limit_name": error.limit_name, "limit_value": error.limit_value}
    members["stack_trace"] = [
        {"function": frame.function, "file": frame.file, "line": frame.line, "column": frame.column}
        for frame in error.stack_trace
    ]
    return members


def _describe(error: error_pb2.ExecutionError) -> str:
    lines = [error.message]
    lines += [
        f"  in {frame.function or 'a closure'} at {frame.file}:{frame.line}:{frame.column}"
        for frame in error.stack_trace
    ]
    return "\n".join(lines)


def _kind(error: error_pb2.ExecutionError) -> str:
    try:
        return error_pb2.ExecutionErrorKind.Name(error.kind).removeprefix("EXECUTION_ERROR_KIND_").lower()
    except ValueError:
        # From a newer server.
        return f"kind {error.kind}"


def _seconds(span: Duration) -> float:
    return span.seconds + span.nanos / 10**9


def _on_lines(value: str) -> str:
    """JSON as it came when it is short, else spread over lines."""
    if len(value) <= _LINE or value[0] not in "[{":
        return value
    return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
