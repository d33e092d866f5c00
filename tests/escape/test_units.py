"""Compilers that are hostile: answers nobody asked for, and byte code that no compiler made."""

from __future__ import annotations

import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import crucible
from crucible.requests import Limits
from tests.escape.attempts import LONG, SHORT
from tests.escape.canaries import Canaries, Neighbour
from tests.escape.table import Rows, row
from tests.escape.test_escape import DEADLINE

MUTATIONS = int(os.environ.get("CRUCIBLE_ESCAPE_MUTATIONS", "200"))

# Something of each kind of instruction.
PROGRAM = """
struct Point { x, y }
enum Shape { Dot, Line(a, b) }
impl Point { fn sum(self) { self.x + self.y } }
fn apply(f, n) { if n == 0 { f(n) } else { apply(f, n - 1) + f(n) } }
async fn later(n) { n * 2 }
pub async fn main() {
    let point = Point { x: 3, y: 4 };
    let list = [1, 2.5, "three", 'c', b"five", (6, 7), #{ "eight": 9 }];
    let total = 0;
    for i in 0..20 { total += match i { 0 => 1, 5 => 10, n if n % 2 == 0 => n, _ => 2 }; }
    let shape = Shape::Line(1, 2);
    if let Shape::Line(a, b) = shape { total += a - b; }
    let text = `${total} ${list.len()}`;
    let sorted = list.iter().filter(|v| v is i64).map(|v| v + 1).collect::<Vec>();
    total += apply(|n| n + point.sum(), 10) + later(4).await;
    while total > 1000 { total /= 2; if total == 3 { break; } }
    let maybe = Some(total)?;
    [total, text, sorted, maybe, !true, -total, total << 2]
}
"""
FAILURES = {
    "CRASHED", "STACK_OVERFLOW", "MEMORY_EXCEEDED", "RUNTIME", "PANIC", "TIMEOUT", "CPU_TIME_EXCEEDED", "INTERNAL",
    "INVALID_ARGUMENTS", "DEPTH_EXCEEDED", "OPERATIONS_EXCEEDED", "INVALID_RETURN_VALUE", "OUTPUT_EXCEEDED",
    "RETURNED_ERR", "DEADLOCK", "SECURITY_VIOLATION",
}  # fmt: skip
"""What may become of byte code that was changed, for itself alone."""
HOGS = {
    "counting a range": "pub fn main() { (0..3000000000).iter().count() }",
    "summing a range": "pub fn main() { (0..3000000000).iter().sum::<i64>() }",
    "sorting": "pub fn main() { let v = (0..900000).iter().collect::<Vec>(); loop { v.sort(); } }",
    "doubling a string": "pub fn main() { let s = `x`; loop { s += s.clone(); } }",
    "a wide format": 'pub fn main() { format!("{:>2000000000}", 1) }',
    "a wide capacity": "pub fn main() { Vec::with_capacity(2000000000) }",
    "printing a cycle": 'pub fn main() { let a = []; a.push(a); println!("{:?}", a) }',
    "comparing cycles": "pub fn main() { let a = []; a.push(a); let b = []; b.push(b); a == b }",
}


@dataclass(frozen=True)
class Answer:
    """What a compile child answers, and what comes of running it."""

    name: str
    outcome: str
    """Of the execution: the kind of its error, or its value."""


def script(name: str, argument: str = "", program: str = "pub fn main() { 1 }") -> str:
    """A source whose compiler does this."""
    return f"//! escape-compile: {name} {argument}\n{program}"


def kind_of(outcome: str) -> str:
    """A failure by its name, any value as one."""
    name = outcome.partition(":")[0]
    return name if name in FAILURES or name.endswith("Error") else "a value"


def run(client: crucible.Client, source: str, limits: Limits) -> str:
    """Compiles and runs it; the value, the kind of the error, or why it did not compile."""
    try:
        result = client.run(source, check=False, limits=limits, deadline=DEADLINE)
    except crucible.CrucibleError as error:
        return f"{type(error).__name__}: {error}"
    return result.error.kind if result.error is not None else str(result.value)


HOSTILE = [
    Answer("honest", "1"),
    Answer("unit-of-garbage", "INTERNAL"),
    Answer("unit-of-a-header", "INTERNAL"),
    Answer("unit-cut-off", "INTERNAL"),
    Answer("unit-of-forty-megabytes", "CompilationError.*expected a frame of at most 16777216 bytes"),
    # Of no other than its own script: that is all that it was asked for.
    Answer("unit-of-another-script", "666"),
    Answer("forged-functions", "1"),
    Answer("forged-modules", "1"),
    Answer("many-functions", "ValidationError: context.function"),
    Answer("negative-time", "1"),
    Answer("answer-twice", "CompilationError.*broke the protocol"),
    Answer("print", "CompilationError.*broke the protocol"),
    Answer("result-twice", "CompilationError.*execute_result does not belong to this job"),
    Answer("host-call-out-of-order", "CompilationError.*host_call does not belong to this job"),
    Answer("output-flood", "CompilationError.*output does not belong to this job"),
    Answer("frame-of-garbage", "CompilationError.*broke the protocol"),
    Answer("frame-beyond-every-length", "CompilationError.*expected a frame of at most 16777216 bytes"),
    Answer("exit", "CompilationError.*ended with code 0, no result"),
    Answer("socket-inet", "SecurityViolation.*forbidden system call"),
    Answer("open-passwd", "SecurityViolation.*forbidden system call"),
    Answer("fork-bomb", "SecurityViolation.*forbidden system call"),
    Answer("busy-loop", "CompilationError.*(ran longer|more processor time)"),
    Answer("sleep-for-ever", "CompilationError.*ran longer"),
    Answer("hog-by-the-allocator", "CompilationError.*out of memory"),
]


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda answer: answer.name)
def test_a_hostile_compiler_harms_its_own_script_only(
    answer: Answer, attacker: crucible.Client, neighbour: crucible.CompiledScript, canaries: Canaries, rows: Rows
) -> None:
    honest = f'pub fn main() {{ "of {answer.name}" }}'
    assert attacker.run(honest).value == f"of {answer.name}"
    with row(rows, f"compile: {answer.name}", "answer a compilation in its own way", "check of frames, seal") as told:
        with Neighbour(attacker, neighbour):
            outcome = run(
                attacker, script(answer.name), SHORT if "ever" in answer.name or "busy" in answer.name else LONG
            )
        told["stopped_by"] = outcome
        assert re.match(answer.outcome, outcome), outcome
        # Nobody is asked to run byte code under another's name.
        assert attacker.run(honest).value == f"of {answer.name}"
        canaries.look(attacker)


def test_changed_byte_code_harms_itself_only(
    attacker: crucible.Client, neighbour: crucible.CompiledScript, canaries: Canaries, rows: Rows
) -> None:
    """Nothing of byte code is checked when it is loaded: a compiler that was taken over may have made any."""
    assert isinstance(attacker.run(script("honest", program=PROGRAM)).value, list)
    with row(rows, f"{MUTATIONS} mutated units", "run byte code that no compiler made", "the jail") as told:

        def outcome(seed: int) -> str:
            source = script("mutated", f"{seed}", PROGRAM)
            # Not in the half second that it may run.
            attacker.compile(source)
            return run(attacker, source, SHORT)

        with ThreadPoolExecutor(3) as pool:
            outcomes = Counter(kind_of(each) for each in pool.map(outcome, range(MUTATIONS)))
        told["stopped_by"] = ", ".join(f"{count} {kind}" for kind, count in outcomes.most_common())
        assert outcomes.keys() <= FAILURES | {"a value", "ValidationError"}, outcomes
        assert outcomes["a value"] < MUTATIONS, "nothing was changed"
        with Neighbour(attacker, neighbour):
            pass
        canaries.look(attacker)


@pytest.mark.parametrize("name", HOGS)
def test_native_library_calls_end_in_time(
    name: str, attacker: crucible.Client, neighbour: crucible.CompiledScript, canaries: Canaries, rows: Rows
) -> None:
    """Scripts whose time passes in native code, where no instruction is counted."""
    attacker.compile(HOGS[name])
    with row(rows, f"script: {name}", "hog a native library call", "limits") as told:
        with Neighbour(attacker, neighbour):
            told["stopped_by"] = outcome = run(attacker, HOGS[name], SHORT)
        assert outcome in {"TIMEOUT", "CPU_TIME_EXCEEDED", "MEMORY_EXCEEDED", "STACK_OVERFLOW"}, outcome
        canaries.look(attacker)
