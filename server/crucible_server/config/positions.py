"""Where in a TOML file a key stands: the parser keeps no positions."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

_TABLE = re.compile(r"\s*\[\[?(?P<name>[^\[\]]+)\]\]?\s*(?:#.*)?")
_ASSIGNMENT = re.compile(r"\s*(?P<name>(?:[A-Za-z0-9_.\s-]|\"[^\"\n]*\"|'[^'\n]*')+?)\s*=")
_ERROR_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line, counted from 1, of a key, or of the nearest one around it; None when it is not to be found."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        line, first = lines[number], number + 1
        number += 1
        if match := _TABLE.fullmatch(line):
            table = _parts(match["name"])
            found.setdefault(table, first)
        elif match := _ASSIGNMENT.match(line):
            found.setdefault((*table, *_parts(match["name"])), first)
            # A value may go on over several lines, which are no keys of their own.
            whole = line
            while not _is_whole(whole) and number < len(lines):
                whole += "\n" + lines[number]
                number += 1
    for length in range(len(path), 0, -1):
        if (line_number := found.get(tuple(path[:length]))) is not None:
            return line_number
    return None


def error_place(error: Exception) -> tuple[int | None, str]:
    """The line that an error of the TOML parser names, and the rest of what it says."""
    match = _ERROR_PLACE.search(str(error))
    return (int(match[1]) if match else None), str(error)


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _parts(name: str) -> tuple[str, ...]:
    try:
        node: Any = tomllib.loads(f"{name} = 0")
    except tomllib.TOMLDecodeError:
        return (name.strip(),)
    parts = []
    while isinstance(node, dict):
        ((part, node),) = node.items()
        parts.append(part)
    return tuple(parts)
