"""Reaching a server: the one named, or one of our own."""

from __future__ import annotations

import asyncio
import re
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import grpc

from crucible import AsyncClient
from crucible.errors import from_rpc_error
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError

ANSWER_SECONDS = 30.0
"""How long calls that wait for no script may take."""
# The others are forms that gRPC itself explains.
_ADDRESS = re.compile(r"(?:[^\s/:]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})|unix:.+|dns:.+|ipv[46]:.+")
_MAX_PORT = 65535

_Result = TypeVar("_Result")


@asynccontextmanager
async def connect(server: str | None, *, allow_development: bool = False) -> AsyncIterator[AsyncClient]:
    """A client of `server` (host:port), or of a server of our own that lives as long as the context.

    `allow_development` is for a server of our own: whoever starts it is its operator.

    Statuses of the calls inside become CommandError: REFUSED when the server answered, else UNREACHABLE.
    """
    async with (
        _own_server(allow_development) if server is None else _given(server) as address,
        AsyncClient(address) as client,
    ):
        try:
            yield client
        except grpc.RpcError as error:
            raise command_error(error, address) from None


async def answer(call: Callable[..., Awaitable[_Result]], request: Any) -> _Result:
    """The answer of a call that waits for no script: bounded in time."""
    return await call(request, timeout=ANSWER_SECONDS)


@asynccontextmanager
async def _given(server: str) -> AsyncIterator[str]:
    match = _ADDRESS.fullmatch(server)
    # gRPC would take a larger one for another port.
    if match is None or int(match["port"] or 0) > _MAX_PORT:
        raise CommandError(
            Exit.USAGE,
            f"--server {server!r}: expected HOST:PORT such as 127.0.0.1:50051 or [::1]:50051, the port at most "
            f"{_MAX_PORT}",
        )
    yield server


@asynccontextmanager
async def _own_server(allow_development: bool) -> AsyncIterator[str]:
    # Only here, as it loads the whole server.
    from crucible_server.cli.serve import configuration, start

    with tempfile.TemporaryDirectory(prefix="crucible-") as folder:
        # All places are given, as the environment may name those of a server that is meant to last.
        overrides = {
            "listen": "127.0.0.1:0",
            "data_dir": Path(folder),
            "store_url": f"sqlite:///{folder}/crucible.db",
            "unit_key_file": Path(folder, "unit.key"),
            "spare_children": 0,
            "log_level": "warning",
            **({"allow_development": True} if allow_development else {}),
        }
        server = await start(configuration(None, overrides))
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
                raise CommandError(Exit.TERMINATED, "terminated by a signal") from None
            raise

    return asyncio.run(cancellable())


def command_error(status: grpc.RpcError, address: str) -> CommandError:
    """What an error status means for the command."""
    error = from_rpc_error(status)
    # A status without details comes from gRPC, not from our server.
    details = any(key == "grpc-status-details-bin" for key, _ in _trailing_metadata(status))
    if not details and error.code is grpc.StatusCode.UNAVAILABLE:
        return CommandError(
            Exit.UNREACHABLE,
            f"no server answers at {address}: start one with `crucible serve`, or name another with --server "
            f"({error.message})",
        )
    if not details and error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CommandError(
            Exit.UNREACHABLE,
            f"the server at {address} took the call and did not answer within {ANSWER_SECONDS:.0f} s: look at its log",
        )
    lines = [f"{error.kind.lower() or 'server'}: {error.message}"]
    lines += [f"  {fault.field}: {fault.description}" for fault in error.violations]
    # The message of a request with one fault says it already.
    if len(error.violations) == 1 and error.violations[0].description in error.message:
        del lines[1:]
    return CommandError(Exit.REFUSED, "\n".join(lines))


def _trailing_metadata(status: Any) -> Any:
    # gRPC declares this of a call, and raises errors that are calls as well.
    return status.trailing_metadata() or ()
