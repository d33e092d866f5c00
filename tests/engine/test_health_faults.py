"""Health under real faults: what is broken is told, with reasons, for each service, and no longer once it is mended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import crucible
from crucible.v1 import execution_pb2, server_info_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.vm.v1 import zygote_pb2
from crucible_server.config import load_config
from crucible_server.engine.figures import Figures
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.spares import SpareTarget
from tests.conftest import StartServer
from tests.engine.processes import LOOP, PATIENCE, wait_logged, wait_until
from tests.servers import RunningServer, children_of

HEALTHY = server_info_pb2.SERVICE_STATUS_HEALTHY
DEGRADED = server_info_pb2.SERVICE_STATUS_DEGRADED
UNHEALTHY = server_info_pb2.SERVICE_STATUS_UNHEALTHY
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SCRIPTS, CONFIG = "crucible.v1.ScriptService", "crucible.v1.ConfigService"


class Patient:
    """A server whose health is looked at from outside."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.client = crucible.Client(server.address)
        self._channel = grpc.insecure_channel(server.address)
        self._stub = health_pb2_grpc.HealthStub(self._channel)
        self.seen: dict[str, list[int]] = {service: [] for service in ("", SCRIPTS, CONFIG)}
        self._calls = []
        for service in self.seen:
            call = self._stub.Watch(health_pb2.HealthCheckRequest(service=service))
            self._calls.append(call)
            threading.Thread(target=self._watch, args=(service, call), daemon=True).start()
        self.wait_for(HEALTHY, None)
        # Before anything is broken: who comes later is not told how it was.
        self.wait_for_seen(overall=[SERVING], scripts=[SERVING], config=[SERVING])

    def _watch(self, service: str, call: grpc.CallIterator[health_pb2.HealthCheckResponse]) -> None:
        with contextlib.suppress(grpc.RpcError):
            for answer in call:
                self.seen[service].append(answer.status)

    def check(self, service: str) -> int:
        return int(self._stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE).status)

    def wait_for(self, status: server_info_pb2.ServiceStatus, code: str | None) -> server_info_pb2.HealthStatus:
        """Waits until the service says so, for this reason."""
        last: list[server_info_pb2.HealthStatus] = []

        def is_so() -> bool:
            last[:] = [self.client.health()]
            codes = [reason.code for reason in last[0].reasons]
            return last[0].status == status and (code in codes if code else not codes)

        try:
            wait_until(is_so, f"expected {status} {code}")
        except AssertionError:
            raise AssertionError(f"expected {status} {code}, got {last}") from None
        return last[0]

    def wait_for_seen(self, **expected: list[int]) -> None:
        """Waits until whoever watches a service has been told exactly this."""
        names = {"overall": "", "scripts": SCRIPTS, "config": CONFIG}
        for name, statuses in expected.items():
            wait_until(lambda n=name, s=statuses: self.seen[names[n]] == s, f"{name}: {self.seen}")  # type: ignore[misc]

    def close(self) -> None:
        for call in self._calls:
            call.cancel()
        self._channel.close()
        self.client.close()


@pytest.fixture
def patient(start_server: StartServer) -> Iterator[Callable[..., Patient]]:
    """Starts a server of the test's own, with long times: it is not told as unwell for having stood still a moment."""
    started: list[Patient] = []

    def start(data_dir: Path | None = None, **settings: str) -> Patient:
        checks = {"CRUCIBLE_ENGINE__HEALTH_CHECK": '{"interval": 5, "timeout": 5}'}
        started.append(Patient(start_server(data_dir, **checks, **settings)))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_an_interpreter_that_is_stopped(patient: Callable[..., Patient]) -> None:
    sick = patient()
    zygote = sick.server.zygote_pid()
    os.kill(zygote, signal.SIGSTOP)
    try:
        health = sick.wait_for(UNHEALTHY, "interpreter_stopped")
        assert str(zygote) in health.message
        assert "SIGCONT" in health.message
        assert health.reasons[0].since.ToNanoseconds() <= time.time_ns()
        sick.wait_for_seen(overall=[SERVING, NOT_SERVING], scripts=[SERVING, NOT_SERVING], config=[SERVING])
        assert sick.check(CONFIG) == SERVING
    finally:
        # The server kills it after some seconds.
        with contextlib.suppress(ProcessLookupError):
            os.kill(zygote, signal.SIGCONT)
    sick.wait_for(HEALTHY, None)
    sick.wait_for_seen(overall=[SERVING, NOT_SERVING, SERVING], scripts=[SERVING, NOT_SERVING, SERVING])
    assert sick.client.run("pub fn main() { 1 }").value == 1
    wait_logged(sick.server, "health_changed", "status=unhealthy", "before=healthy")
    wait_logged(sick.server, "health_changed", "status=healthy", "before=unhealthy")


async def test_an_interpreter_that_owes_an_answer() -> None:
    interpreter = Interpreter(load_config(None, {}).vm_path, SpareTarget(0, 0), zygote_pb2.ChildLimits())
    await interpreter.start()
    try:
        assert interpreter.unanswered_seconds == 0
        states = [interpreter.is_stopped]
        os.kill(interpreter.zygote_pid, signal.SIGSTOP)
        taken = asyncio.create_task(interpreter.take(zygote_pb2.ChildLimits()))
        async with asyncio.timeout(PATIENCE):
            while interpreter.unanswered_seconds < 1:
                await asyncio.sleep(0.05)
            states.append(interpreter.is_stopped)
            assert states == [False, True]
            os.kill(interpreter.zygote_pid, signal.SIGCONT)
            child = await taken
            while interpreter.unanswered_seconds > 0:
                await asyncio.sleep(0.05)
        child.kill()
    finally:
        await interpreter.stop()


def test_an_interpreter_that_dies_again_and_again(patient: Callable[..., Patient]) -> None:
    sick = patient()
    for restarts in range(1, 4):
        # The one before may not be gone, and a new one may be on its way into its namespaces.
        wait_until(lambda: len(children_of(sick.server.pid)) == 1, "one zygote")
        os.kill(sick.server.zygote_pid(), signal.SIGKILL)
        wait_until(
            lambda n=restarts: sick.client.health().details["interpreter_restarts"].int_value == n,  # type: ignore[misc]
            "it was not replaced",
        )
    health = sick.wait_for(DEGRADED, "interpreter_restarts")
    assert "3 times" in health.message
    assert sick.check("") == SERVING


def test_a_database_that_is_locked(patient: Callable[..., Patient], tmp_path: Path) -> None:
    sick = patient()
    other = sqlite3.connect(tmp_path / "data" / "crucible.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        health = sick.wait_for(UNHEALTHY, "store_failed")
        assert "locked" in health.message
        sick.wait_for_seen(overall=[SERVING, NOT_SERVING], config=[SERVING, NOT_SERVING])
    finally:
        other.execute("ROLLBACK")
        other.close()
    sick.wait_for(HEALTHY, None)
    sick.wait_for_seen(overall=[SERVING, NOT_SERVING, SERVING], config=[SERVING, NOT_SERVING, SERVING])


def test_a_store_that_is_slow_holds_up_no_answer(patient: Callable[..., Patient], tmp_path: Path) -> None:
    # Whoever asks has the store probed; nobody else does.
    times = {"CRUCIBLE_ENGINE__HEALTH_CHECK__TIMEOUT": "200ms", "CRUCIBLE_ENGINE__HEALTH_CHECK__INTERVAL": "3600s"}
    sick = patient(**times)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "crucible.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        # The store itself waits for others ten times as long.
        health = sick.wait_for(DEGRADED, "store_slow")
        assert "more than 0.2 s" in health.message
        sick.wait_for(UNHEALTHY, "store_failed")
        other.execute("ROLLBACK")
    sick.wait_for(HEALTHY, None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], check=False, capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a disk")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_disk_that_is_full(patient: Callable[..., Patient], small_disk: Path) -> None:
    sick = patient(small_disk / "data")
    with (small_disk / "balloon").open("wb", buffering=0) as balloon, contextlib.suppress(OSError):
        while True:
            balloon.write(bytes(4096))
    health = sick.wait_for(UNHEALTHY, "store_failed")
    assert "no space left" in health.message
    assert sick.check(CONFIG) == NOT_SERVING
    with pytest.raises(crucible.CrucibleError):
        sick.client.update_config({"spare_children": 1})
    assert sick.client.config()["spare_children"] == 2
    (small_disk / "balloon").unlink()
    sick.wait_for(HEALTHY, None)
    assert sick.client.run("pub fn main() { 1 }").value == 1
    assert sick.client.update_config({"spare_children": 1}).config.version == 1


def test_a_queue_that_is_full(patient: Callable[..., Patient]) -> None:
    sick = patient(CRUCIBLE_MAX_CONCURRENT_EXECUTIONS="1", CRUCIBLE_MAX_QUEUED_EXECUTIONS="1")
    options = [("grpc.enable_retries", 0)]
    with crucible.Client(sick.server.address, options=options) as client, client.stream(LOOP) as stream:
        next(iter(stream))
        waiting = threading.Thread(target=lambda: client.run("pub fn main() { 1 }"))
        waiting.start()
        health = sick.wait_for(DEGRADED, "queue_crowded")
        assert "more than half" in health.message
        with pytest.raises(crucible.ResourceExceeded):
            client.run("pub fn main() { 2 }")
        health = sick.wait_for(DEGRADED, "queue_full")
        assert health.details["refused_executions"].int_value == 1
        assert health.details["max_queued_executions"].int_value == 1
        # It works all the same.
        assert sick.check("") == SERVING
        stream.close()
        waiting.join(PATIENCE)
    sick.wait_for(HEALTHY, None)


def test_an_error_rate(patient: Callable[..., Patient]) -> None:
    sick = patient()
    script = sick.client.compile(LOOP)
    quick = sick.client.compile("pub fn main() { 1 }")
    for _ in range(9):
        sick.client.run(quick)
    for _ in range(3):
        # Those that go with one interpreter are one fault.
        streams = [sick.client.stream(script) for _ in range(3)]
        for stream in streams:
            next(iter(stream))
        os.kill(sick.server.zygote_pid(), signal.SIGKILL)
        for stream in streams:
            with pytest.raises(crucible.CrucibleError):
                list(stream)
        time.sleep(1.2)
    health = sick.wait_for(DEGRADED, "error_rate")
    assert round(health.details["fault_rate"].double_value) == 25
    assert any("25%" in reason.message for reason in health.reasons)
    for _ in range(60):
        sick.client.run(quick)
    wait_until(lambda: "error_rate" not in [each.code for each in sick.client.health().reasons], "it does not recover")


def test_faults_are_forgotten_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.monotonic()
    monkeypatch.setattr("crucible_server.engine.figures.time.monotonic", lambda: now)
    figures = Figures()
    result = execution_pb2.ExecutionResult()
    for _ in range(9):
        figures.ended(result, is_fault=True)
    assert figures.fault_rate == 0.0, "a few say nothing yet"
    figures.ended(result, is_fault=True)
    assert figures.fault_rate == 1.0
    now += 61
    assert figures.fault_rate == 0.0
    for number in range(20):
        figures.ended(result, is_fault=number < 2)
    assert figures.fault_rate == 0.0, "an interpreter may be killed"
    figures.ended(result, is_fault=True)
    assert round(figures.fault_rate, 3) == round(3 / 21, 3)
    lost_at = now
    for number in range(6):
        # However long each of them takes to be stored, and in whatever order: two interpreters.
        figures.ended(result, is_fault=True, lost_at=lost_at + number % 2 * 10)
        now += 2
    assert round(figures.fault_rate, 3) == round(5 / 23, 3)


def test_all_reasons_are_told_the_worst_first(patient: Callable[..., Patient], tmp_path: Path) -> None:
    # The server kills a stopped interpreter after some seconds: whoever asks is not to wait for the store meanwhile.
    sick = patient(CRUCIBLE_ENGINE__HEALTH_CHECK__TIMEOUT="500ms")
    zygote = sick.server.zygote_pid()
    other = sqlite3.connect(tmp_path / "data" / "crucible.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        sick.wait_for(UNHEALTHY, "store_failed")
        os.kill(zygote, signal.SIGSTOP)
        health = sick.wait_for(UNHEALTHY, "interpreter_stopped")
        assert [reason.code for reason in health.reasons] == ["interpreter_stopped", "store_failed"]
        assert health.message == health.reasons[0].message
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(zygote, signal.SIGCONT)
        other.execute("ROLLBACK")
        other.close()
    sick.wait_for(HEALTHY, None)


def test_starting_and_stopping_are_no_faults(patient: Callable[..., Patient]) -> None:
    well = patient()
    with pytest.raises(crucible.ValidationError):
        well.client.update_config({})
    assert well.client.stub.Stop(api.StopRequest(), timeout=PATIENCE).status == server_info_pb2.SERVICE_STATUS_STOPPED
    health = well.client.health()
    assert health.status == server_info_pb2.SERVICE_STATUS_STOPPED
    assert [reason.code for reason in health.reasons] == ["stopped"]
    well.wait_for_seen(overall=[SERVING, NOT_SERVING], config=[SERVING])
    assert well.client.stub.Start(api.StartRequest(), timeout=PATIENCE).status == HEALTHY
    well.wait_for_seen(overall=[SERVING, NOT_SERVING, SERVING], scripts=[SERVING, NOT_SERVING, SERVING])
