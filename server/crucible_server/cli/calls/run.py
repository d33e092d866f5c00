"""Compiles a script and runs one function of it, its output shown while it runs."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

import grpc

from crucible import AsyncClient
from crucible.errors import from_rpc_error
from crucible.v1 import execution_pb2, script_pb2, script_service_pb2, security_pb2
from crucible_server.cli.calls.arguments import arguments_json, duration, level_number
from crucible_server.cli.calls.connection import complete, connect
from crucible_server.cli.calls.output import JsonOutput, Result, TextOutput
from crucible_server.cli.calls.source import read_source
from crucible_server.cli.exits import Exit
from crucible_server.cli.options import Level
from crucible_server.cli.progress import Spinner
from crucible_server.cli.terminal import CommandError, OutputClosedError, emit

_CANCEL_SECONDS = 5.0
_LOOK_SECONDS = 1.0
_ID_KEY = "crucible-execution-id"


def run_script(
    file: Path,
    *,
    arguments: Iterable[str],
    function: str,
    level: Level,
    timeout: str | None,
    working_directory: str | None,
    server: str | None,
    detach: bool,
    profile: Path | None,
    as_json: bool,
) -> bool:
    """Runs it; whether it succeeded, or with `detach` was started. Raises CommandError when it could not be run."""
    context = execution_pb2.ExecutionContext(
        execution_id=uuid.uuid4().hex,
        function=function,
        arguments_json=arguments_json(arguments),
        security_context=security_pb2.SecurityContext(security_level=level_number(level)),
        timeout=duration(timeout) if timeout else None,
        detached=detach,
        working_directory=_place(working_directory, server),
        profile=profile is not None,
    )
    with Spinner(enabled=not as_json) as spinner:
        output = JsonOutput() if as_json else TextOutput(spinner)
        return complete(_run(read_source(file), context, output, spinner, server, profile))


def _place(folder: str | None, server: str | None) -> str:
    # A server of its own is on this machine, where a relative path means something.
    return os.path.abspath(folder) if folder and server is None else folder or ""


async def _run(
    source: script_pb2.ScriptSource,
    context: execution_pb2.ExecutionContext,
    output: TextOutput | JsonOutput,
    spinner: Spinner,
    server: str | None,
    profile: Path | None,
) -> bool:
    spinner.show("connecting" if server else "starting a server")
    level = context.security_context.security_level
    async with connect(server, allow_development=level == security_pb2.SECURITY_LEVEL_DEVELOPMENT) as client:
        spinner.show("compiling")
        compiled = await client.stub.CompileScript(
            script_service_pb2.CompileScriptRequest(
                source=source,
                context=script_pb2.CompilationContext(security_level=level),
            )
        )
        if not compiled.success:
            output.not_compiled(compiled)
            return False
        context.script_id = compiled.script.script_id
        if context.detached:
            await _start(client, context)
            output.started(context.execution_id)
            return True
        looking = asyncio.create_task(_show_state(client, context.execution_id, spinner))
        try:
            result = await _follow(client, context, output)
        except (asyncio.CancelledError, OutputClosedError):
            spinner.clear()
            await _cancel(client, context.execution_id)
            raise
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        if profile is not None:
            _keep_profile(result, profile)
        output.end(result)
        return result.success


def _keep_profile(result: Result, file: Path) -> None:
    if not result.profile:
        emit(sys.stderr, "warning: there is no profile: the interpreter was killed before it could tell\n")
        return
    try:
        file.write_bytes(result.profile)
    except OSError as error:
        raise CommandError(Exit.USAGE, f"the profile cannot be written to {file}: {error.strerror}") from None
    # JSON has no place for it, and the file has it.
    result.ClearField("profile")


async def _show_state(client: AsyncClient, execution_id: str, spinner: Spinner) -> None:
    spinner.show("running")
    request = script_service_pb2.GetExecutionRequest(execution_id=execution_id)
    # The stream says nothing of the queue, so somebody has to ask while there is no output.
    while spinner.is_waiting:
        await asyncio.sleep(_LOOK_SECONDS)
        record = (await client.stub.GetExecution(request, timeout=_CANCEL_SECONDS)).execution
        if spinner.is_waiting:
            is_queued = record.state == execution_pb2.EXECUTION_STATE_QUEUED
            spinner.show("waiting for its turn" if is_queued else "running")


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


async def _start(client: AsyncClient, context: execution_pb2.ExecutionContext) -> None:
    call = client.stub.ExecuteScriptStream(script_service_pb2.ExecuteScriptStreamRequest(context=context))
    # Once the server has named it, it is on record, and goes on without us.
    if _ID_KEY not in dict(await call.initial_metadata()):
        # Refused: reading on raises the status.
        async for _ in call:
            pass
    call.cancel()


async def _cancel(client: AsyncClient, execution_id: str) -> None:
    # Losing the call would end the script too; asking makes sure that it has ended before we go.
    request = script_service_pb2.CancelExecutionRequest(execution_id=execution_id, reason="interrupted by the user")
    try:
        await client.stub.CancelExecution(request, timeout=_CANCEL_SECONDS)
    except grpc.RpcError as error:
        emit(sys.stderr, f"warning: the execution could not be cancelled: {from_rpc_error(error)}\n")
