"""Spares have run a text of our own before their job; a job cannot tell, and its limits are kept all the same."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crucible.v1 import error_pb2, script_pb2, value_pb2
from crucible.vm.v1 import child_pb2, zygote_pb2
from tests.vm.zygote_harness import Child, Zygote, running_zygote

pytestmark = pytest.mark.timeout(120)

Limits = zygote_pb2.ChildLimits
Kind = error_pb2.ExecutionErrorKind
MIB = 1024 * 1024
WIDEST = Limits(heap_bytes=512 * MIB)
SETTLED = 0.05

SCRIPTS = {
    "a value": "pub fn main(n) { (n, [n + 1, 2.5], #{ b: 'x', a: () }) }",
    "output": "pub fn main(n) { for i in 0..50 { println!('{} {:?}', i, n); } crucible::basic::eprintln!('{}', n) }",
    "the order of a map": """
        use std::collections::HashMap;
        pub fn main(n) { let m = HashMap::new(); for i in 0..300 { m.insert(`k${i}`, n); } m.iter().collect::<Vec>() }
    """,
    "the order of a set": """
        use std::collections::HashSet;
        pub fn main(n) { let s = HashSet::new(); for i in 0..300 { s.insert((i, n)); } format!("{:?}", s) }
    """,
    "hashes": "pub fn main(n) { [std::ops::hash(n), std::ops::hash(`text`), std::ops::hash((1, n))] }",
    "closures and futures": """
        async fn f(n) { n * 2 }
        pub async fn main(n) {
            let all = [];
            for i in 0..20 { all.push(f(i + n).await); }
            all.iter().map(|n| n + 1).collect::<Vec>()
        }
    """,
    "a generator": "pub fn main(n) { for i in 0..n { yield #{ i }; } }",
    "an error": "fn f(n) { [1][n] }\npub fn main(n) { f(n) }",
    "a panic": "pub fn main(n) { println!('before'); panic!('boom {}', n) }",
    "memory": "pub fn main(n) { let v = []; loop { v.push(n); } }",
    "instructions": "pub fn main(n) { loop { n += 1; } }",
    "depth": "fn f(n) { [n].iter().map(|n| f(n)).sum::<i64>() }\npub fn main(n) { f(n) }",
}
SPIN = "pub fn main(n) { let i = 0; loop { i += 1; } }"
GROW = "pub fn main(n) { let v = []; v.resize(n, 7); v.len() }"


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with running_zygote() as zygote:
        yield zygote


def start_frame(seed: int = 7) -> child_pb2.Start:
    """A Start without its job. Small limits, so that scripts can meet them."""
    limits = child_pb2.JobLimits(
        memory_bytes=MIB, max_operations=200_000, output_bytes=MIB, return_bytes=MIB, native_depth=20
    )
    return child_pb2.Start(
        protocol_version=1,
        seed=bytes([seed]) * 32,
        start_time_ns=1_700_000_000_000_000_000,
        limits=limits,
        modules=["crucible::basic"],
        output_credit_bytes=MIB,
    )


def compiled(zygote: Zygote, source: str) -> bytes:
    start = start_frame()
    start.limits.memory_bytes = 0
    start.compile.source.CopyFrom(script_pb2.ScriptSource(source=source))
    child = zygote.spawn()
    child.start(start)
    (frame,) = child.frames()
    zygote.wait(child.child_id)
    assert frame.compile_result.unit, frame.compile_result.rendered
    return frame.compile_result.unit


def bounded(start: child_pb2.Start, limits: Limits) -> child_pb2.Start:
    """The same Start for a child of these limits: it waits until they hold."""
    copied = child_pb2.Start()
    copied.CopyFrom(start)
    copied.heap_bytes = limits.heap_bytes
    return copied


def execution(unit: bytes, argument: int, seed: int = 7) -> child_pb2.Start:
    start = start_frame(seed)
    start.execute.unit, start.execute.function = unit, "main"
    start.execute.arguments.append(value_pb2.Value(int_value=argument))
    return start


def frames(zygote: Zygote, child: Child, start: child_pb2.Start) -> list[bytes]:
    """What the child said, each frame as bytes."""
    child.start(start)
    said = [frame.SerializeToString(deterministic=True) for frame in child.frames()]
    assert zygote.wait(child.child_id).exit_code == 0
    return said


def spare(zygote: Zygote, limits: Limits, *, settled: bool = True) -> Child:
    child = zygote.spawn(WIDEST, is_spare=True)
    if settled:
        time.sleep(SETTLED)
    zygote.assign(child, limits)
    return child


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_spare_says_what_a_fresh_child_says(zygote: Zygote, name: str) -> None:
    start = execution(compiled(zygote, SCRIPTS[name].replace("'", '"')), 3)
    limits = Limits(wall_time_ms=30_000, cpu_time_ms=30_000, heap_bytes=128 * MIB)
    cold = joined(frames(zygote, zygote.spawn(limits), start))
    assert cold == joined(frames(zygote, zygote.spawn(limits), start))
    assert cold == joined(frames(zygote, spare(zygote, limits), start))
    # One that is still at its warm-up when the job comes.
    assert cold == joined(frames(zygote, spare(zygote, limits, settled=False), start))


def joined(said: list[bytes]) -> tuple[str, str, bytes]:
    """Standard output, standard error and the result: how output is cut into frames follows the clock."""
    texts = [b"", b""]
    for data in said[:-1]:
        output = child_pb2.ChildFrame.FromString(data).output
        texts[output.is_stderr] += output.data
    result = child_pb2.ChildFrame.FromString(said[-1]).execute_result
    assert result.operations_count > 0
    assert result.memory_bytes > 0
    return texts[0].decode(), texts[1].decode(), result.SerializeToString(deterministic=True)


@pytest.mark.parametrize("name", ["the order of a map", "the order of a set", "hashes"])
def test_the_seed_decides_the_order_on_a_spare_too(zygote: Zygote, name: str) -> None:
    unit = compiled(zygote, SCRIPTS[name])
    limits = Limits(heap_bytes=128 * MIB)
    cold = {seed: joined(frames(zygote, zygote.spawn(limits), execution(unit, 3, seed))) for seed in (1, 2)}
    warm = {seed: joined(frames(zygote, spare(zygote, limits), execution(unit, 3, seed))) for seed in (1, 2)}
    assert cold == warm
    assert cold[1] != cold[2]


def test_a_spare_that_was_given_less_time_ends_by_it(zygote: Zygote) -> None:
    start = execution(compiled(zygote, SPIN), 0)
    start.limits.max_operations = 0
    for limits, kind, name in (
        (Limits(wall_time_ms=1000), Kind.EXECUTION_ERROR_KIND_TIMEOUT, "max_execution_time"),
        (Limits(cpu_time_ms=200), Kind.EXECUTION_ERROR_KIND_CPU_TIME_EXCEEDED, "max_cpu_time"),
    ):
        frame, exited = overdue(zygote, limits, start)
        error = frame.execute_result.error
        limit = limits.wall_time_ms or limits.cpu_time_ms
        assert (error.kind, error.limit_name, error.limit_value, error.line) == (kind, name, limit, 1)
        assert frame.execute_result.operations_count > 1000
        assert (exited.signal, exited.exit_code) == (0, 0)
        assert exited.cpu_time_us >= 200_000 or name == "max_execution_time"


def overdue(zygote: Zygote, limits: Limits, start: child_pb2.Start) -> tuple[child_pb2.ChildFrame, zygote_pb2.Exited]:
    """What a spare says whose time has passed, and how it ended.

    One that gets no processor in the tenth of a second that it has to say it is killed, which is right too, but says
    nothing: then it is another's turn.
    """
    for _ in range(10):
        child = spare(zygote, limits)
        child.start(start)
        said = list(child.frames())
        exited = zygote.wait(child.child_id)
        if said:
            break
        assert exited.signal == signal.SIGKILL
        assert exited.wall_time_exceeded == bool(limits.wall_time_ms)
        assert exited.cpu_time_exceeded == bool(limits.cpu_time_ms)
    (frame,) = said
    return frame, exited


def test_a_spare_that_was_given_less_memory_has_no_more(zygote: Zygote) -> None:
    start = execution(compiled(zygote, GROW), 6_000_000)
    start.limits.memory_bytes = 0
    limits = Limits(heap_bytes=256 * MIB)
    wide = spare(zygote, limits)
    wide.start(bounded(start, limits))
    (frame,) = wide.frames()
    assert frame.execute_result.value.uint_value == 6_000_000
    assert zygote.wait(wide.child_id).max_resident_bytes >= 96_000_000
    limits = Limits(heap_bytes=32 * MIB)
    narrow = spare(zygote, limits)
    narrow.start(bounded(start, limits))
    assert_out_of_memory(zygote, narrow)


@pytest.mark.parametrize("heap_bytes", [32 * MIB, WIDEST.heap_bytes - 1])
def test_a_job_that_overtakes_its_bounds_waits_for_them(zygote: Zygote, heap_bytes: int) -> None:
    start = execution(compiled(zygote, SPIN), 0)
    start.limits.max_operations = 0
    limits = Limits(heap_bytes=heap_bytes, cpu_time_ms=100)
    child = zygote.spawn(WIDEST, is_spare=True)
    zygote.process.send_signal(signal.SIGSTOP)
    try:
        zygote.assign(child, limits)
        child.start(bounded(start, limits))
        time.sleep(0.5)
        used = cpu_ticks(child.pid)
        time.sleep(0.5)
        assert cpu_ticks(child.pid) - used < 10, "it does not wait"
    finally:
        zygote.process.send_signal(signal.SIGCONT)
    told = [frame.execute_result.error.limit_name for frame in child.frames()]
    # Killed without a word where it got no processor for its last moment.
    assert told == ["max_cpu_time"] or zygote.wait(child.child_id).cpu_time_exceeded


def cpu_ticks(pid: int) -> int:
    """Processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def assert_out_of_memory(zygote: Zygote, child: Child) -> None:
    """Its job ends for want of 96 MB."""
    said = list(child.frames())
    exited = zygote.wait(child.child_id)
    kinds = [frame.execute_result.error.kind for frame in said]
    assert kinds == [Kind.EXECUTION_ERROR_KIND_MEMORY_EXCEEDED] or exited.exit_code == 102
    assert exited.max_resident_bytes < 64 * MIB


def test_the_job_is_not_charged_for_the_warm_up(zygote: Zygote) -> None:
    start = execution(compiled(zygote, "pub fn main(n) { let i = 0; while i < n { i += 1; } i }"), 5_000)
    limits = Limits(heap_bytes=128 * MIB)

    def used(child: Child) -> int:
        # What it used before is what it had used when the zygote was told of its job.
        zygote.catch_up()
        child.start(start)
        list(child.frames())
        return int(zygote.wait(child.child_id).cpu_time_us)

    waiting = sorted(used(spare(zygote, limits)) for _ in range(20))
    # Some 30,000 instructions.
    assert waiting[0] > 50
    assert waiting[10] < 20_000


def test_a_child_in_a_native_call_is_killed_a_moment_later(zygote: Zygote) -> None:
    start = execution(compiled(zygote, "pub fn main(n) { (0..9000000000000).iter().count() }"), 0)
    child = spare(zygote, Limits(wall_time_ms=200))
    child.start(start)
    assert list(child.frames()) == []
    exited = zygote.wait(child.child_id)
    assert (exited.signal, exited.wall_time_exceeded) == (signal.SIGKILL, True)
