"""`crucible health` and `crucible metrics`: how a server is, and what it has done."""

from __future__ import annotations

from typing import Annotated

import typer

from crucible_server.cli.options import DEFAULT_SERVER, JsonOption, ServerOption


def health(server: ServerOption = DEFAULT_SERVER, as_json: JsonOption = False) -> None:
    """Ask a server how it is. Exit code 0: it takes executions; 3: it does not; 4: no server answers."""
    from crucible_server.cli.calls.status import show_health

    raise typer.Exit(show_health(server, as_json=as_json))


def metrics(
    script: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="The figures of this script too. Repeat for more.")
    ] = None,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Print the figures of a server."""
    from crucible_server.cli.calls.status import show_metrics

    show_metrics(server, script or [], as_json=as_json)
