"""The commands, put together."""

from __future__ import annotations

import typer

from crucible_server.cli import config, events, executions, scripts, services, store
from crucible_server.cli.check import check
from crucible_server.cli.compile import compile_
from crucible_server.cli.doctor import doctor
from crucible_server.cli.run import run
from crucible_server.cli.serve import serve
from crucible_server.cli.status import health, metrics
from crucible_server.cli.version import version

app = typer.Typer(
    name="crucible",
    help="Run untrusted Rune scripts, each in a jailed process of its own.",
    epilog="Exit codes: 0 success, 1 the script is at fault, 2 wrong use, 3 the server refused (or the store or the "
    "machine is not fit), 4 no server, 124 waited long enough, 130 interrupted. docs/command-line.md has examples.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(run)
app.command()(check)
app.command("compile")(compile_)
app.add_typer(scripts.app, name="scripts")
app.add_typer(executions.app, name="executions")
app.add_typer(events.app, name="events")
app.add_typer(services.app, name="services")
app.add_typer(store.app, name="store")
app.add_typer(config.app, name="config")
for command in (health, metrics, doctor, version):
    app.command()(command)
