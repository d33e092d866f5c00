"""What the layers of isolation that are optional cost: the same work by turns with all, without each and without any.

Usage: `python -m benchmarks.isolation [--short] [--out build/bench-isolation.json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks.engine import EngineBench
from benchmarks.rows import Row, machine, report, row
from crucible_server.cli.logs import configure_logs
from crucible_server.config import IsolationConfig, load_config
from crucible_server.engine.isolation import isolation_of_tree

CALLERS = 8
_OFF = {"namespaces": False, "landlock": False, "cgroup": False}
_MEMORY = 8 << 30
CONFIGURATIONS = {
    "none": IsolationConfig(**_OFF),
    "namespaces": IsolationConfig(**{**_OFF, "namespaces": True}),
    "Landlock": IsolationConfig(**{**_OFF, "landlock": True}),
    "a control group": IsolationConfig(**{**_OFF, "cgroup": True}),
    "all": IsolationConfig(),
}


async def _throughput(bench: EngineBench, executions: int) -> float:
    """Executions a second of several callers."""

    async def call() -> None:
        for _ in range(executions // CALLERS):
            await bench.execute()

    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CALLERS)))
    return executions // CALLERS * CALLERS / (time.perf_counter() - began)


def zygote_seconds(bench: EngineBench) -> float:
    """Processor time of the zygote and of the children that it has reaped."""
    fields = Path(f"/proc/{bench.interpreter.zygote_pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


async def measure(vm_path: Path, turns: int) -> list[Row]:
    """Rows of each configuration against the one without."""
    times: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    rates: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    starts: dict[str, list[float]] = {name: [] for name in CONFIGURATIONS}
    async with AsyncExitStack() as stack:
        benches = {}
        for name, config in CONFIGURATIONS.items():
            isolation = isolation_of_tree(config, (), jobs=16, spares=0, memory=_MEMORY)
            benches[name] = await stack.enter_async_context(EngineBench(vm_path, 0, isolation))
            for layer in benches[name].interpreter.ready.layers:
                if layer.name == "cgroup" and config.cgroup and not layer.active:
                    print(f"without a control group: {layer.detail}", file=sys.stderr)
            for _ in range(20):
                await benches[name].execute()
        used = {name: -zygote_seconds(bench) for name, bench in benches.items()}
        # By turns, as the machine has moods; and each first in its turn.
        names = list(CONFIGURATIONS)
        for turn in range(turns):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                began = time.process_time()
                times[name] += [await benches[name].execute() for _ in range(10)]
                rates[name].append(await _throughput(benches[name], 10 * CALLERS))
                used[name] += time.process_time() - began
        executions = turns * (10 + 10 * CALLERS)
        costs = {name: [1000 * (used[name] + zygote_seconds(bench)) / executions] for name, bench in benches.items()}
    for _ in range(max(turns // 4, 3)):
        for name, config in CONFIGURATIONS.items():
            isolation = isolation_of_tree(config, (), jobs=16, spares=0, memory=_MEMORY)
            began = time.perf_counter()
            async with EngineBench(vm_path, 0, isolation):
                starts[name].append((time.perf_counter() - began) * 1000)
    rows = []
    for samples, what, unit in (
        (times, "fork to result", "ms"),
        (rates, f"executions, {CALLERS} callers", "/s"),
        (costs, "processor time of one", "ms"),
        (starts, "zygote ready, and a script compiled", "ms"),
    ):
        base = row(f"{what}, with none", samples["none"], unit)
        rows.append(base)
        rows += [
            row(f"{what}, with {name}", samples[name], unit, against=base) for name in CONFIGURATIONS if name != "none"
        ]
    return rows


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the turns: a check that it works")
    parser.add_argument("--out", type=Path, default=Path("build/bench-isolation.json"))
    options = parser.parse_args()
    turns = 10 if options.short else 60
    # What is turned off is meant to be.
    configure_logs("console", "error")
    rows = asyncio.run(measure(load_config(None, {}).vm_path, turns))
    report(rows, options.out, {"turns": turns, **machine()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
