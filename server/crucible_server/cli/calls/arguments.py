"""Turning words of the command line into requests."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from typing import NoReturn

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from crucible.v1 import execution_pb2, security_pb2
from crucible_server.cli.exits import Exit
from crucible_server.cli.options import Level, State
from crucible_server.cli.terminal import CommandError

_LEVELS = {
    Level.SAFE: security_pb2.SECURITY_LEVEL_SAFE,
    Level.PRODUCTION: security_pb2.SECURITY_LEVEL_PRODUCTION,
    Level.DEVELOPMENT: security_pb2.SECURITY_LEVEL_DEVELOPMENT,
}
_STATES = {
    State.QUEUED: execution_pb2.EXECUTION_STATE_QUEUED,
    State.RUNNING: execution_pb2.EXECUTION_STATE_RUNNING,
    State.SUCCEEDED: execution_pb2.EXECUTION_STATE_SUCCEEDED,
    State.FAILED: execution_pb2.EXECUTION_STATE_FAILED,
    State.CANCELLED: execution_pb2.EXECUTION_STATE_CANCELLED,
    State.INTERRUPTED: execution_pb2.EXECUTION_STATE_INTERRUPTED,
}
_UNITS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)?")
_MAX_NANOSECONDS = 10**9 * 315_576_000_000
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")


def level_number(level: Level) -> security_pb2.SecurityLevel:
    """The level of the contract."""
    return _LEVELS[level]


def state_numbers(states: Iterable[State]) -> list[execution_pb2.ExecutionState]:
    """The states of the contract."""
    return [_STATES[state] for state in states]


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


def _nanoseconds(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    nanoseconds = round(float(match[1]) * _UNITS[match[2] or "s"]) if match else 0
    return nanoseconds if 0 < nanoseconds < _MAX_NANOSECONDS else None


def duration(text: str, option: str = "--timeout") -> Duration:
    """A span of time such as `500ms`, `5s`, `2m`; seconds without a unit. Raises CommandError."""
    nanoseconds = _nanoseconds(text)
    if nanoseconds is None:
        raise CommandError(Exit.USAGE, f"{option} {text!r}: expected a time above zero, such as 500ms, 5s or 2m")
    return Duration(seconds=nanoseconds // 10**9, nanos=nanoseconds % 10**9)


def moment(option: str, text: str | None) -> Timestamp | None:
    """A moment given as RFC 3339 or as a span before now, such as `2h`; None for None. Raises CommandError."""
    if text is None:
        return None
    found = Timestamp()
    if nanoseconds := _nanoseconds(text):
        found.FromNanoseconds(max(0, time.time_ns() - nanoseconds))
        return found
    try:
        if not _RFC_3339.fullmatch(text):
            raise ValueError(text)
        found.FromJsonString(text.upper())
    except ValueError:
        raise CommandError(
            Exit.USAGE,
            f"{option} {text!r}: expected a moment such as 2026-11-20T18:30:00Z (RFC 3339, with Z or an offset such "
            "as +01:00), or how long ago it was, such as 90s, 30m, 2h, 7d",
        ) from None
    return found
