"""Has a server compile a script, and shows what came of it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict

from crucible.v1 import script_pb2, script_service_pb2, security_pb2
from crucible_server.cli.calls.arguments import level_number
from crucible_server.cli.calls.connection import complete, connect
from crucible_server.cli.calls.plain import emit_json
from crucible_server.cli.calls.source import read_source
from crucible_server.cli.options import Level
from crucible_server.cli.progress import Spinner
from crucible_server.cli.tables import emit_sheet, size, span
from crucible_server.cli.terminal import emit

Response = script_service_pb2.CompileScriptResponse


def check_script(file: Path, *, level: Level, server: str | None, as_json: bool) -> bool:
    """Prints what the compiler has to say; whether it compiles. Raises CommandError."""
    context = script_pb2.CompilationContext(security_level=level_number(level))
    response = _compile(file, context, server, as_json)
    if as_json:
        emit_json(_document(response))
        return response.success
    text = _diagnostics(response)
    if response.success:
        public = ", ".join(public_functions(response.script.functions))
        text += f"{file}: compiles; public functions: {public or 'none, so nothing can be run'}\n"
    emit(sys.stdout, text)
    return response.success


def store_script(file: Path, *, name: str, level: Level, force: bool, server: str, as_json: bool) -> bool:
    """Has the script stored, and prints what it is; whether it compiles. Raises CommandError."""
    context = script_pb2.CompilationContext(name=name, security_level=level_number(level), force=force)
    response = _compile(file, context, server, as_json)
    script = response.script
    if as_json:
        facts = {
            "name": script.name,
            "cached": script.cached,
            "compile_seconds": _seconds(script),
            "bytecode_bytes": script.bytecode_bytes,
            "source_bytes": script.source_bytes,
        }
        emit_json(_document(response) | (facts if response.success else {}))
        return response.success
    emit(sys.stderr, _diagnostics(response))
    if response.success:
        compiled = "already" if script.cached else f"in {span(_seconds(script))}"
        emit_sheet(
            (
                ("script", script.script_id),
                ("name", script.name),
                ("functions", "\n".join(public_functions(script.functions)) or "none is public, so nothing can be run"),
                ("modules", ", ".join(script.modules)),
                ("size", f"{size(script.source_bytes)} of source, {size(script.bytecode_bytes)} of byte code"),
                ("compiled", compiled),
            )
        )
    return response.success


def public_functions(functions: Iterable[script_pb2.FunctionInfo]) -> list[str]:
    """The functions that can be run, each with its parameters."""
    return [
        f"{function.name}({', '.join(parameter.name for parameter in function.parameters)})"
        for function in functions
        if function.is_public
    ]


def _compile(file: Path, context: script_pb2.CompilationContext, server: str | None, as_json: bool) -> Response:
    request = script_service_pb2.CompileScriptRequest(source=read_source(file), context=context)
    with Spinner(enabled=not as_json) as spinner:
        return complete(_ask(request, server, spinner))


async def _ask(request: script_service_pb2.CompileScriptRequest, server: str | None, spinner: Spinner) -> Response:
    spinner.show("connecting" if server else "starting a server")
    is_development = request.context.security_level == security_pb2.SECURITY_LEVEL_DEVELOPMENT
    async with connect(server, allow_development=is_development) as client:
        spinner.show("compiling")
        response: Response = await client.stub.CompileScript(request)
        return response


def _diagnostics(response: Response) -> str:
    text = response.rendered_diagnostics
    return text + "\n" if text and not text.endswith("\n") else text


def _document(response: Response) -> dict[str, Any]:
    return {
        "success": response.success,
        "script_id": response.script.script_id,
        "functions": [_fields(function) for function in response.script.functions],
        "modules": list(response.script.modules),
        "diagnostics": [_fields(diagnostic) for diagnostic in response.diagnostics],
        "rendered": response.rendered_diagnostics,
    }


def _fields(message: script_pb2.FunctionInfo | script_pb2.Diagnostic) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _seconds(script: script_pb2.CompiledScript) -> float:
    return script.compile_time.seconds + script.compile_time.nanos / 10**9
