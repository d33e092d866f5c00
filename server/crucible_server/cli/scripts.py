"""`crucible scripts`: what is stored on a server."""

from __future__ import annotations

from typing import Annotated

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import (
    DEFAULT_SERVER,
    AllOption,
    IdsOption,
    JsonLinesOption,
    JsonOption,
    LimitOption,
    PageTokenOption,
    PrincipalOption,
    ServerOption,
    SinceOption,
    UntilOption,
)
from crucible_server.cli.terminal import CommandError

app = typer.Typer(help="Scripts that are stored on a server: list, show, name, delete.", no_args_is_help=True)


@app.command("list")
def list_(
    name_prefix: Annotated[str, typer.Option(metavar="TEXT", help="Only those with a name that begins so.")] = "",
    principal: PrincipalOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: LimitOption = 50,
    is_all: AllOption = False,
    page_token: PageTokenOption = "",
    ids: IdsOption = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """List scripts, those stored last first."""
    from crucible_server.cli.calls.pages import ListOptions
    from crucible_server.cli.calls.scripts import list_scripts

    list_scripts(
        ListOptions(
            server=server,
            principal=principal,
            since=since,
            until=until,
            limit=limit,
            is_all=is_all,
            page_token=page_token,
            ids_only=ids,
            as_json=as_json,
            name_prefix=name_prefix,
        )
    )


@app.command()
def show(
    script: Annotated[
        str, typer.Argument(metavar="ID|NAME", help="The script, by its id or a name that points at it.")
    ],
    source: Annotated[bool, typer.Option("--source", help="Its text too.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Show a script: names, functions, and how its executions went."""
    from crucible_server.cli.calls.scripts import show_script

    show_script(script, with_source=source, server=server, as_json=as_json)


@app.command()
def name(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name.")],
    script: Annotated[str, typer.Argument(metavar="[ID]", help="The script that it is to point at.")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="Remove the name; the script stays.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Point a name at a script, or remove the name."""
    if remove == bool(script):
        came = "both" if remove else "neither"
        raise CommandError(Exit.USAGE, f"expected either the id of a script or --remove, got {came}")
    from crucible_server.cli.calls.scripts import name_script

    name_script(name, script, server=server, as_json=as_json)


@app.command()
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The scripts.")],
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonLinesOption = False,
) -> None:
    """Delete scripts, with their names and byte code. Records of their executions stay.

    Goes on after a failure; the exit code is that of the worst.
    """
    from crucible_server.cli.calls.scripts import delete_scripts

    raise typer.Exit(delete_scripts(ids, server=server, as_json=as_json))
