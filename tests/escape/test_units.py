"""Compilers that are hostile: answers nobody asked for, and byte code that no compiler made."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import crucible
from tests.escape.attempts import LONG, SHORT
from tests.escape.canaries import Canaries, Neighbour
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
    for i in 0..20 { total += match i { 0 => 1, 5..=7 => 10, n if n % 2 == 0 => n, _ => 2 }; }
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
    "CRASHED", "STACK_OVERFLOW", "MEMORY_EXCEEDED", "RUNTIME", "TIMEOUT", "CPU_TIME_EXCEEDED", "INTERNAL", "PANIC",
    "INVALID_ARGUMENTS", "DEPTH_EXCEEDED", "OPERATIONS_EXCEEDED", "RETURN_VALUE", "OUTPUT_EXCEEDED", "RETURNED_ERROR",
    "SECURITY_VIOLATION",
}  # fmt: skip
"""What may become of byte code that was changed, for itself alone."""


@dataclass(frozen=True)
class Answer:
    """What a compile child answers, and what comes of running it."""

    name: str
    outcome: str
    """Of the execution: the kind of its error, or its value."""


def script(name: str, argument: str = "", program: str = "pub fn main() { 1 }") -> str:
    """A source whose compiler does this."""
    return f"//! escape-compile: {name} {argument}\n{program}"


def run(client: crucible.Client, source: str, limits: dict[str, float]) -> str:
    """Compiles and runs it; the value, the kind of the error, or why it did not compile."""
    try:
        result = client.run(source, check=False, limits=limits, deadline=DEADLINE)
    except crucible.CrucibleError as error:
        return f"{type(error).__name__}: {error}"
    return result.error.kind if result.error is not None else str(result.value)
