"""`crucible serve`: the server in the foreground."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crucible_server import __version__
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError, emit

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig
    from crucible_server.server import Server


def serve(
    config: Annotated[Path | None, typer.Option(help="A configuration file (TOML).")] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where scripts and executions are kept.")] = None,
) -> None:
    """Start the server and keep it running.

    Flags win over environment variables, those over the configuration file. SIGTERM and Ctrl-C stop it once
    the executions that run have ended; a second one ends them at once.
    """
    asyncio.run(_serve(configuration(config, listen=listen, data_dir=data_dir)))


def configuration(file: Path | None, *, listen: str | None, data_dir: Path | None) -> ServerConfig:
    """The configuration of a server. Raises CommandError when it is not valid."""
    # Only here, as it loads pydantic, which the other commands do without.
    from crucible_server.config import ConfigError, load_config

    overrides = {"listen": listen, "data_dir": data_dir}
    try:
        return load_config(file, {name: value for name, value in overrides.items() if value is not None})
    except ConfigError as error:
        raise CommandError(Exit.USAGE, str(error)) from None


async def start(config: ServerConfig) -> Server:
    """A server that answers. Raises CommandError when it cannot be started."""
    from crucible_server.errors import ServiceError
    from crucible_server.server import Server

    server = Server(config)
    try:
        await server.start()
    except (ServiceError, OSError) as error:
        raise CommandError(Exit.REFUSED, f"the server could not be started: {error}") from None
    return server


async def _serve(config: ServerConfig) -> None:
    loop = asyncio.get_running_loop()
    stops: set[asyncio.Task[None]] = set()

    def stop(server: Server) -> None:
        # The second signal does not wait for what runs.
        stops.add(loop.create_task(server.stop(grace=0 if stops else None)))

    server = await start(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, server)
    emit(sys.stdout, f"crucible {__version__} is ready at {server.address}\n")
    await server.wait_closed()
    await asyncio.gather(*stops)
