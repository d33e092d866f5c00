"""`crucible serve`: the server in the foreground."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crucible_server import __version__
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError, emit

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig, Sources
    from crucible_server.server import Server

# Messages of a call hold no cycles; whatever does may wait this many objects long.
_GARBAGE_THRESHOLD = 10_000


def serve(
    config: Annotated[Path | None, typer.Option(metavar="FILE", help="A configuration file (TOML).")] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0 takes a free one.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where scripts and executions are kept.")
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="console|json", help="How log lines on standard error look.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="debug|info|warning|error", help="Which events are logged.")
    ] = None,
    allow_insecure_listen: Annotated[
        bool,
        typer.Option(
            "--allow-insecure-listen",
            help="Let other machines reach this server, which has neither TLS nor authentication.",
        ),
    ] = False,
    allow_development: Annotated[
        bool,
        typer.Option(
            "--allow-development",
            help="Let scripts run at the level Development: outside the jail, as this user (or `nobody` for root).",
        ),
    ] = False,
    leave_config_service: Annotated[
        bool,
        typer.Option("--leave-config-service", help="Leave aside what was set by `crucible config set`."),
    ] = False,
) -> None:
    """Start the server and keep it running.

    Flags win over environment variables (CRUCIBLE_LISTEN and so on), those over the configuration file.
    The file is read again when it changes, and on SIGHUP; what that changes is logged.
    SIGTERM and Ctrl-C stop it once the executions that run have ended; a second one ends them at once.
    """
    flags = {
        "listen": listen,
        "data_dir": data_dir,
        "log_format": log_format,
        "log_level": log_level,
        "allow_insecure_listen": allow_insecure_listen or None,
        "allow_development": allow_development or None,
    }
    overrides = {name: value for name, value in flags.items() if value is not None}
    # Loading makes next to no garbage, and looking for it takes a tenth of the time until the server is ready.
    gc.disable()
    # Only here, as the other commands do without.
    from crucible_server.config import Sources

    sources = Sources(config.absolute() if config else None, overrides)
    asyncio.run(_serve(configuration(config, overrides), sources, leave_overlay=leave_config_service))


def configuration(file: Path | None, overrides: Mapping[str, Any]) -> ServerConfig:
    """The configuration of a server. Raises CommandError when it is not valid."""
    from crucible_server.config import ConfigError, load_config

    try:
        return load_config(file, overrides)
    except ConfigError as error:
        raise CommandError(Exit.USAGE, f"the configuration is not valid:\n{error}") from None


async def start(config: ServerConfig, sources: Sources | None = None, *, leave_overlay: bool = False) -> Server:
    """A server that answers, its log on standard error. Raises CommandError when it cannot be started."""
    from crucible_server.cli.logs import configure_logs, set_log_level
    from crucible_server.errors import ServiceError
    from crucible_server.server import Server
    from crucible_server.store import StoreError

    configure_logs(config.log_format, config.log_level)
    server = Server(config, sources, leave_overlay=leave_overlay)
    server.configuration.appliers.append(lambda changed: set_log_level(changed.log_level))
    try:
        await server.start()
    except (ServiceError, StoreError, OSError) as error:
        raise CommandError(Exit.REFUSED, f"the server could not be started: {error}") from None
    return server


async def _serve(config: ServerConfig, sources: Sources, *, leave_overlay: bool) -> None:
    loop = asyncio.get_running_loop()
    stops: list[asyncio.Task[None]] = []
    reloads: set[asyncio.Task[None]] = set()
    server = await start(config, sources, leave_overlay=leave_overlay)
    # What is loaded stays: looking through it again and again for garbage costs calls their time.
    gc.freeze()
    gc.enable()
    gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)

    def stop() -> None:
        # The second signal does not wait for what runs.
        stops.append(loop.create_task(server.stop(grace=0 if stops else None)))

    has_terminal = sys.stdin.isatty()

    def reload() -> None:
        # A terminal that was closed sends the same signal.
        if has_terminal and not os.isatty(sys.stdin.fileno()):
            stop()
            return
        reloads.add(task := loop.create_task(server.configuration.reload()))
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    _announce(server.address, config.log_format)
    await server.wait_closed()
    await asyncio.gather(*stops)


def _announce(address: str, log_format: str) -> None:
    if log_format == "json":
        line = json.dumps({"event": "ready", "address": address, "version": __version__})
    else:
        line = f"crucible {__version__} is ready at {address}"
    emit(sys.stdout, line + "\n")
