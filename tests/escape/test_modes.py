"""The variable that names what the suite is run with."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.escape.conftest import AS_USER, MODES, ROOT

PROGRAM = "from tests.escape.conftest import MODE, REPORT; print(MODE, REPORT.name)"


def loaded(mode: str) -> subprocess.CompletedProcess[str]:
    """The suite as it is loaded with this value of the variable."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "CRUCIBLE_ESCAPE_MODE": mode},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("text", "mode", "report"),
    [
        ("", "deep", "escape.json"),
        ("deep", "deep", "escape.json"),
        ("unprivileged-bare", "unprivileged-bare", "escape-unprivileged-bare.json"),
    ],
)
def test_empty_means_the_default(text: str, mode: str, report: str) -> None:
    done = loaded(text)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [mode, report]


@pytest.mark.parametrize("text", ["moat", "unprivileged-", "Deep"])
def test_what_is_no_mode_is_refused_with_their_names(text: str) -> None:
    done = loaded(text)
    assert done.returncode != 0
    assert f"got {text!r}" in done.stderr
    for word in ("CRUCIBLE_ESCAPE_MODE", AS_USER, *MODES):
        assert word in done.stderr
