"""`crucible services`: what is registered at a server."""

from __future__ import annotations

from typing import Annotated

import typer

from crucible_server.cli.exits import Exit
from crucible_server.cli.options import DEFAULT_SERVER, JsonLinesOption, JsonOption, ServerOption

app = typer.Typer(help="Services registered at a server: list, register, watch, unregister.", no_args_is_help=True)

TypeOption = Annotated[str, typer.Option("--type", metavar="TYPE", help="Only those of this type.")]
FactsOption = Annotated[
    list[str] | None,
    typer.Option("--metadata", metavar="NAME=VALUE", help="Only those with this fact. Repeat for more."),
]
HealthyOption = Annotated[bool, typer.Option("--healthy", help="Only those that are well.")]


@app.command("list")
def list_(
    service_type: TypeOption = "",
    metadata: FactsOption = None,
    healthy: HealthyOption = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """List services, in the order of their ids."""
    from crucible_server.cli.calls.services import list_services

    list_services(service_type, metadata or (), healthy, server=server, as_json=as_json)


@app.command()
def register(
    service_id: Annotated[str, typer.Argument(metavar="ID", help="What it is called.")],
    service_type: Annotated[str, typer.Argument(metavar="TYPE", help="What it is found by.")],
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Where it is reached: HOST:PORT or a URL.")],
    version: Annotated[str, typer.Option(metavar="TEXT", help="Its version.")] = "",
    health_url: Annotated[
        str, typer.Option(metavar="URL", help="Where it says how it is: http://, https://, grpc:// or grpcs://.")
    ] = "",
    metadata: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="A fact. Repeat for more.")] = None,
    lease: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it is there without a heartbeat, such as 30s.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Send heartbeats until Ctrl-C, then take it back.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Make a service known for as long as its lease."""
    from crucible_server.cli.calls.services import Registration, register_service

    registration = Registration(
        service_id, service_type, endpoint, version, health_url, tuple(metadata or ()), lease, keep
    )
    register_service(registration, server=server, as_json=as_json)


@app.command()
def unregister(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="The services.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why, for those who are told.")] = "",
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonLinesOption = False,
) -> None:
    """Take services back.

    Goes on after a failure; the exit code is that of the worst.
    """
    from crucible_server.cli.calls.services import unregister_services

    if code := unregister_services(ids, reason=reason, server=server, as_json=as_json):
        raise typer.Exit(Exit(code))


@app.command()
def watch(
    service_type: TypeOption = "",
    metadata: FactsOption = None,
    healthy: HealthyOption = False,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many messages.")] = None,
    server: ServerOption = DEFAULT_SERVER,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for each message.")] = False,
) -> None:
    """Print the services that there are, then every change, until Ctrl-C."""
    from crucible_server.cli.calls.services import watch_services

    watch_services(service_type, metadata or (), healthy, count=count, server=server, as_json=as_json)
