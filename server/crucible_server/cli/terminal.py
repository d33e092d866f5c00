"""Writing to the terminal what others have written."""

from __future__ import annotations

import re
import sys
from typing import TextIO

from crucible_server.cli.exits import Exit

# Everything that a terminal may obey rather than show; newline, tab and carriage return are harmless.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class CommandError(Exception):
    """A command cannot go on. The message says what was expected, what came and what to do."""

    def __init__(self, exit_code: Exit, message: str) -> None:
        super().__init__(message)
        self.exit = exit_code


def emit(stream: TextIO, text: str) -> None:
    """Writes text at once. On a terminal, control characters of the script are shown instead of obeyed.

    Raises BrokenPipeError when nobody reads.
    """
    if stream.isatty():
        text = _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)
    stream.write(text)
    stream.flush()


def report(error: CommandError) -> None:
    """Tells the user on standard error why the command ended."""
    emit(sys.stderr, f"error: {error}\n")
