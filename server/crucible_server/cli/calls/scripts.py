"""Stored scripts: listing, showing, naming, deleting."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import grpc

from crucible import AsyncClient
from crucible.errors import ScriptNotFound, from_rpc_error
from crucible.v1 import script_pb2, server_info_pb2
from crucible.v1 import script_service_pb2 as pb
from crucible_server.cli.calls.arguments import moment
from crucible_server.cli.calls.batch import each
from crucible_server.cli.calls.compile import public_functions
from crucible_server.cli.calls.connection import answer, complete, connect
from crucible_server.cli.calls.pages import ListOptions, ListView, print_list
from crucible_server.cli.calls.plain import emit_json, plain
from crucible_server.cli.calls.times import day_time, seconds
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import emit_sheet, size, span
from crucible_server.cli.terminal import CommandError, emit

_ID = re.compile(r"[0-9a-f]{64}")


def list_scripts(options: ListOptions) -> None:
    """Prints a list. Raises CommandError."""
    request = pb.ListScriptsRequest(
        name_prefix=options.name_prefix,
        principal=options.principal,
        created_after=moment("--since", options.since),
        created_before=moment("--until", options.until),
    )
    print_list(_LIST, request, options)


def _row(script: script_pb2.Script) -> tuple[str, ...]:
    return (
        script.script_id,
        ", ".join(script.names),
        ", ".join(function.name for function in script.functions if function.is_public),
        size(script.source_bytes),
        script.principal,
        day_time(script.create_time),
    )


_LIST = ListView(
    rows="scripts",
    method=lambda client: client.stub.ListScripts,
    id_of=lambda script: script.script_id,
    header=("SCRIPT", "NAMES", "FUNCTIONS", "SIZE", "PRINCIPAL", "STORED"),
    row=_row,
    shrink=("SCRIPT", "FUNCTIONS", "NAMES"),
)


def show_script(which: str, *, with_source: bool, server: str, as_json: bool) -> None:
    """Prints what is known of a script, by its id or a name. Raises CommandError."""
    script, figures = complete(_show(which, with_source, server))
    if as_json:
        emit_json(plain(script) | {"statistics": plain(figures) if figures else None})
        return
    emit_sheet(
        (
            ("script", script.script_id),
            ("names", "\n".join(script.names)),
            ("principal", script.principal),
            ("stored", day_time(script.create_time)),
            ("last used", day_time(script.last_used_time)),
            ("size", f"{size(script.source_bytes)} of source"),
            ("modules", ", ".join(script.modules)),
            ("functions", "\n".join(public_functions(script.functions)) or "none is public, so nothing can be run"),
            ("executions", _figures(figures) if figures else ""),
        )
    )
    if with_source:
        source = script.source
        files = [(source.file_name or "main.rn", source.source), *sorted(source.files.items())]
        for name, text in files:
            emit(sys.stdout, f"\n--- {name} ---\n{text}" + ("" if text.endswith("\n") else "\n"))


async def _show(
    which: str, with_source: bool, server: str
) -> tuple[script_pb2.Script, server_info_pb2.ScriptExecutionStats | None]:
    async with connect(server) as client:
        script = await _find(client, which, with_source)
        request = pb.GetMetricsRequest(script_ids=[script.script_id])
        figures: pb.GetMetricsResponse = await answer(client.stub.GetMetrics, request)
        return script, figures.script_stats[0] if figures.script_stats else None


async def _find(client: AsyncClient, which: str, with_source: bool) -> script_pb2.Script:
    async def get(request: pb.GetScriptRequest) -> script_pb2.Script:
        response: pb.GetScriptResponse = await answer(client.stub.GetScript, request)
        return response.script

    if _ID.fullmatch(which):
        try:
            return await get(pb.GetScriptRequest(script_id=which, include_source=with_source))
        except grpc.RpcError as error:
            # It may still be a name that looks like an id.
            if not isinstance(from_rpc_error(error), ScriptNotFound):
                raise
    return await get(pb.GetScriptRequest(script_name=which, include_source=with_source))


def _figures(figures: server_info_pb2.ScriptExecutionStats) -> str:
    if not figures.total_executions:
        return "none yet"
    return (
        f"{figures.total_executions}, of which {figures.successful_executions} succeeded\n"
        f"{span(seconds(figures.average_execution_time))} on average, {span(seconds(figures.max_execution_time))} "
        f"at most, {size(figures.max_memory_bytes)} of memory at most\n"
        f"last at {day_time(figures.last_execution_time)}"
    )


def name_script(name: str, script_id: str, *, server: str, as_json: bool) -> None:
    """Points a name at a script, or removes it when the id is empty. Raises CommandError."""
    script = complete(_name(name, script_id, server))
    if as_json:
        emit_json({"name": name, "script": plain(script) if script_id else None})
    elif script_id:
        emit(sys.stdout, f"{name}: points at {script.script_id}\n")
    else:
        emit(sys.stdout, f"{name}: removed\n")


async def _name(name: str, script_id: str, server: str) -> script_pb2.Script:
    async with connect(server) as client:
        request = pb.NameScriptRequest(name=name, script_id=script_id)
        response: pb.NameScriptResponse = await answer(client.stub.NameScript, request)
        return response.script


def delete_scripts(ids: Sequence[str], *, server: str, as_json: bool) -> Exit:
    """Removes the caller's reference to each script; the exit code of the worst."""

    async def delete(client: AsyncClient, script_id: str) -> str:
        if not _ID.fullmatch(script_id):
            raise CommandError(
                Exit.USAGE,
                "expected the id of a script, 64 hexadecimal digits; `crucible scripts show NAME` tells that of a name",
            )
        await answer(client.stub.DeleteScript, pb.DeleteScriptRequest(script_id=script_id))
        return "deleted"

    return each(server, ids, delete, as_json=as_json)
