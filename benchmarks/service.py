"""Calls over gRPC to a real server in a process of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crucible.v1 import execution_pb2, script_pb2, script_service_pb2, script_service_pb2_grpc
from tests.servers import RunningServer

SMALL = "pub fn main(n) { n + 1 }"


def thousand_functions(salt: int) -> str:
    """A script of 1,000 functions, another one for each salt."""
    body = "\n".join(
        f"fn f{i}(n) {{ let a = n * {i} + {salt}; if a > 10 {{ a - 1 }} else {{ a + 1 }} }}" for i in range(1000)
    )
    return f"{body}\npub fn main(n) {{ f7(n); n + 1 }}"


def timed(call: Callable[[], object], rounds: int, warm_up: int = 20) -> list[float]:
    """Milliseconds of each call."""
    samples: list[float] = []
    for index in range(rounds + warm_up):
        began = time.perf_counter()
        call()
        if index >= warm_up:
            samples.append((time.perf_counter() - began) * 1000)
    return samples


def paired(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each call of two, in blocks by turns: both see the same moods of the machine."""
    block = 50
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(max(rounds // block, 1)):
        for call, kept in zip((first, second), samples, strict=True):
            kept += timed(call, block, warm_up=5)
    return samples


def throughput(call: Callable[[], object], threads: int, seconds: float) -> float:
    """Calls a second from so many threads."""
    stop = time.perf_counter() + seconds
    counts = [0] * threads

    def work(index: int) -> None:
        while time.perf_counter() < stop:
            call()
            counts[index] += 1

    workers = [threading.Thread(target=work, args=(index,)) for index in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began)


class ServiceBench:
    """A server and a channel to it."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        began = time.perf_counter()
        self.server = RunningServer(data_dir, settings or {}).start()
        self.ready_seconds = time.perf_counter() - began
        self._channel = grpc.insecure_channel(self.server.address)
        self._scripts = script_service_pb2_grpc.ScriptServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._salt = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()
        self.server.terminate()

    def check(self) -> None:
        """Health.Check."""
        self._health.Check(health_pb2.HealthCheckRequest())

    def spares(self) -> tuple[int, int]:
        """Jobs so far that found a spare, and that did not."""
        metrics = self._scripts.GetMetrics(script_service_pb2.GetMetricsRequest()).metrics
        return metrics.spare_hits, metrics.spare_misses

    def compile(self, source: str) -> str:
        """The id of a script."""
        request = script_service_pb2.CompileScriptRequest(source=script_pb2.ScriptSource(source=source))
        response = self._scripts.CompileScript(request)
        if not response.success:
            raise RuntimeError(response.rendered_diagnostics)
        return str(response.script.script_id)

    def execute(self, **script: object) -> None:
        """ExecuteScript to its result."""
        context = execution_pb2.ExecutionContext(**script)  # type: ignore[arg-type]
        context.arguments["n"].int_value = 41
        response = self._scripts.ExecuteScript(script_service_pb2.ExecuteScriptRequest(context=context))
        if response.result.return_value.int_value != 42:
            raise RuntimeError(str(response.result.error))

    def cached(self, source: str) -> Callable[[], None]:
        """A call whose byte code is there."""
        script_id = self.compile(source)
        return lambda: self.execute(script_id=script_id)

    def uncached(self, source: Callable[[int], str]) -> Callable[[], None]:
        """A call that compiles a new script each time."""

        def call() -> None:
            self._salt += 1
            self.execute(source=script_pb2.ScriptSource(source=source(self._salt)))

        return call
