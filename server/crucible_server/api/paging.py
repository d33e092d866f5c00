"""Pages of lists: sizes, tokens, and the time filters that lists share."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from crucible_server.errors import invalid

_DEFAULT_PAGE = 50
_MAX_PAGE = 1000
MAX_PAGE_BYTES = 2 * 1024 * 1024
"""What a page holds at most, unless its first row alone is larger: clients take 4 MiB by default."""
_DIGEST_BYTES = 16
_TIME = struct.Struct(">q")
# The range of google.protobuf.Timestamp: years 1 to 9999.
_MIN_SECONDS, _MAX_SECONDS = -62_135_596_800, 253_402_300_799
# The store keeps nanoseconds in 64 bits; nothing was created before or after that.
_MIN_NS, _MAX_NS = -(2**63), 2**63 - 1

_Row = TypeVar("_Row")
_Presented = TypeVar("_Presented", bound=Message)
Key = tuple[int, str]
"""Where a page ends: time of creation in nanoseconds, and id."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which page of which list is asked for."""

    size: int
    before: Key | None
    _digest: bytes

    @classmethod
    def of(cls, request: Message, tenant: str) -> Page:
        """Reads size and token of a list request. Raises ServiceError (VALIDATION_ERROR)."""
        size = request.page_size  # type: ignore[attr-defined]
        if not 0 <= size <= _MAX_PAGE:
            raise invalid("page_size", f"expected 1 to {_MAX_PAGE}, or 0 for {_DEFAULT_PAGE}, got {size}")
        filters = type(request)()
        filters.CopyFrom(request)
        filters.ClearField("page_size")
        filters.ClearField("page_token")
        subject = f"{request.DESCRIPTOR.full_name}\0{tenant}\0".encode() + filters.SerializeToString(deterministic=True)
        digest = hashlib.sha256(subject).digest()[:_DIGEST_BYTES]
        token = request.page_token  # type: ignore[attr-defined]
        return cls(size or _DEFAULT_PAGE, _decode(token, digest) if token else None, digest)

    @property
    def limit(self) -> int:
        """How many rows to read: one more than the page holds tells whether there is another."""
        return self.size + 1

    def cut(
        self, rows: Sequence[_Row], key: Callable[[_Row], Key], present: Callable[[_Row], _Presented]
    ) -> tuple[list[_Presented], str]:
        """This page out of `limit` rows that were read, and the token of the next page; empty for the last."""
        shown: list[_Presented] = []
        size = 0
        for row in rows[: self.size]:
            message = present(row)
            size += message.ByteSize()
            if shown and size > MAX_PAGE_BYTES:
                break
            shown.append(message)
        if len(shown) == len(rows):
            return shown, ""
        return shown, self.token_after(key(rows[len(shown) - 1]))

    def token_after(self, key: Key) -> str:
        """The token of the page that begins after a row with this key."""
        time_ns, row_id = key
        data = self._digest + _TIME.pack(time_ns) + row_id.encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(token: str, digest: bytes) -> Key:
    wrong = invalid(
        "page_token",
        "expected the next_page_token of the page before, with the same filters in the same list; leave it empty for "
        "the first page",
    )
    try:
        data = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
        row_id = data[_DIGEST_BYTES + _TIME.size :].decode()
    except (binascii.Error, ValueError):
        raise wrong from None
    if not row_id or "\0" in row_id or data[:_DIGEST_BYTES] != digest:
        raise wrong
    (time_ns,) = _TIME.unpack_from(data, _DIGEST_BYTES)
    return time_ns, row_id


def created_between(request: Message) -> tuple[int | None, int | None]:
    """The filters `created_after` and `created_before` in nanoseconds. Raises ServiceError (VALIDATION_ERROR)."""
    after, before = (_nanoseconds(request, field) for field in ("created_after", "created_before"))
    if after is not None and before is not None and after >= before:
        raise invalid("created_before", "expected a time later than created_after")
    return after, before


def _nanoseconds(request: Message, field: str) -> int | None:
    if not request.HasField(field):
        return None
    moment: Timestamp = getattr(request, field)
    if not (_MIN_SECONDS <= moment.seconds <= _MAX_SECONDS and 0 <= moment.nanos < 1_000_000_000):
        raise invalid(
            field,
            "expected a Timestamp between the years 1 and 9999 with nanos of 0 to 999999999, got "
            f"seconds={moment.seconds} nanos={moment.nanos}",
        )
    return min(max(moment.seconds * 1_000_000_000 + moment.nanos, _MIN_NS), _MAX_NS)
