"""Reaching a server: the one named, or one of our own."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from crucible.v1 import script_service_pb2_grpc
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError

Stub = script_service_pb2_grpc.ScriptServiceAsyncStub
_Result = TypeVar("_Result")

_OPTIONS = [
    # Results are as large as the server's limits allow; the client adds no smaller one.
    ("grpc.max_receive_message_length", 256 << 20),
    # A proxy of the environment is for web traffic.
    ("grpc.enable_http_proxy", 0),
]


@asynccontextmanager
async def connect(server: str | None) -> AsyncIterator[Stub]:
    """A connection to `server` (host:port), or to a server of our own that lives as long as the context.

    Statuses of the calls inside become CommandError: REFUSED when the server answered, else UNREACHABLE.
    """
    async with _own_server() if server is None else _given(server) as address:
        async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
            try:
                yield script_service_pb2_grpc.ScriptServiceStub(channel)
            except grpc.aio.AioRpcError as error:
                raise _command_error(error, address) from None


@asynccontextmanager
async def _given(server: str) -> AsyncIterator[str]:
    yield server


@asynccontextmanager
async def _own_server() -> AsyncIterator[str]:
    # Only here, as it loads the whole server.
    from crucible_server.cli.serve import configuration, start

    with tempfile.TemporaryDirectory(prefix="crucible-") as folder:
        server = await start(configuration(None, listen="127.0.0.1:0", data_dir=Path(folder)))
        try:
            yield server.address
        finally:
            await server.stop(grace=0)


def complete(task: Coroutine[Any, Any, _Result]) -> _Result:
    """Runs a coroutine to its end. Ctrl-C and SIGTERM cancel it, so that it can tidy up.

    Raises KeyboardInterrupt after Ctrl-C, CommandError after SIGTERM.
    """

    async def cancellable() -> _Result:
        current = asyncio.current_task()
        assert current is not None
        terminated = False

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            current.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        try:
            return await task
        except asyncio.CancelledError:
            if terminated:
                raise CommandError(Exit.TERMINATED, "terminated; the execution was cancelled") from None
            raise

    return asyncio.run(cancellable())


def _command_error(error: grpc.aio.AioRpcError, address: str) -> CommandError:
    status = rpc_status.from_call(error)
    details = list(status.details) if status else []
    if not details and error.code() is grpc.StatusCode.UNAVAILABLE:
        return CommandError(
            Exit.UNREACHABLE,
            f"no server answers at {address}: start one with `crucible serve`, or leave --server out ({error.details()})",
        )
    lines = [f"{error.code().name}: {error.details()}"]
    for packed in details:
        request = error_details_pb2.BadRequest()
        if packed.Unpack(request):
            lines += [
                f"  {violation.field}: {violation.description}" for violation in request.field_violations
            ]
    # A message that repeats its only violation says it once.
    return CommandError(Exit.REFUSED, "\n".join(lines if len(lines) > 2 else lines[:1]))
