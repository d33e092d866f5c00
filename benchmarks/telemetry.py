"""What a page of metrics, traces and a profile cost."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import crucible
from benchmarks.rows import Row, row
from benchmarks.service import SMALL, ServiceBench
from tests.telemetry.collector import Collector
from tests.telemetry.settings import telemetry

# A short script and a busy one: what a profile costs shows in the second.
BUSY = "pub fn main(n) { let t = 0; for i in 0..200000 { t += i; } n + 1 }"
_CALLS = 20


def rows(folder: Path, rounds: int) -> list[Row]:
    """Processor time of the server for one call, its exporting threads included: servers by turns, so that all see the
    same moods of the machine.
    """
    with Collector() as collector, ExitStack() as stack:
        variants = {
            "plain": {},
            "with a page of metrics": telemetry(metrics_listen="127.0.0.1:0"),
            "with page, metrics and traces": telemetry(metrics_listen="127.0.0.1:0", otlp_endpoint=collector.endpoint),
        }
        benches = {
            name: stack.enter_context(ServiceBench(folder / str(index), settings))
            for index, (name, settings) in enumerate(variants.items())
        }
        calls = {name: bench.cached(SMALL) for name, bench in benches.items()}
        samples: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(max(rounds // _CALLS, 5)):
            for name, bench in benches.items():
                samples[name].append(_processor_ms(bench.server.pid, calls[name]))
        plain = row("ExecuteScript, cached, small: server's processor time", samples["plain"], "ms")
        others = [row(f"the same, {name}", samples[name], "ms", against=plain) for name in variants if name != "plain"]
        return [plain, *others, *_profile_rows(benches["plain"].server.address, max(rounds // 50, 5))]


def _processor_ms(pid: int, call: Callable[[], object]) -> float:
    call()
    before = _processor_ns(pid)
    for _ in range(_CALLS):
        call()
    return (_processor_ns(pid) - before) / _CALLS / 1e6


def _processor_ns(pid: int) -> int:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def _profile_rows(address: str, rounds: int) -> list[Row]:
    with crucible.Client(address) as client:
        script = client.compile(BUSY)
        samples: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(rounds):
            for profile, kept in samples.items():
                usage = client.run(script, args={"n": 1}, profile=profile).usage
                kept.append(usage.cpu_time * 1000)
    plain = row("a script of a million instructions: its processor time", samples[False], "ms")
    return [plain, row("the same, profiled", samples[True], "ms", against=plain)]
