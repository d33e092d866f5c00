"""Who may run when: counts, memory and order, on the admission itself and on a server with little to give."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible_server.engine.admission import Admission
from crucible_server.errors import ErrorKind, ServiceError
from tests.conftest import StartServer
from tests.engine.processes import LOOP, wait_until
from tests.servers import RunningServer

MIB = 1024 * 1024


async def test_so_many_at_once_the_others_in_order() -> None:
    admission = Admission("executions", total=2, max_queue=10)
    first, second, third, fourth = (admission.enter("a", None) for _ in range(4))
    assert [first.running, second.running, third.running, fourth.running] == [True, True, False, False]
    admission.leave(second)
    assert third.turn.done()
    assert not fourth.turn.done()
    admission.leave(first)
    admission.leave(third)
    assert fourth.running
    admission.leave(fourth)
    assert (admission.running, admission.queued, admission.reserved_bytes) == (0, 0, 0)


async def test_a_principal_at_its_limit_does_not_hold_up_others() -> None:
    admission = Admission("executions", total=10, max_queue=10)
    admission.enter("greedy", 1)
    waiting = admission.enter("greedy", 1)
    assert admission.enter("modest", 1).running
    assert not waiting.running


async def test_memory_is_shared_and_waited_for_in_order() -> None:
    admission = Admission("executions", total=10, max_queue=10, memory=100)
    large = admission.enter("a", None, 70)
    larger = admission.enter("a", None, 60)
    small = admission.enter("a", None, 10)
    assert (large.running, larger.running, small.running) == (True, False, False), "a small one must not overtake"
    assert admission.reserved_bytes == 70
    admission.leave(large)
    assert larger.running
    assert small.running
    assert admission.reserved_bytes == 70


async def test_one_that_leaves_the_queue_lets_those_behind_it_run() -> None:
    admission = Admission("executions", total=10, max_queue=10, memory=100)
    admission.enter("a", None, 70)
    larger = admission.enter("a", None, 60)
    small = admission.enter("a", None, 10)
    admission.leave(larger)
    assert small.running


async def test_waiting_for_memory_at_a_principals_limit_holds_up_nobody() -> None:
    admission = Admission("executions", total=10, max_queue=10, memory=100)
    admission.enter("greedy", 1, 50)
    admission.enter("greedy", 1, 90)
    assert admission.enter("modest", None, 50).running


async def test_more_memory_than_there_ever_is_is_refused_at_once() -> None:
    admission = Admission("executions", total=10, max_queue=10, memory=100)
    with pytest.raises(ServiceError) as raised:
        admission.enter("a", None, 101)
    assert raised.value.kind == ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED
    assert raised.value.retry_after is None
    assert "max_memory_bytes" in raised.value.message


async def test_a_full_queue_refuses_and_counts() -> None:
    admission = Admission("executions", total=1, max_queue=1)
    crowded = []
    for _ in range(2):
        admission.enter("a", None)
        crowded.append(admission.is_crowded)
    assert crowded == [False, True]
    with pytest.raises(ServiceError) as raised:
        admission.enter("a", None)
    assert raised.value.retry_after is not None
    assert 0.1 <= raised.value.retry_after <= 30
    assert admission.refused == 1


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose executions may reserve 100 MiB in all: two of Safe."""
    settings = {"CRUCIBLE_MAX_EXECUTIONS_MEMORY": "100MiB", "CRUCIBLE_SPARE_CHILDREN": "0"}
    with RunningServer(tmp_path_factory.mktemp("small"), settings) as running:
        yield running


def test_executions_wait_for_memory(small_server: RunningServer) -> None:
    with crucible.Client(small_server.address) as client:
        assert client.server_info().max_executions_memory_bytes == 100 * MIB
        streams = [client.stream(LOOP, check=False) for _ in range(2)]
        for stream in streams:
            next(iter(stream))
        metrics = client.stub.GetMetrics(api.GetMetricsRequest()).metrics
        assert (metrics.active_connections, metrics.reserved_memory_bytes) == (2, 100 * MIB)
        waiting = client.stream("pub fn main() { 7 }", detached=True)
        wait_until(lambda: client.health().details["queued_executions"].int_value == 1, "the third does not wait")
        with pytest.raises(crucible.CallTimeout):
            client.run("pub fn main() { 1 }", limits={"max_memory_bytes": MIB}, deadline=0.3)
        for stream in streams:
            stream.close()
        assert not list(waiting)
        assert waiting.result is not None
        assert waiting.result.value == 7
        wait_until(
            lambda: not client.stub.GetMetrics(api.GetMetricsRequest()).metrics.reserved_memory_bytes, "it stays"
        )


def test_less_memory_each_means_more_at_once(small_server: RunningServer) -> None:
    with crucible.Client(small_server.address) as client:
        streams = [client.stream(LOOP, check=False, limits={"max_memory_bytes": 20 * MIB}) for _ in range(5)]
        for stream in streams:
            next(iter(stream))
        assert client.health().details["reserved_memory_bytes"].int_value == 100 * MIB
        for stream in streams:
            stream.close()


def test_a_level_that_is_too_large_for_the_server_is_refused(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_EXECUTIONS_MEMORY="40MiB")
    with crucible.Client(server.address) as client:
        with pytest.raises(crucible.ResourceExceeded, match="lower max_memory_bytes") as raised:
            client.run("pub fn main() { 1 }")
        assert raised.value.retry_after is None
        assert client.run("pub fn main() { 1 }", limits={"max_memory_bytes": 40 * MIB}).value == 1
