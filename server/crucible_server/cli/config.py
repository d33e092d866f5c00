"""`crucible config`: what is configured, in a file and on a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crucible_server.cli.options import DEFAULT_SERVER, ConfigOption, DataDirOption, JsonOption, ServerOption

app = typer.Typer(help="The configuration: of a file, and of a running server.", no_args_is_help=True)

KeysArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="Only these keys or sections, such as engine.http.")
]
CommentOption = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the history.")]
VersionOption = Annotated[
    int | None,
    typer.Option("--if-version", min=0, metavar="N", help="Refuse unless this is the version in force."),
]


@app.command()
def check(config: ConfigOption = None, data_dir: DataDirOption = None, as_json: JsonOption = False) -> None:
    """Check the configuration of a server that would be started here. Exit code 2: it is not valid."""
    from crucible_server.cli.settings import check_settings

    raise typer.Exit(check_settings(config, data_dir, as_json=as_json))


@app.command()
def show(
    keys: KeysArgument = None,
    config: ConfigOption = None,
    data_dir: DataDirOption = None,
    is_set: Annotated[bool, typer.Option("--set", help="Leave out what has its default.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print every key of a server that would be started here: its value and where that comes from."""
    from crucible_server.cli.settings import show_settings

    show_settings(keys or [], config, data_dir, only_set=is_set, as_json=as_json)


@app.command()
def diff(
    other: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Another file to compare with; the defaults when left out.")
    ] = None,
    config: ConfigOption = None,
    server: Annotated[
        str | None, typer.Option("--server", metavar="HOST:PORT", help="Compare with what runs there instead.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what differs between the configuration here and another: the defaults, a file, or a running server."""
    from crucible_server.cli.settings import diff_settings

    diff_settings(config, other, server, as_json=as_json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from crucible_server.cli.settings import show_schema

    show_schema()


@app.command()
def get(keys: KeysArgument = None, server: ServerOption = DEFAULT_SERVER, as_json: JsonOption = False) -> None:
    """Print the configuration of a running server."""
    from crucible_server.cli.calls.config import show_config

    show_config(server, keys or [], as_json=as_json)


@app.command("set")
def set_(
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="The value as in the file, or as text: 30s, 64MiB, true."),
    ] = None,
    reset: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Take back what was set for this key. Repeat for more.")
    ] = None,
    version: VersionOption = None,
    comment: CommentOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Change the configuration of a running server. It holds until it is reset, also after a restart."""
    from crucible_server.cli.calls.config import set_config

    set_config(
        server, assignments or [], reset or [], version=version, comment=comment, dry_run=dry_run, as_json=as_json
    )


@app.command()
def history(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many to list at most, newest first.")] = 50,
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """List what was changed by `set` and `revert`."""
    from crucible_server.cli.calls.config import show_history

    show_history(server, limit, as_json=as_json)


@app.command()
def revert(
    to: Annotated[int, typer.Argument(min=0, metavar="VERSION", help="0: nothing that was set by a call.")],
    version: VersionOption = None,
    comment: CommentOption = "",
    server: ServerOption = DEFAULT_SERVER,
    as_json: JsonOption = False,
) -> None:
    """Bring back what was set at an earlier version, as a new one."""
    from crucible_server.cli.calls.config import revert_config

    revert_config(server, to, version=version, comment=comment, as_json=as_json)


@app.command()
def watch(server: ServerOption = DEFAULT_SERVER, as_json: JsonOption = False) -> None:
    """Print what changes on a running server as it does, until Ctrl-C."""
    from crucible_server.cli.calls.config import watch_config

    watch_config(server, as_json=as_json)
