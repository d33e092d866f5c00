"""Reading a script and the files it includes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from crucible.v1 import script_pb2
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import size
from crucible_server.cli.terminal import CommandError

MAIN = "main.rn"
MAX_FILES = 1000
MAX_BYTES = 1024 * 1024

_INCLUDE = re.compile(r"\bmod\s+([A-Za-z_][A-Za-z0-9_]*)\s*;")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_source(file: Path) -> script_pb2.ScriptSource:
    """The script in `file`, in the folder `file`, or on standard input for `-`.

    With a file go those that it includes by `mod name;`; one that does not exist is left to the compiler, which can
    say where it was asked for. A folder is a script whose main file is main.rn; with it go all files that some `mod`
    could reach. Raises CommandError when a file cannot be read or is not UTF-8, or a folder holds too much.
    """
    if str(file) == "-":
        return script_pb2.ScriptSource(source=_decode(sys.stdin.buffer.read(), "standard input"), file_name="stdin.rn")
    if file.is_dir():
        return _read_folder(file)
    # The name is for people; that of a file may be any bytes.
    name = file.name.encode("utf-8", "replace").decode()
    source = script_pb2.ScriptSource(source=_read(file), file_name=name)
    _include(source, source.source, file.parent, Path())
    return source


def _include(source: script_pb2.ScriptSource, text: str, root: Path, module: Path) -> None:
    for name in _INCLUDE.findall(text):
        for relative in (module / f"{name}.rn", module / name / "mod.rn"):
            if relative.as_posix() not in source.files and (root / relative).is_file():
                source.files[relative.as_posix()] = included = _read(root / relative)
                _include(source, included, root, module / name)
                break


def _read_folder(folder: Path) -> script_pb2.ScriptSource:
    if not (folder / MAIN).is_file():
        raise CommandError(
            Exit.USAGE, f"{folder} is a folder without a {MAIN}: expected the script's main file there, or name a file"
        )
    root = folder.resolve()
    source = script_pb2.ScriptSource(file_name=MAIN)
    total = 0
    for relative in _modules(folder):
        path = folder / relative
        if not path.resolve().is_relative_to(root):
            raise CommandError(
                Exit.USAGE,
                f"{path} is a link to {path.resolve()}, outside of the folder: copy the file there, or remove the link",
            )
        if len(source.files) >= MAX_FILES:
            raise CommandError(
                Exit.USAGE,
                f"{folder} holds more than {MAX_FILES} included files (*.rn): expected the folder of one script; name "
                "the file to run, and only those that it includes are sent",
            )
        total += path.stat().st_size
        if total > MAX_BYTES:
            raise CommandError(
                Exit.USAGE,
                f"{folder} holds more than {size(MAX_BYTES)} of scripts (*.rn): expected the folder of one script; "
                "name the file to run, and only those that it includes are sent",
            )
        text = _read(path)
        if relative == MAIN:
            source.source = text
        else:
            source.files[relative] = text
    return source


def _modules(folder: Path) -> Iterator[str]:
    """What `mod` could name below a folder, main.rn first: the paths are made of names that Rune has for modules."""

    def refuse(error: OSError) -> None:
        raise CommandError(Exit.USAGE, f"{error.filename} cannot be read: {error.strerror}")

    yield MAIN
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if _MODULE.fullmatch(name))
        for name in sorted(names):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            # Whatever else bears such a name, a pipe say, might never come to its end.
            if name.endswith(".rn") and _MODULE.fullmatch(path.stem) and relative != MAIN and path.is_file():
                yield relative


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
