"""What the tests of the engine share: raw calls, and the proof that a server survived them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import grpc
import pytest

import crucible
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.servers import RunningServer

# Their comparisons, too, say what they compared.
pytest.register_assert_rewrite("tests.engine.walks")


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    """A plain channel to the shared server: no retries, and messages as large as the test likes."""
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_retries", 0)]
    with grpc.insecure_channel(server.address, options) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> ScriptServiceStub:
    """The generated stub, which sends whatever it is given."""
    return ScriptServiceStub(channel)


@pytest.fixture
def survives(server: RunningServer, client: crucible.Client) -> Iterator[None]:
    """After the test the next call works, in the same server and from the same zygote."""
    zygote = server.zygote_pid()
    yield
    assert client.run("pub fn main() { 20 + 22 }").value == 42
    assert server.zygote_pid() == zygote


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server without spares, so that a new child of its zygote is the execution just begun."""
    with RunningServer(tmp_path_factory.mktemp("bare"), {"CRUCIBLE_SPARE_CHILDREN": "0"}) as running:
        yield running


@pytest.fixture
def bare(bare_server: RunningServer) -> Iterator[crucible.Client]:
    """A client of it."""
    with crucible.Client(bare_server.address) as connected:
        yield connected


@pytest.fixture(scope="module")
def corpse() -> Iterator[int]:
    """A process that has ended and is not yet reaped: it can be killed as often as one likes."""
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        yield process.pid
