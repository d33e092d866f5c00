"""What the tests of a running server's configuration share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import crucible
from crucible.v1 import server_info_pb2
from tests.servers import RunningServer

TIMEOUT = 30.0


def wait_until(condition: Callable[[], bool], why: str) -> None:
    """Waits, bounded, until something is so."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


def wait_for_health(client: crucible.Client, *codes: str) -> server_info_pb2.HealthStatus:
    """How a server is, once these are all the reasons why it is not well: a slow disk is one more for a while."""
    seen: list[server_info_pb2.HealthStatus] = []

    def fits() -> bool:
        seen.append(client.health())
        return [reason.code for reason in seen[-1].reasons] == list(codes)

    wait_until(fits, f"expected the reasons {codes}")
    return seen[-1]


class Configured:
    """A server with a configuration file."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "crucible.toml"
        self.file.write_text("")
        self.server = RunningServer(folder / "data", words=("--config", str(self.file)))
        self.server.start()
        self.client = crucible.Client(self.server.address)

    def write(self, text: str) -> None:
        """Another text of the file, written where it lies."""
        self.file.write_text(text)

    def wait_for(self, key: str, value: object) -> None:
        """Waits until a value is in force."""
        wait_until(lambda: self.client.config(key)[key] == value, f"{key} is not {value!r}: {self.server.log[-3:]}")

    def restart(self, *words: str, kill: bool = False) -> None:
        """Stops it, and starts it on the same data."""
        self.client.close()
        if kill:
            self.server.kill()
        else:
            self.server.terminate()
        self.server.words = ("--config", str(self.file), *words)
        self.server.start()
        self.client = crucible.Client(self.server.address)

    def stop(self) -> None:
        """Ends what is left."""
        self.client.close()
        self.server.kill()


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Configured]:
    """A server of the test's own."""
    started = Configured(tmp_path)
    yield started
    started.stop()
