"""Durations and sizes as people write them: `30s`, `1m30s`, `100MiB`."""

from __future__ import annotations

import contextlib
import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, ByteSize, Field, WithJsonSchema

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
# For editors; what decides is `parse_duration` and pydantic's ByteSize.
_DURATION_PATTERN = r"^\s*(?:\d+(?:\.\d+)?\s*(?:ms|s|m|h|d)\s*)+$|^\s*\d+(?:\.\d+)?\s*$"
_SIZE_PATTERN = r"^\s*\d+(?:\.\d+)?\s*(?:[kKmMgGtTpPeE]?[iI]?[bB]?)?\s*$"
MAX_COUNT = 2**53
"""The largest number of anything: exact in every language, and as a sum or product still within what is stored."""
MAX_BYTES = 2**53
"""The largest size: 8 PiB."""
MIN_SECONDS, MAX_SECONDS = 0.001, 100 * 365 * 86400.0
"""The shortest and the longest duration: a time so far ahead can still be kept in nanoseconds."""
_MAX_TEXT = 64
_EXPECTED = 'expected a duration above zero such as "500ms", "30s", "5m", "1m30s" or a number of seconds'


def parse_duration(value: Any) -> float:
    """Seconds, from a number of them or from text. Raises ValueError."""
    seconds: float | None = None
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        text = value.replace(" ", "")
        if _WHOLE.fullmatch(text):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        else:
            with contextlib.suppress(ValueError):
                seconds = float(text)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # A whole number may be larger than any float.
        seconds = float(value if isinstance(value, float) else max(min(value, MAX_COUNT), -1))
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        raise ValueError(_EXPECTED)
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise ValueError("expected a duration from 1 ms to 36500 days")
    return seconds


def _check_size(value: Any) -> Any:
    if isinstance(value, (bool, float)) or (isinstance(value, int) and value <= 0):
        raise ValueError('expected a size above zero such as "100MiB" or a whole number of bytes')
    if isinstance(value, str) and len(value) > _MAX_TEXT:
        raise ValueError(f'expected a size such as "100MiB" of at most {_MAX_TEXT} characters')
    return value


Seconds = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "title": "Duration",
            "anyOf": [
                {"type": "number", "minimum": MIN_SECONDS, "maximum": MAX_SECONDS},
                {"type": "string", "pattern": _DURATION_PATTERN},
            ],
        }
    ),
]
"""A duration from 1 ms to 36500 days, kept in seconds."""

Count = Annotated[int, Field(gt=0, le=MAX_COUNT)]
"""A number of things above zero."""

Bytes = Annotated[
    ByteSize,
    BeforeValidator(_check_size),
    Field(gt=0, le=MAX_BYTES),
    WithJsonSchema(
        {
            "title": "Size",
            "anyOf": [
                {"type": "integer", "exclusiveMinimum": 0, "maximum": MAX_BYTES},
                {"type": "string", "pattern": _SIZE_PATTERN},
            ],
        }
    ),
]
"""A size above zero and up to 8 PiB, kept in bytes. KiB is 1024 bytes, KB 1000."""
