"""Who crashes interpreters too often has to wait; nobody else does, and nothing is lost."""

from __future__ import annotations

import pytest

import crucible
from crucible.requests import Limits
from crucible.v1 import script_service_pb2 as api
from crucible.v1.server_info_pb2 import ServiceStatus as Status
from crucible_server.engine.crashes import CrashLimit
from crucible_server.errors import ErrorKind, ServiceError
from tests.conftest import StartServer
from tests.engine.processes import LOOP, wait_until

CRASH = 'pub fn main() { let v = []; v.push(v); println!("{:?}", v); }'
FINE = "pub fn main() { 20 + 22 }"
ENDINGS: list[tuple[str, Limits]] = [
    ("pub fn main() { panic!(`no`) }", {}),
    ("pub fn main() { [1][7] }", {}),
    ("pub fn main() { loop {} }", {"max_execution_time": 0.2}),
    ("pub fn main() { let s = `x`; loop { s += s; } }", {}),
    ("pub fn main() { (0..3000000000).iter().count() }", {"max_cpu_time": 0.1}),
]


class Clock:
    """A clock that the test sets, in seconds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_crashes_come_back_with_time() -> None:
    clock = Clock()
    limit = CrashLimit(6, clock)
    for _ in range(6):
        limit.check("a", "p")
        limit.note("a", "p")
    with pytest.raises(ServiceError) as raised:
        limit.check("a", "p")
    assert raised.value.kind == ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED
    assert raised.value.retry_after == pytest.approx(10)
    assert "try again in 10.0 s" in raised.value.message
    clock.now += 9.9
    with pytest.raises(ServiceError):
        limit.check("a", "p")
    clock.now += 0.2
    limit.check("a", "p")
    limit.note("a", "p")
    with pytest.raises(ServiceError):
        limit.check("a", "p")
    assert limit.refused == 3
    clock.now += 3600
    for _ in range(6):
        limit.check("a", "p")
        limit.note("a", "p")


def test_each_principal_has_its_own() -> None:
    limit = CrashLimit(1, Clock())
    limit.note("a", "p")
    limit.check("a", "q")
    limit.check("b", "p")
    with pytest.raises(ServiceError):
        limit.check("a", "p")


def test_crashes_beyond_the_limit_are_not_held_against_the_future() -> None:
    clock = Clock()
    limit = CrashLimit(60, clock)
    for _ in range(1000):
        limit.note("a", "p")
    clock.now += 1.01
    limit.check("a", "p")


def test_principals_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crucible_server.engine.crashes._MAX_KNOWN", 10)
    clock = Clock()
    limit = CrashLimit(1, clock)
    for number in range(10):
        limit.note("a", f"{number}")
    clock.now += 61
    limit.note("a", "new")
    assert len(limit._buckets) == 1


def test_a_principal_that_crashes_too_often_waits(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_CRASHES_PER_MINUTE="3")
    with crucible.Client(server.address, options=[("grpc.enable_retries", 0)]) as client:
        script = client.compile(FINE)
        for _ in range(3):
            error = client.run(CRASH, check=False).error
            assert error is not None
            assert error.kind == "STACK_OVERFLOW"
        for source in (CRASH, FINE, script):
            with pytest.raises(crucible.ResourceExceeded, match="mend the script that does it") as raised:
                client.run(source)
            assert raised.value.retry_after is not None
            assert 0 < raised.value.retry_after <= 20.1
        with pytest.raises(crucible.ResourceExceeded, match="crashed their interpreters 3 times"):
            client.compile("pub fn main() { 1 }")
        # What is there can be read all the while, and byte code that is cached needs no interpreter.
        assert client.compile(FINE).cached
        assert client.health().status == Status.SERVICE_STATUS_HEALTHY
        assert client.stub.GetMetrics(api.GetMetricsRequest()).metrics.refused_executions == 4


def test_what_waits_in_the_queue_is_not_let_through(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_CRASHES_PER_MINUTE="2", CRUCIBLE_MAX_CONCURRENT_EXECUTIONS="1")
    with crucible.Client(server.address) as client:
        client.compile(CRASH)
        # All of them wait before the first may run: who comes after two crashes is not even let into the queue.
        holder = client.stream(LOOP, check=False)
        next(iter(holder))
        streams = [client.stream(CRASH, detached=True, check=False) for _ in range(6)]
        wait_until(lambda: client.health().details["queued_executions"].int_value == 6, "they do not wait")
        holder.close()
        kinds = []
        for stream in streams:
            assert not list(stream)
            assert stream.result is not None
            assert stream.result.error is not None
            kinds.append(stream.result.error.kind)
        # They were sent at once: any two of them came first.
        assert sorted(kinds) == ["CANCELLED"] * 4 + ["STACK_OVERFLOW"] * 2


def test_errors_of_scripts_are_no_crashes(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_CRASHES_PER_MINUTE="1")
    with crucible.Client(server.address) as client:
        for source, limits in ENDINGS:
            assert client.run(source, limits=limits, check=False).error is not None
        assert client.run(FINE).value == 42
