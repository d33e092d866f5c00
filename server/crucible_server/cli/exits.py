"""What the command line tells the shell."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes. They are part of the interface: none changes its meaning.

    A command that does several things goes on after a failure and exits with the highest code among them.
    """

    OK = 0
    """Done: the script returned, the source compiles, the store is sound, the server is well."""
    SCRIPT_FAILED = 1
    """The script is at fault: it does not compile, or it ran and failed."""
    USAGE = 2
    """The command was used wrongly: unknown flag, missing file, bad argument or configuration."""
    REFUSED = 3
    """The server answered with an error status: the script was not started, its result is lost, or what was asked for
    does not exist. Without a server: it could not be started, the store is damaged or cannot be opened, or the machine
    cannot run one."""
    UNREACHABLE = 4
    """No server answered at the address, or the connection broke."""
    INTERNAL = 70
    """A fault of Crucible itself; the traceback says where."""
    TIMED_OUT = 124
    """The time that `--timeout` gave to waiting has passed; what was waited for goes on."""
    INTERRUPTED = 130
    """Ctrl-C. `run` cancels its execution; what is only watched or waited for goes on."""
    BROKEN_PIPE = 141
    """The reader of the output went away; otherwise like 130."""
    TERMINATED = 143
    """SIGTERM; otherwise like 130."""
