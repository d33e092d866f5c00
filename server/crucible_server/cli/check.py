"""`crucible check FILE`: what the compiler has to say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict

from crucible.v1 import script_pb2, script_service_pb2
from crucible_server.cli.arguments import Level
from crucible_server.cli.connection import complete, connect
from crucible_server.cli.exits import Exit
from crucible_server.cli.source import read_source
from crucible_server.cli.terminal import emit

Response = script_service_pb2.CompileScriptResponse


def check(
    file: Annotated[Path, typer.Argument(help="The script; - for standard input.")],
    level: Annotated[Level, typer.Option(help="The level whose modules it may use.")] = Level.SAFE,
    server: Annotated[str | None, typer.Option(help="host:port; a server of its own when left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compile a script without running it and print the diagnostics; exit code 1 when there are errors."""
    response = complete(compile_script(read_source(file), level, server))
    emit(sys.stdout, _to_json(response) if as_json else _to_text(response, file))
    if not response.success:
        raise typer.Exit(Exit.SCRIPT_FAILED)


async def compile_script(source: script_pb2.ScriptSource, level: Level, server: str | None) -> Response:
    """Has the server compile the source. Raises CommandError."""
    async with connect(server) as client:
        context = script_pb2.CompilationContext(security_level=level.to_proto())
        return await client.stub.CompileScript(script_service_pb2.CompileScriptRequest(source=source, context=context))


def _to_text(response: Response, file: Path) -> str:
    text = response.rendered_diagnostics
    if text and not text.endswith("\n"):
        text += "\n"
    if response.success:
        public = [
            f"{function.name}({', '.join(parameter.name for parameter in function.parameters)})"
            for function in response.script.functions
            if function.is_public
        ]
        text += f"{file}: compiles; public functions: {', '.join(public) or 'none, so nothing can be run'}\n"
    return text


def _to_json(response: Response) -> str:
    document = {
        "success": response.success,
        "script_id": response.script.script_id,
        "functions": [_plain(function) for function in response.script.functions],
        "modules": list(response.script.modules),
        "diagnostics": [_plain(diagnostic) for diagnostic in response.diagnostics],
        "rendered": response.rendered_diagnostics,
    }
    return json.dumps(document, ensure_ascii=False) + "\n"


def _plain(message: script_pb2.FunctionInfo | script_pb2.Diagnostic) -> dict[str, object]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
