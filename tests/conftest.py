"""What all tests share: one real server, and a way to have another."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import crucible
from tests.servers import RunningServer

# A shell starts what it puts in the background with interrupts ignored, and so would be every command that is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

StartServer = Callable[..., RunningServer]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running server that the tests of the session share: they leave it as they found it."""
    with RunningServer(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[crucible.Client]:
    """A client of the shared server."""
    with crucible.Client(server.address) as connected:
        yield connected


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """Starts servers of the test's own, to be killed and started again; stops what is left of them."""
    started: list[RunningServer] = []

    def start(data_dir: Path | None = None, *, words: tuple[str, ...] = (), **settings: str) -> RunningServer:
        running = RunningServer(data_dir or tmp_path / "data", settings, words=words)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.kill()
