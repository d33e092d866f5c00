"""Comparisons outside of test files say what they compared, too."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.load.evidence", "tests.load.careful")
