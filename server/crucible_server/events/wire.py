"""Events in the encoding of the contract, put together from parts that are encoded once for all subscribers.

Protobuf merges messages that are appended to each other; so the sequence joins what was stored without it.
"""

from __future__ import annotations

from collections.abc import Iterable

from crucible.v1 import event_pb2
from crucible.v1 import event_service_pb2 as pb
from crucible_server.store import StoredEvent

_LENGTH_DELIMITED = 2


def _tag(message: type, field: str, wire_type: int) -> bytes:
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | wire_type)  # type: ignore[attr-defined]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


_SEQUENCE = _tag(event_pb2.Event, "sequence", 0)
_EVENT_ID = _tag(event_pb2.Event, "event_id", _LENGTH_DELIMITED)
_EVENTS = _tag(pb.EventBatch, "events", _LENGTH_DELIMITED)
_BATCH = _tag(pb.SubscribeResponse, "batch", _LENGTH_DELIMITED)


class EncodedBatch:
    """A SubscribeResponse that is encoded already."""

    __slots__ = ("_data",)

    def __init__(self, entries: Iterable[bytes]) -> None:
        """From what `entry` gives."""
        batch = b"".join(entries)
        self._data = b"".join((_BATCH, _varint(len(batch)), batch))

    def SerializeToString(self) -> bytes:  # noqa: N802 - the name that messages have
        """The encoding; once, as those who have handed it on hold no megabyte until they have the next one."""
        data, self._data = self._data, b""
        return data


def event_id(stored: StoredEvent) -> str:
    """The id of an event: that of the client, or one made of its sequence."""
    return f"evt-{stored.sequence}" if stored.event_id is None else stored.event_id


def encode(stored: StoredEvent) -> bytes:
    """A serialized Event."""
    name = event_id(stored).encode()
    return b"".join((stored.data, _SEQUENCE, _varint(stored.sequence), _EVENT_ID, _varint(len(name)), name))


def entry(stored: StoredEvent) -> bytes:
    """The same, as an element of an EventBatch."""
    event = encode(stored)
    return b"".join((_EVENTS, _varint(len(event)), event))


def decode(stored: StoredEvent) -> event_pb2.Event:
    """The event as a message."""
    return event_pb2.Event.FromString(encode(stored))
