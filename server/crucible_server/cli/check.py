"""`crucible check FILE`: what the compiler has to say."""

from __future__ import annotations

from typing import Annotated

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import JsonOption, Level, OwnServerOption, SourceArgument


def check(
    file: SourceArgument,
    level: Annotated[Level, typer.Option(help="The level whose modules it may use.")] = Level.SAFE,
    server: OwnServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compile a script without running it and print the diagnostics; exit code 1 when there are errors."""
    from crucible_server.cli.calls.compile import check_script

    if not check_script(file, level=level, server=server, as_json=as_json):
        raise typer.Exit(Exit.SCRIPT_FAILED)
