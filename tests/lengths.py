"""How much the tests that search for faults by repetition do: a little by default, a lot when asked to.

`LONG_TESTS=1 python -m pytest tests/load tests/engine/test_model.py` takes about half an hour.
"""

from __future__ import annotations

import os

LONG = os.environ.get("LONG_TESTS", "") not in ("", "0")
"""Whether there is time."""

TIMEOUT = 3600 if LONG else 300
"""Seconds after which one test has hung."""
