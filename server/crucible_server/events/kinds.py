"""The kinds of events: what they are called, and what names clients may give."""

from __future__ import annotations

import re

from google.protobuf.message import Message

from crucible.v1 import event_pb2

CUSTOM = "custom"
"""In a filter: all types that clients gave."""

_FIELDS = event_pb2.Event.DESCRIPTOR.oneofs_by_name["kind"].fields
TYPES = frozenset(field.name for field in _FIELDS) - {CUSTOM}
"""The types that only the server emits. None of them holds a dot."""
_TYPE_OF = {field.message_type.full_name: field.name for field in _FIELDS if field.message_type is not None}

_CUSTOM_TYPE = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)+")
_MAX_TYPE = 128


def type_of(kind: Message) -> str:
    """The type of an event of this kind."""
    return _TYPE_OF[kind.DESCRIPTOR.full_name]


def is_custom(type_name: str) -> bool:
    """Whether a client may emit this type."""
    return len(type_name) <= _MAX_TYPE and _CUSTOM_TYPE.fullmatch(type_name) is not None
