"""Stopping: nothing new is taken, what runs may finish, what is left is INTERRUPTED, no process stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import server_info_pb2
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.conftest import StartServer
from tests.engine.processes import LOOP, PATIENCE, STEPS, exists, standing_still, wait_gone, wait_until
from tests.servers import START_TIMEOUT, STOP_TIMEOUT, RunningServer, children_of

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
STOPPING = server_info_pb2.SERVICE_STATUS_STOPPING
STOPPED = server_info_pb2.SERVICE_STATUS_STOPPED
HEALTHY = server_info_pb2.SERVICE_STATUS_HEALTHY
SERVICES = ("", "crucible.v1.ScriptService")
MANY_STEPS = 100


class HealthWatch:
    """Everything that grpc.health.v1 Watch said of one service."""

    def __init__(self, channel: grpc.Channel, service: str) -> None:
        self.seen: list[int] = []
        self._call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(grpc.RpcError):
            self.seen.extend(response.status for response in self._call)

    def close(self) -> None:
        """Ends the call, which a stopping server would wait for a few seconds for."""
        self._call.cancel()

    def wait_for(self, *statuses: int) -> None:
        wait_until(lambda: self.seen == list(statuses), f"expected {statuses}")


@pytest.fixture(scope="module")
def stopping_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that tests stop and start by RPC; each leaves it started."""
    with RunningServer(tmp_path_factory.mktemp("stopping")) as running:
        yield running


@pytest.fixture
def stub(stopping_server: RunningServer) -> Iterator[ScriptServiceStub]:
    """Without retries: a refusal is seen at once."""
    with plain_channel(stopping_server) as channel:
        yield ScriptServiceStub(channel)


def plain_channel(server: RunningServer) -> grpc.Channel:
    return grpc.insecure_channel(server.address, [("grpc.enable_retries", 0)])


def stop(stub: ScriptServiceStub, seconds: float | None) -> Any:
    grace = None if seconds is None else Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
    return stub.Stop.future(api.StopRequest(grace_period=grace), timeout=PATIENCE)


def running(client: crucible.Client, execution_id: str, source: str, **args: int) -> threading.Thread:
    """A detached script, once it has said something: it is RUNNING a moment before."""

    def call() -> None:
        with suppress(crucible.CrucibleError):
            client.run(source, args=args, execution_id=execution_id, detached=True, level="production")

    thread = threading.Thread(target=call)
    thread.start()
    wait_until(lambda: _has_said(client, execution_id), f"{execution_id} does not run")
    return thread


def _has_said(client: crucible.Client, execution_id: str) -> bool:
    with suppress(crucible.ExecutionNotFound), client.wait(execution_id, deadline=PATIENCE) as following:
        return next(iter(following), None) is not None
    return False


def children(server: RunningServer) -> list[int]:
    return children_of(server.zygote_pid())


def assert_takes_nothing(stub: ScriptServiceStub) -> None:
    calls: list[Callable[[], object]] = [
        lambda: stub.ExecuteScript(_request(api.ExecuteScriptRequest), timeout=PATIENCE),
        lambda: list(stub.ExecuteScriptStream(_request(api.ExecuteScriptStreamRequest), timeout=PATIENCE)),
        lambda: stub.CompileScript(api.CompileScriptRequest(source={"source": "pub fn main() {}"}), timeout=PATIENCE),
    ]
    for call in calls:
        with pytest.raises(grpc.RpcError) as raised:
            call()
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "takes no new work" in str(raised.value.details())
        delay = retry_delay(raised.value)
        assert delay is not None
        assert delay > 0


def _request(kind: Any) -> Any:
    return kind(context={"source": {"source": "pub fn main() {}"}})


def retry_delay(error: Any) -> float | None:
    trailers = dict(error.trailing_metadata())
    retry = error_details_pb2.RetryInfo()
    for detail in status_pb2.Status.FromString(trailers["grpc-status-details-bin"]).details:
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return None


def test_stop_lets_what_runs_finish_and_start_resumes(stopping_server: RunningServer, stub: ScriptServiceStub) -> None:
    with plain_channel(stopping_server) as channel, crucible.Client(stopping_server.address) as client:
        watches = [HealthWatch(channel, service) for service in SERVICES]
        for watch in watches:
            watch.wait_for(SERVING)
        thread = running(client, "finishes", STEPS, steps=MANY_STEPS)
        with standing_still(children(stopping_server)):
            stopping = stop(stub, 20)
            for watch in watches:
                watch.wait_for(SERVING, NOT_SERVING)
            assert not stopping.done()
            assert client.health().status == STOPPING
            assert_takes_nothing(stub)
            # Looking is allowed all the while.
            following = client.wait("finishes")
        assert "".join(piece.text for piece in following).endswith(f"step {MANY_STEPS - 1}\n")
        answer = stopping.result()
        assert (answer.status, answer.interrupted_executions) == (STOPPED, 0)
        thread.join(PATIENCE)
        assert client.get_execution("finishes").state == "SUCCEEDED"
        assert client.health().status == STOPPED
        assert_takes_nothing(stub)
        assert client.get_execution("finishes").result is not None
        assert stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY
        for watch in watches:
            watch.wait_for(SERVING, NOT_SERVING, SERVING)
        assert client.run("pub fn main() { 2 }").value == 2


def test_what_outlasts_the_grace_period_is_interrupted(stopping_server: RunningServer, stub: ScriptServiceStub) -> None:
    with crucible.Client(stopping_server.address) as client:
        stream = client.stream(LOOP, check=False, level="production")
        assert next(iter(stream)).text == "up\n"
        thread = running(client, "outlasts", LOOP)
        answer = stop(stub, 0.2).result()
        assert (answer.status, answer.interrupted_executions) == (STOPPED, 2)
        list(stream)
        assert stream.result is not None
        assert stream.result.error is not None
        assert stream.result.error.kind == "INTERRUPTED"
        thread.join(PATIENCE)
        record = client.get_execution("outlasts")
        assert record.state == "INTERRUPTED"
        assert record.result is not None
        assert record.result.stdout == "up\n"
        assert stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY


def test_start_ends_a_stop_that_still_waits(stopping_server: RunningServer, stub: ScriptServiceStub) -> None:
    with crucible.Client(stopping_server.address) as client:
        thread = running(client, "survives", STEPS, steps=MANY_STEPS)
        with standing_still(children(stopping_server)):
            stopping = stop(stub, 20)
            wait_until(lambda: client.health().status == STOPPING, "it does not stop")
            assert stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY
            # Long before the grace period is over, so nothing is left that could end the script.
            answer = stopping.result()
            assert (answer.status, answer.interrupted_executions) == (HEALTHY, 0)
        assert client.run("pub fn main() { 3 }").value == 3
        thread.join(PATIENCE)
        assert client.get_execution("survives").state == "SUCCEEDED"


def test_a_stop_whose_caller_has_left_goes_on(stopping_server: RunningServer, stub: ScriptServiceStub) -> None:
    with crucible.Client(stopping_server.address) as client:
        thread = running(client, "left", LOOP)
        stopping = stop(stub, 1)
        # STOPPING, unless this test stood still for so long that it is over.
        wait_until(lambda: client.health().status in (STOPPING, STOPPED), "it does not stop")
        stopping.cancel()
        wait_until(lambda: client.health().status == STOPPED, "it stays stopping")
        thread.join(PATIENCE)
        assert client.get_execution("left").state == "INTERRUPTED"
        assert stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY


def test_stop_and_start_may_be_repeated(stub: ScriptServiceStub) -> None:
    assert stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY
    for _ in range(2):
        assert stop(stub, None).result().status == STOPPED
    for _ in range(2):
        assert stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY


@pytest.mark.parametrize("grace", [Duration(seconds=-1), Duration(seconds=2**62), Duration(nanos=-5)])
def test_a_grace_period_that_cannot_be_is_refused(stub: ScriptServiceStub, grace: Duration) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        stub.Stop(api.StopRequest(grace_period=grace), timeout=PATIENCE)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "grace_period" in str(raised.value.details())
    assert stub.HealthCheck(api.HealthCheckRequest(), timeout=PATIENCE).health.status == HEALTHY


def test_sigterm_finishes_what_runs_and_leaves_no_process(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_GRACE_PERIOD="30")
    with plain_channel(server) as channel, crucible.Client(server.address) as client:
        watch = HealthWatch(channel, "")
        watch.wait_for(SERVING)
        stream = client.stream(STEPS, args={"steps": MANY_STEPS}, level="production")
        pieces = iter(stream)
        text = next(pieces).text
        zygote = server.zygote_pid()
        family = [server.pid, zygote, *children_of(zygote)]
        assert server.process is not None
        with standing_still(children(server)):
            server.process.send_signal(signal.SIGTERM)
            watch.wait_for(SERVING, NOT_SERVING)
            watch.close()
            assert_takes_nothing(ScriptServiceStub(channel))
            with pytest.raises(grpc.RpcError) as raised:
                ScriptServiceStub(channel).Start(api.StartRequest(), timeout=PATIENCE)
            assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        assert text + "".join(piece.text for piece in pieces) == "".join(f"step {n}\n" for n in range(MANY_STEPS))
        assert server.process.wait(STOP_TIMEOUT) == 0
    assert not any(map(exists, family))


def test_a_second_sigterm_hurries(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_GRACE_PERIOD="100")
    with crucible.Client(server.address) as client:
        thread = running(client, "hurried", LOOP)
        zygote = server.zygote_pid()
        family = [zygote, *children_of(zygote)]
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.health().status == STOPPING, "it does not stop")
        assert client.get_execution("hurried").state == "RUNNING"
        started = time.monotonic()
        assert server.terminate() == 0
        # Neither the grace period nor the script's own time was waited for.
        assert time.monotonic() - started < PATIENCE / 2
        thread.join(PATIENCE)
        wait_gone(family)
    again = start_server()
    with crucible.Client(again.address) as client:
        assert client.get_execution("hurried").state == "INTERRUPTED"


def test_two_servers_do_not_share_their_data(start_server: StartServer, tmp_path: Path) -> None:
    first = start_server(tmp_path / "shared")
    second = subprocess.run(
        [sys.executable, "-m", "crucible_server", "serve", "--listen=127.0.0.1:0", f"--data-dir={first.data_dir}"],
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )
    assert second.returncode == 3
    assert f"in use by another server, process {first.pid}" in " ".join(second.stderr.split())
    assert "ready" not in second.stdout
    with crucible.Client(first.address) as client:
        assert client.run("pub fn main() { 1 }").value == 1
