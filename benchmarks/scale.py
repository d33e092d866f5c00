"""What a long history costs: calls to a server with much in its store, as ratios to one with little.

Usage: `python -m benchmarks.scale [--short] [--strict] [--out build/bench-scale.json]`. Two servers run side by side
and are called by turns; the small store holds what fills the pages that are compared, and no more.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc

from benchmarks import store
from benchmarks.fill_store import fill
from benchmarks.rows import Row, machine, report, row
from benchmarks.service import SMALL, ServiceBench, paired
from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub

LITTLE = (100, 1_000)
MUCH = (10_000, 100_000)
LESS = (1_000, 10_000)
"""Scripts and executions; the last for `--short`."""
PAGE = 10
DEEP = 0.5
"""How far down the list the deep page lies."""
STARTS = 5
LISTS, CALLS, START = "<= 2", "<= 1.2", "<= 1"
_FAILED, _SUCCEEDED = execution_pb2.EXECUTION_STATE_FAILED, execution_pb2.EXECUTION_STATE_SUCCEEDED

Call = Callable[[], object]


class Side:
    """A server on a store, and the calls that are compared."""

    def __init__(self, data_dir: Path, scripts: list[str], executions: int) -> None:
        self.bench = ServiceBench(data_dir)
        self._channel = grpc.insecure_channel(self.bench.server.address, [("grpc.max_receive_message_length", -1)])
        self._stub = ScriptServiceStub(self._channel)
        self._scripts = scripts
        self._executions = executions

    def close(self) -> None:
        """Stops the server."""
        self._channel.close()
        self.bench.__exit__()

    def lists(self) -> dict[str, Call]:
        """Every list with every filter, its first page and one far down."""
        hot, cold = self._scripts[0], self._scripts[len(self._scripts) // 2]
        begin = self._oldest()
        return {
            "ListExecutions": self._executions_page(),
            "ListExecutions, deep page": self._executions_page(deep=self._executions),
            "ListExecutions, common state": self._executions_page(states=[_SUCCEEDED]),
            "ListExecutions, common state, deep page": self._executions_page(
                states=[_SUCCEEDED], deep=int(self._executions * 0.9)
            ),
            "ListExecutions, rare state": self._executions_page(states=[_FAILED]),
            "ListExecutions, two states": self._executions_page(states=[_SUCCEEDED, _FAILED]),
            "ListExecutions, busy script": self._executions_page(script_id=hot),
            "ListExecutions, busy script, deep page": self._executions_page(
                script_id=hot, deep=int(self._executions * 0.45)
            ),
            "ListExecutions, quiet script": self._executions_page(script_id=cold),
            "ListExecutions, common principal": self._executions_page(principal="local"),
            "ListExecutions, rare principal": self._executions_page(principal="anna"),
            "ListExecutions, busy script and rare state": self._executions_page(script_id=hot, states=[_FAILED]),
            "ListExecutions, principal and state": self._executions_page(principal="local", states=[_FAILED]),
            "ListExecutions, the oldest": self._executions_page(created_before=begin),
            "ListScripts": self._scripts_page(),
            "ListScripts, deep page": self._scripts_page(deep=len(self._scripts)),
            "ListScripts, common prefix": self._scripts_page(name_prefix="tools/"),
            "ListScripts, rare prefix": self._scripts_page(name_prefix="tools/0000"),
            "ListScripts, common principal": self._scripts_page(principal="local"),
        }

    def reads(self) -> dict[str, Call]:
        """What reads one thing."""
        hot = self._scripts[0]
        some = self._stub.ListExecutions(api.ListExecutionsRequest(page_size=1)).executions[0].execution_id
        by_id, by_name = api.GetScriptRequest(script_id=hot), api.GetScriptRequest(script_name="tools/00000")
        record, health = api.GetExecutionRequest(execution_id=some), api.HealthCheckRequest()
        figures = api.GetMetricsRequest(script_ids=[hot])
        return {
            "GetScript": lambda: self._stub.GetScript(by_id),
            "GetScript by name": lambda: self._stub.GetScript(by_name),
            "GetExecution": lambda: self._stub.GetExecution(record),
            "GetMetrics of a script": lambda: self._stub.GetMetrics(figures),
            "HealthCheck": lambda: self._stub.HealthCheck(health),
        }

    def _oldest(self) -> Any:
        """A moment before which few executions were begun."""
        request = api.ListExecutionsRequest(page_size=1000)
        times = [each.create_time for each in self._walk("ListExecutions", request, "executions", self._executions)]
        return times[-2 * PAGE]

    def _executions_page(self, deep: int = 0, **filters: Any) -> Call:
        return self._page("ListExecutions", api.ListExecutionsRequest(**filters), "executions", deep)

    def _scripts_page(self, deep: int = 0, **filters: Any) -> Call:
        return self._page("ListScripts", api.ListScriptsRequest(**filters), "scripts", deep)

    def _page(self, method: str, request: Any, field: str, deep: int) -> Call:
        """Asks for a page; `deep` is how many rows the list has, of which it then skips a share."""
        if deep:
            self._walk(method, request, field, int(deep * DEEP))
        request.page_size = PAGE
        call = getattr(self._stub, method)
        rows = len(getattr(call(request), field))
        if not rows:
            raise RuntimeError(f"nothing to compare: {method} of {request} is empty")
        return lambda: call(request)

    def _walk(self, method: str, request: Any, field: str, rows: int) -> list[Any]:
        """Reads so many rows of a list; leaves the request asking for what comes after."""
        walked: list[Any] = []
        while len(walked) < rows:
            request.page_size = min(1000, rows - len(walked))
            answer = getattr(self._stub, method)(request)
            walked += getattr(answer, field)
            if not answer.next_page_token:
                break
            request.page_token = answer.next_page_token
        return walked


def _compared(calls: tuple[dict[str, Call], dict[str, Call]], rounds: int, must: str) -> list[Row]:
    rows: list[Row] = []
    for name in calls[0]:
        little, much = paired(calls[0][name], calls[1][name], rounds)
        base = row(f"{name}, little stored", little, "ms")
        rows += [base, row(f"{name}, much stored", much, "ms", against=base, must=must)]
    return rows


def _starts(folders: list[Path], starts: int) -> list[Row]:
    seconds: list[list[float]] = [[], []]
    for _ in range(starts):
        for folder, kept in zip(folders, seconds, strict=True):
            with ServiceBench(folder) as bench:
                kept.append(bench.ready_seconds)
    return [
        row("ready after start, little stored", seconds[0], "s", must=START),
        row("ready after start, much stored", seconds[1], "s", must=START),
    ]


def measure(much: tuple[int, int], rounds: int, starts: int) -> list[Row]:
    """Fills two stores, starts a server on each, calls both by turns."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        folders, sides = [Path(folder) / "little", Path(folder) / "much"], []
        filled: list[list[str]] = []
        for data_dir, size in zip(folders, (LITTLE, much), strict=True):
            data_dir.mkdir(mode=0o700)
            began = time.monotonic()
            filled.append(fill(data_dir / "crucible.db", *size))
            print(f"filled {size[0]:,} scripts, {size[1]:,} executions in {time.monotonic() - began:.1f} s", flush=True)
        rows = _starts(folders, starts)
        for data_dir, scripts, size in zip(folders, filled, (LITTLE, much), strict=True):
            side = Side(data_dir, scripts, size[1])
            stack.callback(side.close)
            sides.append(side)
        little, full = sides
        # Before anything is executed: the lists are to be those that were filled.
        rows += _compared((little.lists(), full.lists()), rounds, LISTS)
        rows += _compared((little.reads(), full.reads()), rounds, CALLS)
        executions: list[dict[str, Call]] = [
            {
                "ExecuteScript, cached, small": side.bench.cached(SMALL),
                "ExecuteScript, uncached, small": side.bench.uncached(_salted),
            }
            for side in sides
        ]
        rows += _compared((executions[0], executions[1]), rounds * 2, CALLS)
    return rows


def _salted(salt: int) -> str:
    return f"pub fn main(n) {{ {salt}; n + 1 }}"


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a tenth of the store and of the rounds")
    parser.add_argument("--strict", action="store_true", help="fail when a must is missed")
    parser.add_argument("--out", type=Path, default=Path("build/bench-scale.json"))
    options = parser.parse_args()
    much, rounds, starts = (LESS, 100, 2) if options.short else (MUCH, 500, STARTS)
    rows = measure(much, rounds, starts)
    if not options.short:
        with tempfile.TemporaryDirectory() as folder:
            rows += store.measure(Path(folder), rounds)
    conditions = {"scripts": much[0], "executions": much[1], "rounds": rounds, **machine()}
    is_met = report(rows, options.out, conditions)
    return 0 if is_met or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
