"""What the tests of the command line share: the command itself, and a server to talk to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from tests.servers import RunningServer

TIMEOUT = 60
"""Seconds after which a command counts as hung."""


class Crucible(Protocol):
    """Runs `crucible` with these words to its end."""

    def __call__(
        self, *words: str | Path, stdin: bytes = b"", settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


def command(words: Sequence[str | Path]) -> list[str]:
    """The command line of `crucible` in the Python of the tests."""
    return [sys.executable, "-m", "crucible_server", *map(str, words)]


def environment() -> Mapping[str, str]:
    """The environment of the tests, with plain output and without settings of a server."""
    kept = {
        name: value for name, value in os.environ.items() if name == "CRUCIBLE_VM" or not name.startswith("CRUCIBLE_")
    }
    return {**kept, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}


def read_one_line_of(words: Sequence[str], line: bytes) -> None:
    """Runs a command whose reader goes away after its first line, which the command takes for the end, quietly."""
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == line
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(TIMEOUT) == 141


@pytest.fixture(scope="session")
def crucible() -> Crucible:
    """Runs `crucible`."""

    def run(
        *words: str | Path, stdin: bytes = b"", settings: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(words),
            input=stdin,
            env={**environment(), **(settings or {})},
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(scope="session")
def server_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `server` keeps its things."""
    return tmp_path_factory.mktemp("server")


@pytest.fixture(scope="session")
def server(server_data: Path) -> Iterator[str]:
    """The address of a running `crucible serve`."""
    with RunningServer(server_data) as running:
        yield running.address


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Writes a script."""

    def write(source: str, name: str = "script.rn") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, "utf-8")
        return path

    return write


class Script(Protocol):
    """Writes a script and gives its path."""

    def __call__(self, source: str, name: str = "script.rn") -> Path: ...


@pytest.fixture
def unused_address() -> Iterator[str]:
    """An address at which nothing listens: the port is held, but not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"
