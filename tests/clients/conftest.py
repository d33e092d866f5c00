"""The programs of other languages that the tests call."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pytest

from crucible.v1 import server_info_pb2

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
BUILD_TIMEOUT = 600
"""Seconds for a test that may be the first to build the Go client: a minute of two processors without a cache."""
WELL = (server_info_pb2.SERVICE_STATUS_HEALTHY, server_info_pb2.SERVICE_STATUS_DEGRADED)
"""How a server is that answers: the latter while the disk is slow."""


class RunProgram(Protocol):
    """Runs a program to its end within a bounded time."""

    def __call__(
        self, words: Sequence[str | Path], *, folder: Path = ROOT, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture(scope="session")
def run_program() -> RunProgram:
    """Runs a program of the PATH or of build/bin; fails with what to install when it is missing."""

    def run(words: Sequence[str | Path], *, folder: Path = ROOT, stdin: str = "") -> subprocess.CompletedProcess[str]:
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


@pytest.fixture(scope="session")
def go(run_program: RunProgram, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the built programs of the Go client."""
    folder = tmp_path_factory.mktemp("go")
    vetted = run_program(["go", "vet", "./..."], folder=CLIENTS / "go")
    assert vetted.returncode == 0, vetted.stderr
    built = run_program(["go", "build", "-o", folder, "./contract", "./example"], folder=CLIENTS / "go")
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="session")
def typescript(run_program: RunProgram) -> Path:
    """The folder with the built programs of the TypeScript client."""
    folder = CLIENTS / "typescript"
    if not (folder / "node_modules").exists():
        installed = run_program(["npm", "ci"], folder=folder)
        assert installed.returncode == 0, installed.stderr
    built = run_program(["npm", "run", "build"], folder=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "dist"
