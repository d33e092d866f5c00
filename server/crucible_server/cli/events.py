"""`crucible events`: what happens on a server."""

from __future__ import annotations

from typing import Annotated

import typer

from crucible_server.cli.options import (
    DEFAULT_SERVER,
    AllOption,
    IdsOption,
    JsonOption,
    LimitOption,
    PageTokenOption,
    PrincipalOption,
    ServerOption,
    SinceOption,
    UntilOption,
)

app = typer.Typer(help="What happens on a server: follow, list, emit.", no_args_is_help=True)

TypesOption = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only this type, such as script_executed. Repeat for more."),
]
ScriptOption = Annotated[str, typer.Option("--script", metavar="ID", help="Only those about this script.")]


@app.command()
def tail(
    types: TypesOption = None,
    script: ScriptOption = "",
    principal: PrincipalOption = "",
    after: Annotated[
        int | None, typer.Option(min=0, metavar="SEQ", help="Begin after this event; 0 is the oldest kept.")
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many.")] = None,
    server: ServerOption = DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for each event.")] = False,
) -> None:
    """Print events as they happen, until Ctrl-C. A server that is restarted is waited for; no event is missed."""
    from crucible_server.cli.calls.events import tail_events

    tail_events(types or (), script, principal, after=after, count=count, server=server, as_json=as_json)


@app.command("list")
def list_(
    types: TypesOption = None,
    script: ScriptOption = "",
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
    """List events that are kept, newest first."""
    from crucible_server.cli.calls.events import list_events
    from crucible_server.cli.calls.pages import ListOptions

    list_events(
        types or (),
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
        ),
    )


@app.command()
def emit(
    type_name: Annotated[
        str,
        typer.Argument(metavar="TYPE", help="A name of your own with a dot in it, such as acme.deployed."),
    ],
    data: Annotated[str | None, typer.Option(metavar="JSON", help="What it carries: JSON, or else text.")] = None,
    event_id: Annotated[str, typer.Option("--id", metavar="ID", help="Store it once, however often it is sent.")] = "",
    script: Annotated[str, typer.Option(metavar="ID", help="The script that it is about.")] = "",
    execution: Annotated[str, typer.Option(metavar="ID", help="The execution that it is about.")] = "",
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Have an event stored, and told to whoever follows. Prints its sequence number."""
    from crucible_server.cli.calls.events import emit_event

    emit_event(type_name, data, event_id, script, execution, server=server, as_json=as_json)
