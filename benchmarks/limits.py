"""`make bench-limits`: how exactly each limit is kept, by scripts that run into it.

Usage: `python -m benchmarks.limits [--short] [--strict] [--out build/bench-limits.json]`. Each row is the worst of its
rounds. With `--strict` it exits with 1 when one is outside of its tolerance.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import crucible
from benchmarks.rows import machine
from crucible.results import Result
from tests.servers import RunningServer

MIB = 1024 * 1024
KILL_SECONDS = 0.05
"""How late the end may come: 10 ms of the processor to say what was used, the next look, and a busy machine."""
KILL_SHARE = 0.05
SHARE_POINTS = 2.0
"""Percent of a processor beyond the share: 2 ms that are never throttled, start and end, over a second or more."""

SPIN = "pub fn main() { let n = 0; loop { n += 1; } }"
SORTS = "pub fn main() { let v = []; v.resize(2000, 7); loop { v.sort(); } }"
NATIVE = "pub fn main() { (0..9000000000000).iter().count() }"
CLOSURES = "pub fn main() { loop { (0..100).iter().map(|n| n + 1).sum::<i64>(); } }"
AWAITING = "async fn f(n) { n }\npub async fn main() { loop { f(1).await; } }"
LOOPS = {"a loop": SPIN, "many native calls": SORTS, "closures": CLOSURES, "async functions": AWAITING}
USES = "use std::collections::{HashMap, HashSet, VecDeque};\n"
KEEP = {
    "String": "let s = String::new(); loop { s.push_str(`0123456789abcdef`); }",
    "Vec": "let v = []; loop { v.push(1); }",
    "Vec of Vec": "let v = []; loop { v.push([1]); }",
    "VecDeque": "let v = VecDeque::new(); loop { v.push_back(1); }",
    "Object": "let o = #{}; let n = 0; loop { n += 1; o.insert(`k${n}`, n); }",
    "HashMap": "let m = HashMap::new(); let n = 0; loop { n += 1; m.insert(n, n); }",
    "HashSet": "let s = HashSet::new(); let n = 0; loop { n += 1; s.insert(n); }",
    "Tuple": "let t = (); loop { t = (t, 1); }",
    "Bytes": 'let b = Bytes::new(); loop { b.extend(b"0123456789abcdef"); }',
    "format!": 'let v = []; let n = 0; loop { n += 1; v.push(format!("{:>50}", n)); }',
    "closures": "let v = []; let n = 0; loop { n += 1; v.push(|x| x + n); }",
    "the stack": "deep(0)",
}
RETURN_TEXT = "pub fn main(text) { text }"
DEPTHS = {
    "closures": (
        "fn f(n) { if n == 0 { 0 } else { [n].iter().map(|x| f(x - 1)).sum::<i64>() } }\npub fn main(n) { f(n) }",
        1,
    ),
    "async functions": (
        "async fn f(n) { if n == 0 { 0 } else { f(n - 1).await } }\npub async fn main(n) { f(n).await }",
        2,
    ),
    "generators": (
        "fn g(n) { if n > 0 { for x in g(n - 1) { yield x; } } yield n; }\npub fn main(n) { g(n).next(); 0 }",
        2,
    ),
}


@dataclass(frozen=True)
class Figure:
    """One limit, met by one kind of script. `measured` may exceed `asked` by `tolerance` at most."""

    limit: str
    script: str
    unit: str
    asked: float
    measured: float
    tolerance: float
    must_reach: bool = False
    """Falling short of it is outside, too."""

    @property
    def overshoot(self) -> float:
        """By how much the limit was passed; negative when it was not reached."""
        return self.measured - self.asked

    @property
    def is_within(self) -> bool:
        """Whether it is within its tolerance."""
        return self.overshoot <= self.tolerance and (not self.must_reach or self.overshoot >= 0)


class Bench:
    """A server, and scripts that run into limits of it."""

    def __init__(self, client: crucible.Client, baseline: int, *, short: bool) -> None:
        """`baseline` is the resident memory of the zygote in bytes: what every child shares."""
        self._client = client
        self._baseline = baseline
        self._rounds = 1 if short else 2
        self._short = short

    # `kind` may be several, with `|` in between.
    def _worst(
        self, source: str, kind: str, measure: Callable[[Result], float], limits: dict[str, Any], **options: Any
    ) -> float:
        return max(measure(self._failed(source, kind, limits, options)) for _ in range(self._rounds))

    def _failed(self, source: str, kind: str, limits: dict[str, Any], options: dict[str, Any]) -> Result:
        result = self._client.run(source, check=False, level="production", limits=limits, **options)  # type: ignore[arg-type]
        if result.error is None or result.error.kind not in kind.split("|"):
            raise RuntimeError(f"expected {kind} with {limits}, got {result.error or result.value} from: {source}")
        return result

    def figures(self) -> Iterator[Figure]:
        """All rows, one after the other."""
        yield from self.memory()
        yield from self.operations()
        yield from self.wall_time()
        yield from self.cpu_time()
        yield from self.cpu_share()
        yield from self.output()
        yield from self.returned()
        yield from self.counts()

    def memory(self) -> Iterator[Figure]:
        """What scripts keep, to the byte, and what the process has resident by then."""
        for limit in self._some(1 * MIB, 10 * MIB, 50 * MIB, 100 * MIB):
            for name, body in KEEP.items():
                source = f"{USES}fn deep(n) {{ 1 + deep(n) }}\npub fn main() {{ {body} }}"
                limits = {"max_memory_bytes": limit}
                results = [self._failed(source, "MEMORY_EXCEEDED", limits, {}) for _ in range(self._rounds)]
                counted = max(result.usage.memory_bytes for result in results)
                yield Figure("max_memory_bytes", name, "bytes", limit, counted, 0)
                resident = max(result.usage.max_resident_bytes for result in results)
                yield Figure("  resident", name, "bytes", limit, resident, 0.6 * limit + self._baseline)

    def operations(self) -> Iterator[Figure]:
        """Instructions: exactly as many as allowed."""
        for limit in self._some(1, 1_000, 123_457, 5_000_000):
            for name, source in LOOPS.items():
                if name == "many native calls" and limit > 1_000_000:
                    continue
                measured = self._worst(
                    source, "OPERATIONS_EXCEEDED", lambda result: result.usage.operations, {"max_operations": limit}
                )
                yield Figure("max_operations", name, "instructions", limit, measured, 0, must_reach=True)

    def wall_time(self) -> Iterator[Figure]:
        """From the start of the script until its process is gone."""
        shapes = {**LOOPS, "one native call": NATIVE}
        for limit in self._some(0.1, 0.5, 2.0):
            for name, source in shapes.items():
                if source == NATIVE and limit > 0.5:
                    continue  # What the share makes of the time is used up before it has passed.
                measured = self._worst(
                    source,
                    "TIMEOUT",
                    lambda result: result.execution_time,
                    {"max_execution_time": limit, "max_cpu_time": 30.0},
                )
                yield Figure("max_execution_time", name, "s", limit, measured, _late(limit), must_reach=True)

    def cpu_time(self) -> Iterator[Figure]:
        """Processor time of the process, its start and end included."""
        for limit in self._some(0.1, 0.5, 1.0):
            for name, source in (("a loop", SPIN), ("many native calls", SORTS), ("one native call", NATIVE)):
                measured = self._worst(
                    source,
                    "CPU_TIME_EXCEEDED",
                    lambda result: result.usage.cpu_time,
                    {"max_cpu_time": limit, "max_execution_time": 30.0},
                )
                yield Figure("max_cpu_time", name, "s", limit, measured, _late(limit), must_reach=True)

    def cpu_share(self) -> Iterator[Figure]:
        """The share of one processor over some seconds; one native call is bounded by the time that the share makes."""
        seconds = 1.5 if self._short else 2.0
        for share in self._some(10.0, 25.0, 50.0):
            limits = {"max_cpu_percentage": share, "max_execution_time": seconds}
            for name, source in LOOPS.items():
                measured = self._worst(source, "TIMEOUT", lambda result: result.usage.cpu_percentage, limits)
                yield Figure("max_cpu_percentage", name, "%", share, measured, SHARE_POINTS)
            asked = seconds * share / 100
            # On a busy machine the wall time may come first.
            kinds = "CPU_TIME_EXCEEDED|TIMEOUT"
            measured = self._worst(NATIVE, kinds, lambda result: result.usage.cpu_time, limits)
            # The server allows a tenth and a tenth of a second more: a throttled script meets the wall time first.
            tolerance = asked * 0.1 + 0.1 + KILL_SECONDS
            yield Figure("max_cpu_percentage of the time", "one native call", "s", asked, measured, tolerance)

    def output(self) -> Iterator[Figure]:
        """Bytes that arrived."""
        shapes = {
            "small prints": 'pub fn main() { loop { print!("x"); } }',
            "lines": 'pub fn main() { loop { println!("0123456789"); } }',
            "one large print": 'pub fn main() { let s = "x"; while s.len() < 9000000 { s = s + s; } println(s) }',
            "both streams": 'pub fn main() { loop { print!("a"); crucible::basic::eprint!("b"); } }',
        }
        for limit in self._some(1, 1_000, 100_000, 4 * MIB):
            for name, source in shapes.items():
                if name == "both streams" and limit > 10_000:
                    continue  # Each change of the stream is a frame, and frames are held to 4,000 in a second.
                measured = self._worst(
                    source,
                    "OUTPUT_EXCEEDED",
                    lambda result: result.message.stdout_bytes + result.message.stderr_bytes,
                    {"max_output_bytes": limit},
                )
                # "lines" cut at the limit: text is bytes here.
                yield Figure("max_output_bytes", name, "bytes", limit, measured, 0, must_reach=True)

    def returned(self) -> Iterator[Figure]:
        """The largest value that may leave."""
        for limit in self._some(10, 1_000, 100_000, MIB):
            limits = {"max_return_bytes": limit}

            def returned(size: int, limits: dict[str, Any] = limits) -> Result:
                text = {"text": "x" * size}
                return self._client.run(RETURN_TEXT, args=text, check=False, limits=limits)  # type: ignore[arg-type]

            largest = _largest(limit * 2, lambda size, of=returned: of(size).success)  # type: ignore[misc]
            measured = returned(largest).message.return_value.ByteSize()
            yield Figure("max_return_bytes", "a string", "bytes", limit, measured, 0)

    def counts(self) -> Iterator[Figure]:
        """Host calls and nested entries of the interpreter."""
        for limit in self._some(1, 100, 1_000):
            source = 'pub fn main() { loop { crucible::basic::log("x"); } }'
            measured = self._worst(
                source, "HOST_CALLS_EXCEEDED", lambda result: result.usage.host_calls, {"max_host_calls": limit}
            )
            yield Figure("max_host_calls", "a loop", "calls", limit, measured, 0, must_reach=True)
        for limit in self._some(8, 64, 128):
            for name, (source, first) in DEPTHS.items():
                limits = {"max_native_depth": limit}

                def works(depth: int, source: str = source, limits: dict[str, Any] = limits) -> bool:
                    return self._client.run(source, args={"n": depth}, check=False, limits=limits).success  # type: ignore[arg-type]

                measured = _largest(limit * 2, works) + first
                yield Figure("max_native_depth", name, "levels", limit, measured, 0, must_reach=True)

    def _some(self, *values: Any) -> Iterable[Any]:
        return values[1:2] if self._short else values


def _resident(pid: int) -> int:
    """Resident bytes of a process."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _late(limit: float) -> float:
    return max(KILL_SECONDS, limit * KILL_SHARE)


def _largest(bound: int, works: Callable[[int], bool]) -> int:
    """The largest number below `bound` for which it works; 0 at least."""
    low, high = 0, bound
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low


def report(figures: list[Figure], out: Path, conditions: Mapping[str, object]) -> bool:
    """Prints the table and writes the JSON; whether all are within their tolerances."""
    table = Table(title="How exactly limits are kept")
    for column in ("limit", "script", "unit", "asked for", "measured", "overshoot", "tolerance", ""):
        table.add_column(column, justify="left" if column in ("limit", "script", "unit", "") else "right")
    for figure in figures:
        share = f" ({100 * figure.overshoot / figure.asked:+.1f} %)" if figure.unit in ("s", "%") else ""
        table.add_row(
            figure.limit,
            figure.script,
            figure.unit,
            _number(figure.asked),
            _number(figure.measured),
            _number(figure.overshoot) + share,
            "none" if figure.tolerance == 0 else "+" + _number(figure.tolerance),
            "within" if figure.is_within else "OUTSIDE",
        )
    Console(width=160).print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(figure), "overshoot": figure.overshoot, "within": figure.is_within} for figure in figures]
    out.write_text(json.dumps({"conditions": dict(conditions), "rows": rows}, indent=2) + "\n")
    return all(figure.is_within for figure in figures)


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1 else f"{value:,.3f}"


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one value of each limit, once: a check that it works")
    parser.add_argument("--strict", action="store_true", help="fail when a limit is outside of its tolerance")
    parser.add_argument("--out", type=Path, default=Path("build/bench-limits.json"))
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningServer(Path(folder)) as server,
        crucible.Client(server.address) as client,
    ):
        figures = list(Bench(client, _resident(server.zygote_pid()), short=options.short).figures())
    is_kept = report(figures, options.out, machine())
    return 0 if is_kept or not options.strict else 1


if __name__ == "__main__":
    sys.exit(main())
