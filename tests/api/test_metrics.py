"""GetMetrics and the state of health: that the figures are those of what happened."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import server_info_pb2
from tests.conftest import StartServer
from tests.engine.processes import LOOP, PATIENCE, wait_logged, wait_until
from tests.servers import RunningServer

MIB = 1024 * 1024
Status = server_info_pb2.ServiceStatus


@pytest.fixture
def own(start_server: StartServer) -> Iterator[tuple[RunningServer, crucible.Client]]:
    """A server of the test's own: nobody else moves its figures."""
    server = start_server()
    with crucible.Client(server.address) as client:
        yield server, client


def metrics(client: crucible.Client, *script_ids: str) -> api.GetMetricsResponse:
    return client.stub.GetMetrics(api.GetMetricsRequest(script_ids=script_ids))


def test_figures_of_the_service(own: tuple[RunningServer, crucible.Client]) -> None:
    _, client = own
    script = client.compile('pub fn main(n) { if n == 0 { panic!("no") } n }')
    with pytest.raises(crucible.CompilationError):
        client.compile("pub fn main( {")
    for n in range(4):
        client.run(script, args={"n": n}, check=False)
    found = metrics(client).metrics
    assert (found.total_compilations, found.successful_compilations) == (2, 1)
    assert (found.total_executions, found.successful_executions, found.failed_executions) == (4, 3, 1)
    assert (found.cache_entries, found.cache_hits, found.cache_misses) == (1, 4, 2)
    assert found.cache_bytes == script.message.bytecode_bytes
    assert found.spare_hits + found.spare_misses == 6
    assert found.forked_children >= 6
    assert (found.active_connections, found.queued_executions, found.refused_executions) == (0, 0, 0)
    assert 0 < found.average_execution_time.ToNanoseconds() < 10**10
    assert 0 < found.average_compile_time.ToNanoseconds() < 10**10
    assert 0 < found.uptime.ToNanoseconds() < 60 * 10**9
    # The server, the zygote, and what their children have of their own.
    assert 20 * MIB < found.memory_usage < 1000 * MIB


def test_memory_and_processor_time_are_those_of_the_processes(own: tuple[RunningServer, crucible.Client]) -> None:
    _, client = own
    quiet = metrics(client).metrics.memory_usage
    source = 'pub fn main() { let v = []; for i in 0..1000000 { v.push(i); } println!("up"); loop {} }'
    with client.stream(source, check=False) as stream:
        next(iter(stream))
        running = metrics(client).metrics
        assert running.active_connections == 1
        assert running.memory_usage - quiet > 12 * MIB, "a million values take 16 bytes each"
    wait_until(lambda: metrics(client).metrics.active_connections == 0, "it still runs")
    # Half a processor (Safe) for a while shows once the child has ended, within the window of ten seconds.
    with pytest.raises(crucible.ExecutionFailed):
        client.run("pub fn main() { loop {} }", timeout=1.5)
    wait_until(lambda: metrics(client).metrics.cpu_usage > 5, "the processor time does not show")


def test_figures_of_a_script_outlive_the_server(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        script = client.compile(
            'pub fn main(n) { if n == 0 { panic!("no") } let v = []; for i in 0..n { v.push(i); } n }'
        )
        other = client.compile("pub fn main() { 1 }").script_id
        records = [client.run(script, args={"n": n}, check=False) for n in (0, 10, 10_000)]
        (stats,) = metrics(client, script.script_id).script_stats
        assert (stats.total_executions, stats.successful_executions) == (3, 2)
        usages = [record.message.resource_usage.memory_bytes for record in records]
        assert stats.max_memory_bytes == max(usages) > 100_000
        times = [record.message.execution_time.ToNanoseconds() for record in records]
        assert stats.max_execution_time.ToNanoseconds() == max(times)
        assert stats.average_execution_time.ToNanoseconds() == sum(times) // 3
        last = client.get_execution(records[-1].execution_id).message
        assert stats.last_execution_time == last.end_time
    server.kill()
    server.start()
    with crucible.Client(server.address) as client:
        assert list(metrics(client, script.script_id).script_stats) == [stats]
        never, again = metrics(client, other, script.script_id, other).script_stats
        assert (never.script_id, never.total_executions) == (other, 0)
        assert not never.HasField("last_execution_time")
        assert again == stats


def test_a_crowded_queue_is_a_degraded_service(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_CONCURRENT_EXECUTIONS="1", CRUCIBLE_MAX_QUEUED_EXECUTIONS="3")
    with crucible.Client(server.address, options=[("grpc.enable_retries", 0)]) as client:
        assert client.health().status == Status.SERVICE_STATUS_HEALTHY
        streams = [client.stream(LOOP, check=False) for _ in range(4)]
        wait_until(lambda: client.health().details["queued_executions"].int_value == 3, "they do not wait")
        health = client.health()
        assert health.status == Status.SERVICE_STATUS_DEGRADED
        assert "3 executions wait" in health.message
        with pytest.raises(crucible.ResourceExceeded):
            client.run("pub fn main() { 1 }")
        assert metrics(client).metrics.refused_executions == 1
        for stream in streams:
            stream.close()
        wait_until(lambda: client.health().status == Status.SERVICE_STATUS_HEALTHY, "it does not recover")


@pytest.mark.sqlite
def test_an_end_that_the_store_refuses_is_stored_later(own: tuple[RunningServer, crucible.Client]) -> None:
    server, client = own
    # Time to lock the store before it ends.
    source = 'pub async fn main() { println!("up"); crucible::basic::sleep(3.0).await; 3 }'
    stream = client.stream(source, check=False)
    next(iter(stream))
    blocker = sqlite3.connect(server.data_dir / "crucible.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(crucible.Unavailable, match="locked by another program"):
        list(stream)
    # Slow at first: the store waits for whoever has the lock for as long as a health check waits for the store.
    wait_until(lambda: client.health().status == Status.SERVICE_STATUS_UNHEALTHY, "it is not told", PATIENCE)
    assert "does not take writes" in client.health().message
    blocker.execute("ROLLBACK")
    blocker.close()

    def state() -> str:
        return client.get_execution(stream.execution_id).state

    wait_until(lambda: state() == "SUCCEEDED", f"the end was not stored, it is {state()}")
    record = client.get_execution(stream.execution_id)
    assert record.result is not None
    assert record.result.value == 3
    assert record.message.result.stdout == "up\n"
    wait_until(lambda: client.health().status == Status.SERVICE_STATUS_HEALTHY, "it does not recover", PATIENCE)
    wait_logged(server, "execution_end_stored")


def fill(client: crucible.Client, script: crucible.CompiledScript, kept: list[str]) -> None:
    for _ in range(100):
        done = client.run(script, args={"a": "x" * 200_000})
        kept.append(done.execution_id)


@pytest.mark.sqlite
def test_a_full_disk_is_told_and_loses_nothing(start_server: StartServer, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", small], capture_output=True)
    if mounted.returncode:
        pytest.skip("no right to mount a small file system")
    try:
        server = start_server(data_dir=small)
        with crucible.Client(server.address, options=[("grpc.enable_retries", 0)]) as client:
            script = client.compile("pub fn main(a) { a }")
            kept: list[str] = []
            with pytest.raises(crucible.ResourceExceeded, match="no space left") as raised:
                fill(client, script, kept)
            assert kept
            assert raised.value.retry_after is not None
            health = client.health()
            assert health.status in (Status.SERVICE_STATUS_DEGRADED, Status.SERVICE_STATUS_UNHEALTHY)
            assert "no space left" in health.message
            assert {client.get_execution(execution_id).state for execution_id in kept} == {"SUCCEEDED"}
            listed = client.stub.ListExecutions(api.ListExecutionsRequest(page_size=1000)).executions
            assert {execution.execution_id for execution in listed} >= set(kept)
        server.kill()
        subprocess.run(["mount", "-o", "remount,size=40m", small], check=True)
        server.start()
        with crucible.Client(server.address) as client:
            assert {client.get_execution(execution_id).state for execution_id in kept} == {"SUCCEEDED"}
            assert client.run(script, args={"a": 1}).value == 1
        server.terminate()
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)
