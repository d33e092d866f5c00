"""`crucible compile FILE`: compile a script and keep it on a server."""

from __future__ import annotations

from typing import Annotated

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import DEFAULT_SERVER, JsonOption, Level, ServerOption, SourceArgument


def compile_(
    file: SourceArgument,
    name: Annotated[str, typer.Option(metavar="NAME", help="Point this name at the script.")] = "",
    level: Annotated[Level, typer.Option(help="The level whose modules it may use.")] = Level.SAFE,
    force: Annotated[bool, typer.Option("--force", help="Compile again even when byte code is there.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Compile a script and store it on a server; print its id and its functions.

    Exit code 1 means that it does not compile; nothing is stored then, and the name stays where it was.
    """
    from crucible_server.cli.calls.compile import store_script

    if not store_script(file, name=name, level=level, force=force, server=server, as_json=as_json):
        raise typer.Exit(Exit.SCRIPT_FAILED)
