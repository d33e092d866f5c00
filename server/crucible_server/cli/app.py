"""The commands, put together."""

from __future__ import annotations

import typer

from crucible_server.cli.check import check
from crucible_server.cli.run import run
from crucible_server.cli.serve import serve
from crucible_server.cli.version import version

app = typer.Typer(
    name="crucible",
    help="Run untrusted Rune scripts, each in a jailed process of its own.",
    epilog="Exit codes: 0 success, 1 the script is at fault, 2 wrong use, 3 the server refused, "
    "4 no server, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (serve, run, check, version):
    app.command()(command)
