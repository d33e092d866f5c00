"""Reading a script and the files it includes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from crucible.v1 import script_pb2
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError

_INCLUDE = re.compile(r"\bmod\s+([A-Za-z_][A-Za-z0-9_]*)\s*;")


def read_source(file: Path) -> script_pb2.ScriptSource:
    """The script in `file`, or on standard input for `-`, with the files it includes by `mod name;`.

    An included file that does not exist is left to the compiler, which can say where it was asked for. Raises
    CommandError when a file cannot be read or is not UTF-8.
    """
    if str(file) == "-":
        return script_pb2.ScriptSource(source=_decode(sys.stdin.buffer.read(), "standard input"), file_name="stdin.rn")
    source = script_pb2.ScriptSource(source=_read(file), file_name=file.name)
    _include(source, source.source, file.parent, Path())
    return source


def _include(source: script_pb2.ScriptSource, text: str, root: Path, module: Path) -> None:
    for name in _INCLUDE.findall(text):
        for relative in (module / f"{name}.rn", module / name / "mod.rn"):
            if relative.as_posix() not in source.files and (root / relative).is_file():
                source.files[relative.as_posix()] = included = _read(root / relative)
                _include(source, included, root, module / name)
                break


def _read(file: Path) -> str:
    try:
        return _decode(file.read_bytes(), str(file))
    except FileNotFoundError:
        raise CommandError(Exit.USAGE, f"{file} does not exist: expected the path of a Rune script") from None
    except IsADirectoryError:
        raise CommandError(Exit.USAGE, f"{file} is a folder: expected the path of a Rune script") from None
    except OSError as error:
        raise CommandError(Exit.USAGE, f"{file} cannot be read: {error.strerror}") from None


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise CommandError(
            Exit.USAGE,
            f"{name} is not UTF-8: line {line} holds the byte 0x{content[error.start]:02x}. Save it as UTF-8",
        ) from None
