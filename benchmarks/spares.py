"""What spares are worth: how many jobs find one, and how long callers wait that come at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.rows import Row, row
from benchmarks.service import SMALL, ServiceBench, throughput

AT_ONCE = 8
# Long enough for spares to be made again.
PAUSE_SECONDS = 0.03


def _burst(call: Callable[[], object], callers: ThreadPoolExecutor) -> float:
    """Milliseconds until all of those that come at once have been served."""
    time.sleep(PAUSE_SECONDS)
    began = time.perf_counter()
    for done in [callers.submit(call) for _ in range(AT_ONCE)]:
        done.result()
    return (time.perf_counter() - began) * 1000


def _hit_percent(bench: ServiceBench, work: Callable[[], object]) -> float:
    hits, misses = bench.spares()
    work()
    more_hits, more_misses = bench.spares()
    jobs = more_hits - hits + more_misses - misses
    return 100 * (more_hits - hits) / max(jobs, 1)


def rows(folder: Path, rounds: int) -> list[Row]:
    """Rows about a server whose spares follow the load, and one that has none."""
    none = {"CRUCIBLE_SPARE_CHILDREN": "0"}
    with (
        ServiceBench(folder / "spares") as following,
        ServiceBench(folder / "none", none) as without,
        ThreadPoolExecutor(AT_ONCE) as callers,
    ):
        calls = following.cached(SMALL), without.cached(SMALL)
        for _ in range(10):
            _burst(calls[0], callers)
        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for call, kept in zip(calls, samples, strict=True):
                kept.append(_burst(call, callers))
        forked = row(f"{AT_ONCE} ExecuteScript at once, no spares", samples[1], "ms")
        spared = row(f"{AT_ONCE} ExecuteScript at once, spares follow", samples[0], "ms", against=forked)
        shares = (
            (f"jobs that found a spare, {AT_ONCE} at once", lambda: [_burst(calls[0], callers) for _ in range(20)]),
            ("jobs that found a spare, one caller", lambda: [calls[0]() for _ in range(200)]),
            ("jobs that found a spare, 16 callers", lambda: throughput(calls[0], 16, 0.5)),
        )
        found = [(name, _hit_percent(following, work)) for name, work in shares]
    return [forked, spared, *(Row(name, percent, percent, "%") for name, percent in found)]
