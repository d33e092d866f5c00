"""Turning words of the command line into requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NoReturn

from google.protobuf.duration_pb2 import Duration

from crucible.v1 import security_pb2
from crucible_server.cli.exits import Exit
from crucible_server.cli.terminal import CommandError

_UNITS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)?")


class Level(StrEnum):
    """Security levels by the names that people type."""

    SAFE = "safe"
    PRODUCTION = "production"
    DEVELOPMENT = "development"

    def to_proto(self) -> security_pb2.SecurityLevel:
        """The level of the contract."""
        return _LEVELS[self]


_LEVELS = {
    Level.SAFE: security_pb2.SECURITY_LEVEL_SAFE,
    Level.PRODUCTION: security_pb2.SECURITY_LEVEL_PRODUCTION,
    Level.DEVELOPMENT: security_pb2.SECURITY_LEVEL_DEVELOPMENT,
}


def arguments_json(words: Iterable[str]) -> str:
    """The JSON object that `name=value` words make; empty for none.

    A value that is JSON is passed on to the letter, so that 1 stays an integer and 1.0 a float; any other is
    a string. Raises CommandError for a word without a name, a name given twice, or text that is not UTF-8.
    """
    members: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise CommandError(Exit.USAGE, f"--arg {word!r}: expected name=value, such as --arg limit=100")
        if name in members:
            raise CommandError(Exit.USAGE, f"--arg {name} is given twice: give each parameter once")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise CommandError(Exit.USAGE, f"--arg {name!r}: the value is not UTF-8") from None
        members[name] = value if _is_json(value) else json.dumps(value)
    text = ",".join(f"{json.dumps(name)}:{value}" for name, value in members.items())
    return f"{{{text}}}" if members else ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(constant: str) -> NoReturn:
    # Python reads NaN and Infinity, JSON does not have them.
    raise ValueError(constant)


def duration(text: str) -> Duration:
    """A span of time such as `500ms`, `5s`, `2m`; seconds without a unit. Raises CommandError."""
    match = _DURATION.fullmatch(text)
    nanoseconds = round(float(match[1]) * _UNITS[match[2] or "s"]) if match else 0
    if not 0 < nanoseconds < 10**9 * 315_576_000_000:
        raise CommandError(Exit.USAGE, f"--timeout {text!r}: expected a time above zero, such as 500ms, 5s or 2m")
    return Duration(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)
