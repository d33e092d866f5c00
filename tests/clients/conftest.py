"""The programs of other languages that the tests call."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).resolve().parents[2]


class RunProgram(Protocol):
    """Runs a program to its end within a bounded time."""

    def __call__(
        self, words: Sequence[str | Path], *, folder: Path = ROOT, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def run_program() -> RunProgram:
    """Runs a program of the PATH or of build/bin; fails with what to install when it is missing."""

    def run(
        words: Sequence[str | Path], *, folder: Path = ROOT, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        built = ROOT / "build" / "bin" / words[0]
        program = built if built.exists() else shutil.which(words[0])
        if program is None:
            pytest.fail(f"`{words[0]}` is missing: run `make test-tools`, which says what to install")
        return subprocess.run(
            [program, *words[1:]],
            cwd=folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
