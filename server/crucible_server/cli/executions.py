"""`crucible executions`: what a server has run and runs."""

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
    State,
    UntilOption,
)

app = typer.Typer(help="Executions on a server: list, show, follow, wait for, cancel, delete.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The execution.")]
IdsArgument = Annotated[list[str], typer.Argument(metavar="ID...", help="The executions.")]


@app.command("list")
def list_(
    state: Annotated[list[State] | None, typer.Option(help="Only those in this state. Repeat for more.")] = None,
    script: Annotated[str, typer.Option(metavar="ID", help="Only those of this script.")] = "",
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
    """List executions, newest first."""
    from crucible_server.cli.calls.executions import list_executions
    from crucible_server.cli.calls.pages import ListOptions

    list_executions(
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
            script=script,
            states=state or (),
        )
    )


@app.command()
def show(execution: IdArgument, server: ServerOption = DEFAULT_SERVER, as_json: JsonOption = False) -> None:
    """Show the record of an execution: state, limits, what it used, how it ended."""
    from crucible_server.cli.calls.executions import show_execution

    show_execution(execution, server=server, as_json=as_json)


@app.command()
def watch(
    execution: IdArgument,
    after: Annotated[int, typer.Option(min=0, metavar="SEQ", help="Skip the pieces up to this number.")] = 0,
    server: ServerOption = DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for each piece.")] = False,
) -> None:
    """Print what an execution writes, from its start and then as it comes, and how it ends.

    Ctrl-C ends the watching, not the execution. Exit code 1 means that the script failed.
    """
    from crucible_server.cli.calls.follow import watch_execution

    if not watch_execution(execution, after=after, server=server, as_json=as_json):
        raise typer.Exit(Exit.SCRIPT_FAILED)


@app.command()
def wait(
    ids: IdsArgument,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Wait no longer than this in all, such as 30s; exit code 124.")
    ] = None,
    server: ServerOption = DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line: each result.")] = False,
) -> None:
    """Wait until executions have ended, silently. Exit code 0: all succeeded; 1: a script failed."""
    from crucible_server.cli.calls.follow import wait_executions

    raise typer.Exit(wait_executions(ids, timeout=timeout, server=server, as_json=as_json))


@app.command()
def cancel(
    ids: IdsArgument,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the record.")] = "cancelled at a terminal",
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonLinesOption = False,
) -> None:
    """End executions; those that have ended stay as they are.

    Goes on after a failure; the exit code is that of the worst.
    """
    from crucible_server.cli.calls.executions import cancel_executions

    raise typer.Exit(cancel_executions(ids, reason=reason, server=server, as_json=as_json))


@app.command()
def delete(
    ids: IdsArgument,
    redact: Annotated[
        bool, typer.Option("--redact", help="Keep the record, erase arguments, output and value.")
    ] = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonLinesOption = False,
) -> None:
    """Delete the records of executions that have ended. Their ids are free again.

    Goes on after a failure; the exit code is that of the worst.
    """
    from crucible_server.cli.calls.executions import delete_executions

    raise typer.Exit(delete_executions(ids, redact=redact, server=server, as_json=as_json))
