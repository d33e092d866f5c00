"""`make bench`: what Crucible costs, as ratios within one run.

Usage: `python -m benchmarks [--short] [--strict] [--out build/bench.json]`. With `--strict` it exits with 1 when a must
is missed; on a machine that does other things besides, that says little.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks import engine, events, spares, stores, telemetry
from benchmarks.rows import Row, machine, report, row
from benchmarks.service import SMALL, ServiceBench, paired, thousand_functions, throughput, timed
from crucible_server.config import load_config

HERE = Path(__file__).resolve().parent


def _engine_rows(vm_path: Path, rounds: int, build: Path) -> list[Row]:
    bare = row("bare C fork + wait", engine.bare_fork(HERE / "fork_wait.c", build, rounds), "ms")
    cold, warm, memory = asyncio.run(engine.measure(vm_path, rounds))
    return [
        bare,
        row("engine, fork to result, cold", cold, "ms", against=bare, must="<= 6", goal="<= 4"),
        row("engine, fork to result, spare", warm, "ms", against=bare, must="<= 3", goal="<= 2"),
        row("private memory of a running small child", memory, "MiB", must="<= 2", goal="<= 1.5"),
    ]


def _service_rows(rounds: int, seconds: float) -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, ServiceBench(Path(folder)) as bench:
        rows.append(row("ready after start", [bench.ready_seconds], "s", must="<= 1", goal="<= 0.5"))
        checks_ms, executions_ms = paired(bench.check, bench.cached(SMALL), rounds)
        check = row("Health.Check", checks_ms, "ms")
        small = row("ExecuteScript, cached, small", executions_ms, "ms", against=check, must="<= 3", goal="<= 2")
        uncached = timed(bench.uncached(lambda salt: f"pub fn main(n) {{ {salt}; n + 1 }}"), rounds // 2)
        large = row(
            "ExecuteScript, cached, 1,000 functions",
            timed(bench.cached(thousand_functions(0)), rounds // 4),
            "ms",
            against=check,
        )
        rows += [check, small, row("ExecuteScript, uncached, small", uncached, "ms", against=small), large]
        rows.append(
            row(
                "ExecuteScript, uncached, 1,000 functions",
                timed(bench.uncached(thousand_functions), max(rounds // 20, 5), warm_up=2),
                "ms",
                against=large,
                must=">= 10",
            )
        )
        # By turns, as above: either alone would depend on the machine's mood.
        cached = bench.cached(SMALL)
        turns = [(throughput(bench.check, 16, 0.5), throughput(cached, 16, 0.5)) for _ in range(int(2 * seconds))]
        checks, executions = (sum(rates) / len(turns) for rates in zip(*turns, strict=True))
        rows.append(Row("Health.Check, 16 callers", checks, checks, "1/s"))
        rows.append(
            Row(
                "ExecuteScript, cached, small, 16 callers",
                executions,
                executions,
                "1/s",
                executions / checks,
                "Health.Check, 16 callers",
                ">= 0.3",
                ">= 0.5",
            )
        )
    return rows


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the rounds: a check that it works")
    parser.add_argument("--strict", action="store_true", help="fail when a must is missed")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    rounds, seconds = (200, 1.0) if options.short else (2000, 5.0)
    config = load_config(None, {})
    rows = _engine_rows(config.vm_path, rounds, options.out.parent) + _service_rows(rounds, seconds)
    with tempfile.TemporaryDirectory() as folder:
        rows += spares.rows(Path(folder), max(rounds // 20, 20))
        rows += stores.rows(Path(folder), rounds)
    with tempfile.TemporaryDirectory() as folder:
        rows += events.rows(Path(folder), rounds, seconds, store="SQLite")
    with tempfile.TemporaryDirectory() as folder, stores.postgresql() as server:
        if server is not None:
            settings = {"CRUCIBLE_STORE_URL": server.url(server.create())}
            rows += events.rows(Path(folder), rounds, seconds, settings, "PostgreSQL")
    with tempfile.TemporaryDirectory() as folder:
        rows += telemetry.rows(Path(folder), rounds)
    is_met = report(rows, options.out, {"rounds": rounds, **machine()})
    return 0 if is_met or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
