"""The command `crucible`: one file per command.

Exit codes, the same for every command, so that scripts can rely on them: see `crucible_server.cli.exits`.
"""

from __future__ import annotations

import os
import sys
import traceback

import typer

from crucible_server.cli.check import check
from crucible_server.cli.exits import Exit
from crucible_server.cli.run import run
from crucible_server.cli.serve import serve
from crucible_server.cli.terminal import CommandError, report
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


def main() -> None:
    """Runs the command line of this process and exits with one of the codes of `Exit`."""
    for stream in (sys.stdout, sys.stderr):
        # What the terminal's encoding lacks is shown as an escape, not an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="crucible")
    except CommandError as error:
        report(error)
        sys.exit(error.exit)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:
        # Nobody reads any more, as in `crucible run .. | head`. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.BROKEN_PIPE)
    except Exception:
        # Python's own code for this is 1, which would say that the script is at fault.
        traceback.print_exc()
        sys.exit(Exit.INTERNAL)
