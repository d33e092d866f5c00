"""The command `crucible`: one file per command.

Exit codes, the same for every command, so that scripts can rely on them: see `crucible_server.cli.exits`.
"""

from __future__ import annotations

import os
import sys
import traceback

from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError, OutputClosedError, report


def main() -> None:
    """Runs the command line of this process and exits with one of the codes of `Exit`."""
    for stream in (sys.stdout, sys.stderr):
        # What the terminal's encoding lacks is shown as an escape, not an error.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # gRPC writes a line for every connection that ends, and decides on it when it is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from crucible_server.cli.app import app

    try:
        app(prog_name="crucible")
    except OutputClosedError as error:
        sys.exit(error.exit)
    except CommandError as error:
        report(error)
        sys.exit(error.exit)
    except UnicodeEncodeError as error:
        # Words of the command line may be any bytes; no other text in here is without a meaning in UTF-8.
        report(CommandError(Exit.USAGE, f"{error.object!r} is not UTF-8: expected text in that encoding"))
        sys.exit(Exit.USAGE)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
    except Exception:
        # Python's own code for this is 1, which would say that the script is at fault.
        traceback.print_exc()
        sys.exit(Exit.INTERNAL)
