"""What the command line tells the shell."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes. They are part of the interface: none changes its meaning."""

    OK = 0
    """The script returned; the source compiles; the server stopped in order."""
    SCRIPT_FAILED = 1
    """The script is at fault: it does not compile, or it ran and failed."""
    USAGE = 2
    """The command was used wrongly: unknown flag, missing file, bad argument or configuration."""
    REFUSED = 3
    """The server answered with an error status: the script was not started, or its result is lost."""
    UNREACHABLE = 4
    """No server answered at the address, or the connection broke."""
    INTERNAL = 70
    """A fault of Crucible itself; the traceback says where."""
    INTERRUPTED = 130
    """Ctrl-C; the execution was cancelled."""
    BROKEN_PIPE = 141
    """The reader of the output went away; the execution was cancelled."""
    TERMINATED = 143
    """SIGTERM; the execution was cancelled."""
