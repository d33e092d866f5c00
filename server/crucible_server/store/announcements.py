"""What servers that share a database tell each other at once, beside what they find in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ScriptRemoved:
    """A script is no longer stored."""

    tenant: str
    script_id: str
    unit_keys: tuple[str, ...]
    """The byte code that went with it."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants an execution ended; the server that runs it does so."""

    tenant: str
    execution_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class EventsStored:
    """There are new events."""

    up_to: int
    """The sequence number of the last, or a higher one when something was undone."""


@dataclass(frozen=True, slots=True)
class ServicesChanged:
    """A service came, went, or is in another state."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Nothing was heard for a while: whatever could have been announced may have been."""


News: TypeAlias = EventsStored | ServicesChanged
"""What is found in the store: it may be told in vain, and once for many changes."""
Told: TypeAlias = ScriptRemoved | CancelRequested | News
"""What a server may announce."""
Announcement: TypeAlias = Told | Missed

_KINDS: dict[str, type[Told]] = {
    "script_removed": ScriptRemoved,
    "cancel_requested": CancelRequested,
    "events_stored": EventsStored,
    "services_changed": ServicesChanged,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
# PostgreSQL takes less than 8,000.
_MAX_BYTES = 7_900


def encode(announcement: Told) -> str:
    """At most some 8 kB of text; what is longer becomes something that is always true."""
    content = {"kind": _NAMES[type(announcement)], **asdict(announcement)}
    text = json.dumps(content, separators=(",", ":"))
    return text if len(text) <= _MAX_BYTES else "{}"


def decode(text: str) -> Announcement:
    """What was announced; anything that this version does not know may have been anything."""
    try:
        content = json.loads(text)
        kind = _KINDS[content.pop("kind")]
        if kind is ScriptRemoved:
            content["unit_keys"] = tuple(content["unit_keys"])
        return kind(**content)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Missed()
