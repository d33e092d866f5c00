"""Comparing values with their types: 1, 1.0 and True are three values."""

from __future__ import annotations

from typing import Any


def exact(value: Any) -> Any:
    """What is equal only for values of the same types; the order of an object's fields does not matter."""
    match value:
        case dict():
            return {name: exact(field) for name, field in value.items()}
        case list() | tuple():
            return [exact(item) for item in value]
        case _:
            # Of floats too: NaN is NaN, and 0.0 is not -0.0.
            return type(value).__name__, repr(value)
