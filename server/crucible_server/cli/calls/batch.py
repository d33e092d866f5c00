"""Doing the same to several things, one after the other."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence

import grpc

from crucible import AsyncClient
from crucible_server.cli.calls.connection import command_error, complete, connect
from crucible_server.cli.calls.plain import emit_json
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError, emit

Deed = Callable[[AsyncClient, str], Awaitable[str]]
"""Does it to one id and says in a few words what came of it. May raise CommandError."""


def each(server: str, ids: Sequence[str], deed: Deed, *, as_json: bool) -> Exit:
    """Does it to each id, says what came of it, and goes on after a failure; the exit code of the worst.

    Without a server the rest is not tried.
    """
    return complete(_each(server, ids, deed, as_json))


async def _each(server: str, ids: Sequence[str], deed: Deed, as_json: bool) -> Exit:
    worst = Exit.OK
    async with connect(server) as client:
        for position, item in enumerate(ids, 1):
            try:
                outcome = await deed(client, item)
            except (grpc.RpcError, CommandError) as error:
                failed = error if isinstance(error, CommandError) else command_error(error, server)
                worst = max(worst, failed.exit)
                _tell_failure(item, failed, as_json)
                if failed.exit is Exit.UNREACHABLE:
                    _tell_untried(ids[position:])
                    break
            else:
                if as_json:
                    emit_json({"id": item, "outcome": outcome, "error": None, "exit_code": 0})
                else:
                    emit(sys.stdout, f"{item}: {outcome}\n")
    return worst


def _tell_failure(item: str, error: CommandError, as_json: bool) -> None:
    if as_json:
        emit_json({"id": item, "outcome": None, "error": str(error), "exit_code": int(error.exit)})
    else:
        emit(sys.stderr, f"error: {item}: {error}\n")


def _tell_untried(rest: Sequence[str]) -> None:
    if rest:
        emit(sys.stderr, f"not tried: {', '.join(rest)}\n")
