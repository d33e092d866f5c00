"""Messages that are encoded once for all to whom they are sent."""

from __future__ import annotations

from google.protobuf.message import Message


class Encoded:
    """A message that is encoded already, for gRPC to send as it sends messages."""

    __slots__ = ("_data",)

    def __init__(self, message: Message) -> None:
        self._data = message.SerializeToString()

    def SerializeToString(self) -> bytes:  # noqa: N802 - the name that messages have
        """The encoding."""
        return self._data
