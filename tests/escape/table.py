"""The table of the suite: what was tried, what had to stop it, what did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Row = dict[str, Any]
Rows = list[Row]


@contextmanager
def row(rows: Rows, attempt: str, tries: str, expected: str, argument: str = "") -> Iterator[Row]:
    """One line of the table; whoever runs the attempt fills in what stopped it. Stopped when nothing is raised."""
    told: Row = {
        "attempt": attempt,
        "argument": argument,
        "tries": tries,
        "expected": expected,
        "stopped": False,
        "stopped_by": "nothing",
    }
    rows.append(told)
    try:
        yield told
    except AssertionError as error:
        told["stopped_by"] = f"{error}"
        raise
    told["stopped"] = True
