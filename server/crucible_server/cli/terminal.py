"""Writing to the terminal what others have written."""

from __future__ import annotations

import os
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


class OutputClosedError(CommandError):
    """Nobody reads our output any more, as in `crucible run .. | head`."""

    def __init__(self) -> None:
        super().__init__(Exit.BROKEN_PIPE, "nobody reads the output")


def visible(text: str) -> str:
    """The text on one line, with what a terminal may obey shown instead."""
    return _escaped(text).replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _escaped(text: str) -> str:
    return _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)


def emit(stream: TextIO, text: str, *, is_ours: bool = False) -> None:
    """Writes text at once. On a terminal, control characters are shown instead of obeyed, unless the text `is_ours`.

    Raises OutputClosedError when nobody reads.
    """
    if stream.isatty() and not is_ours:
        text = _escaped(text)
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # Python flushes what is left at exit, and would complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise OutputClosedError from None


def report(error: CommandError) -> None:
    """Tells the user on standard error why the command ended."""
    emit(sys.stderr, f"error: {error}\n")
