"""The trace to which what happens belongs."""

from __future__ import annotations

import re
from contextvars import ContextVar

trace_id: ContextVar[str] = ContextVar("trace_id", default="")
"""32 hexadecimal digits, or empty; what an event that is drafted in this context is noted with."""

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")


def of_traceparent(header: str) -> str:
    """The trace id in a W3C `traceparent`; empty when it is none."""
    match = _TRACEPARENT.fullmatch(header)
    return match[1] if match else ""
