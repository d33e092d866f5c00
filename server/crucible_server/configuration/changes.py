"""What differs between two configurations, and whom it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from crucible_server.config import Effect, Key, ServerConfig, all_keys, shown, value_at

_MAX_TEXT = 500

Cause = Literal["file", "call", "revert"]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key that changed, its values as they are shown."""

    key: Key
    old: Any
    new: Any

    @property
    def needs_restart(self) -> bool:
        """Whether the new value is in force at the next start only."""
        return self.key.effect is not Effect.LIVE

    def __str__(self) -> str:
        note = " (at the next start)" if self.needs_restart else ""
        if self.key.is_secret:
            return f"{self.key.path}: another secret{note}"
        return f"{self.key.path}: {_short(self.old)} -> {_short(self.new)}{note}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """A change that is in force."""

    version: int
    """Of what calls have set; a change of the file leaves it."""
    cause: Cause
    principal: str
    """Who made it; empty for the file."""
    keys: tuple[KeyChange, ...]


ConfigurationSink = Callable[[ConfigurationChange], None]
"""Who is told of changes once they are in force, such as the events of the server."""


def differences(before: ServerConfig, after: ServerConfig) -> tuple[KeyChange, ...]:
    """The keys whose values differ."""
    found = []
    for key in all_keys(ServerConfig):
        old, new = value_at(before, key), value_at(after, key)
        if old != new:
            found.append(KeyChange(key, shown(old), shown(new)))
    return tuple(found)
