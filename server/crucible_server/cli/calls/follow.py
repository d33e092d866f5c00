"""Following an execution to its end, with or without its output."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import grpc

from crucible import AsyncClient
from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as pb
from crucible_server.cli.calls.arguments import duration
from crucible_server.cli.calls.connection import command_error, complete, connect
from crucible_server.cli.calls.output import LinesOutput, Result, TextOutput, failure
from crucible_server.cli.calls.plain import emit_json, plain
from crucible_server.cli.calls.times import seconds
from crucible_server.cli.exits import Exit
from crucible_server.cli.progress import Spinner
from crucible_server.cli.terminal import CommandError, emit

_ENDS = ("complete", "error")


def watch_execution(execution_id: str, *, after: int, server: str, as_json: bool) -> bool:
    """Prints what an execution writes, from a sequence number on; whether it succeeded. Raises CommandError."""
    return complete(_watch(execution_id, after, server, as_json))


async def _watch(execution_id: str, after: int, server: str, as_json: bool) -> bool:
    request = pb.WaitExecutionRequest(execution_id=execution_id, after_sequence=after, include_return_json=True)
    with Spinner(enabled=not as_json) as spinner:
        text, lines = TextOutput(spinner), LinesOutput()
        spinner.show(f"following {execution_id}")
        async with connect(server) as client:
            try:
                async for response in client.stub.WaitExecution(request):
                    chunk: execution_pb2.ExecutionChunk = response.chunk
                    kind = chunk.WhichOneof("chunk")
                    if as_json:
                        lines.piece(chunk)
                    elif kind == "stdout":
                        text.stdout(chunk.stdout)
                    elif kind == "stderr":
                        text.stderr(chunk.stderr)
                    elif kind in _ENDS:
                        text.end(getattr(chunk, kind))
                    if kind in _ENDS:
                        return bool(getattr(chunk, kind).success)
                    after = max(after, chunk.sequence)
            except grpc.RpcError as error:
                failed = command_error(error, server)
                if failed.exit is Exit.UNREACHABLE and after:
                    raise CommandError(
                        failed.exit, f"{failed}\ngo on with: crucible executions watch {execution_id} --after {after}"
                    ) from None
                raise failed from None
    raise _no_end()


def wait_executions(ids: Sequence[str], *, timeout: str | None, server: str, as_json: bool) -> Exit:
    """Waits until all have ended; the exit code of the worst. `timeout` bounds the waiting in all."""
    limit = seconds(duration(timeout)) if timeout else None
    return complete(_wait_all(ids, limit, server, as_json))


async def _wait_all(ids: Sequence[str], limit: float | None, server: str, as_json: bool) -> Exit:
    waited_for = ids[0]
    worst = Exit.OK
    async with connect(server) as client:
        try:
            async with asyncio.timeout(limit):
                for execution_id in ids:
                    waited_for = execution_id
                    worst = max(worst, await _wait(client, execution_id, server, as_json))
        except TimeoutError:
            raise CommandError(
                Exit.TIMED_OUT, f"{waited_for} has not ended within --timeout; it goes on, and can be waited for again"
            ) from None
    return worst


async def _wait(client: AsyncClient, execution_id: str, server: str, as_json: bool) -> Exit:
    try:
        result = await _end(client, execution_id)
    except grpc.RpcError as error:
        failed = command_error(error, server)
        if failed.exit is Exit.UNREACHABLE:
            raise failed from None
        emit(sys.stderr, f"error: {execution_id}: {failed}\n")
        return failed.exit
    if as_json:
        emit_json(plain(result))
    elif not result.success:
        emit(sys.stderr, f"{execution_id}: {failure(result.error)}\n")
    return Exit.OK if result.success else Exit.SCRIPT_FAILED


async def _end(client: AsyncClient, execution_id: str) -> Result:
    request = pb.WaitExecutionRequest(execution_id=execution_id, skip_output=True, include_return_json=True)
    async for response in client.stub.WaitExecution(request):
        kind = response.chunk.WhichOneof("chunk")
        if kind in _ENDS:
            result: Result = getattr(response.chunk, kind)
            return result
    raise _no_end()


def _no_end() -> CommandError:
    return CommandError(Exit.UNREACHABLE, "the server ended the stream without a result: is it being stopped?")
