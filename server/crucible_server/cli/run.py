"""`crucible run FILE`: compile a script and run one function of it, its output shown while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import Level, OwnServerOption, SourceArgument
from crucible_server.cli.terminal import CommandError


def run(
    file: SourceArgument,
    arg: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="An argument: JSON, else taken as text. Repeat for more."),
    ] = None,
    function: Annotated[str, typer.Option(help="The public function to call.")] = "main",
    level: Annotated[Level, typer.Option(help="Decides modules and limits.")] = Level.SAFE,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it may run, such as 500ms, 5s, 2m.")
    ] = None,
    working_directory: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Run in this folder of the server's machine; level development only."),
    ] = None,
    server: OwnServerOption = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Print the id of the execution and leave it running; needs --server.")
    ] = False,
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what each line cost, for `go tool pprof`; the run is slower."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end instead of output and value.")
    ] = False,
) -> None:
    """Run a script: its output as it comes, then the value it returns.

    Ctrl-C cancels the execution. Exit code 1 means that the script does not compile, or ran and failed.
    """
    if detach and server is None:
        raise CommandError(Exit.USAGE, "--detach needs --server: a server of its own ends with this command")
    if detach and profile is not None:
        raise CommandError(Exit.USAGE, "--profile needs the end of the execution, which --detach does not wait for")
    from crucible_server.cli.calls.run import run_script

    succeeded = run_script(
        file,
        arguments=arg or (),
        function=function,
        level=level,
        timeout=timeout,
        working_directory=working_directory,
        server=server,
        detach=detach,
        profile=profile,
        as_json=as_json,
    )
    if not succeeded:
        raise typer.Exit(Exit.SCRIPT_FAILED)
