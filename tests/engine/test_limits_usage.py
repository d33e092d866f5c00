"""ResourceUsage: each figure is what it says, on a spare as on a fresh child, and of scripts that fail as well."""

from __future__ import annotations

from typing import Any

import pytest

import crucible
from crucible.results import Usage

SEED = bytes(range(32))
# Pinned: a change of these is a change of the compiler or of what is counted.
COUNTS = {
    "nothing": ("pub fn main() {}", {}, 2),
    "a constant": ("pub fn main() { 1 }", {}, 3),
    "a sum": ("pub fn main(a, b) { a + b }", {"a": 1, "b": 2}, 3),
    "a loop": ("pub fn main(n) { let i = 0; while i < n { i += 1; } i }", {"n": 1000}, 6006),
    "closures": ("pub fn main(n) { (0..n).iter().map(|x| x + 1).sum::<i64>() }", {"n": 1000}, 4008),
    "recursion": ("pub fn main(n) { if n < 2 { n } else { main(n - 1) + main(n - 2) } }", {"n": 15}, 19726),
    "async": ("async fn f(n) { n }\npub async fn main() { f(1).await + f(2).await }", {}, 13),
    "a generator": ("pub fn main(n) { for i in 0..n { yield i; } }", {"n": 100}, 811),
}
MAP_ORDER = """
use std::collections::HashMap;
pub fn main(n) { let m = HashMap::new(); for i in 0..n { m.insert(`k${i}`, i); } m.iter().collect::<Vec>() }
"""
SET_ORDER = """
use std::collections::HashSet;
pub fn main(n) { let s = HashSet::new(); for i in 0..n { s.insert(i); } s.iter().collect::<Vec>() }
"""
SCRIPTS = {
    **COUNTS,
    "a map in its order": (MAP_ORDER, {"n": 300}, 0),
    "a set in its order": (SET_ORDER, {"n": 300}, 0),
    "an object": ("pub fn main(n) { let o = #{}; for i in 0..n { o.insert(`k${i}`, i); } o.keys() }", {"n": 100}, 0),
    "a failure": ("pub fn main(n) { let v = [1]; v[n] }", {"n": 5}, 0),
    "a panic": ('pub fn main(n) { panic!("{}", n) }', {"n": 5}, 0),
    "a limit": ("pub fn main() { let v = []; loop { v.push(1); } }", {}, 0),
}


def figures(usage: Usage) -> tuple[int, int, int]:
    return usage.operations, usage.memory_bytes, usage.host_calls


@pytest.mark.parametrize("name", COUNTS)
def test_instructions_are_counted_exactly(client: crucible.Client, name: str) -> None:
    source, args, count = COUNTS[name]
    assert client.run(source, args=args).usage.operations == count


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_spare_and_a_fresh_child_do_the_same(client: crucible.Client, bare: crucible.Client, name: str) -> None:
    """The same seed gives the same value, output, order of hash tables, error, instructions and memory."""
    source, args, _ = SCRIPTS[name]
    options: Any = {"args": args, "check": False, "seed": SEED, "limits": {"max_memory_bytes": 1 << 20}}
    runs = [one.run(source, **options) for one in (client, bare, client, bare)]
    first = runs[0]
    for other in runs[1:]:
        assert (other.success, other.value, other.stdout) == (first.success, first.value, first.stdout)
        assert figures(other.usage) == figures(first.usage)
        assert other.error == first.error


def test_another_seed_gives_another_order(client: crucible.Client) -> None:
    one, two = (client.run(SET_ORDER, args={"n": 300}, seed=bytes([seed]) * 32) for seed in (1, 2))
    assert one.value != two.value
    assert sorted(one.value) == sorted(two.value)
    assert figures(one.usage) == figures(two.usage)


def test_processor_time_and_its_share(client: crucible.Client) -> None:
    source = "pub fn main(n) { let i = 0; while i < n { i += 1; } i }"
    result = client.run(source, args={"n": 1_000_000}, level="production")
    usage = result.usage
    assert 0 < usage.cpu_time <= result.execution_time
    assert usage.cpu_percentage == pytest.approx(100 * usage.cpu_time / result.execution_time, rel=0.01)
    twice = client.run(source, args={"n": 4_000_000}, level="production").usage
    assert twice.cpu_time > usage.cpu_time


def test_the_processor_time_of_short_scripts_is_not_lost(client: crucible.Client) -> None:
    """Much shorter than the tick of the kernel's clock, by which it keeps its accounts of others."""
    script = client.compile("pub fn main(n) { let i = 0; while i < n { i += 1; } i }")
    times = [client.run(script, args={"n": 5000}, level="production").usage.cpu_time for _ in range(50)]
    # 30,000 instructions.
    assert min(times) > 0.000_05


def test_resident_memory_is_at_least_what_is_filled(client: crucible.Client) -> None:
    usage = client.run("pub fn main() { let v = []; v.resize(1000000, 7); v.len() }").usage
    assert 16_000_000 <= usage.memory_bytes <= usage.max_resident_bytes <= 64_000_000


def test_a_script_without_network_and_files_used_none(client: crucible.Client) -> None:
    message = client.run('pub fn main() { println!("x"); 1 }').message.resource_usage
    assert (message.network_io_bytes, message.file_io_bytes) == (0, 0)


@pytest.mark.parametrize(
    "source",
    [
        "pub fn main() { let v = []; v.resize(10000, 7); [][1] }",
        'pub fn main() { let v = []; v.resize(10000, 7); panic!("x") }',
        'pub fn main() { let v = []; v.resize(10000, 7); Err("x") }',
        "pub fn main() { let v = []; v.resize(10000, 7); |x| x }",
        "pub fn main() { let v = []; v.resize(10000, 7); loop { v.push(1); } }",
    ],
)
def test_scripts_that_fail_used_something_too(client: crucible.Client, source: str) -> None:
    result = client.run(source, check=False, limits={"max_memory_bytes": 1 << 20})
    assert not result.success
    assert 160_000 <= result.usage.memory_bytes <= 1 << 20
    assert result.usage.operations >= 8
    assert result.usage.cpu_time > 0


def test_host_calls_are_counted(client: crucible.Client) -> None:
    source = 'pub fn main(n) { for i in 0..n { crucible::basic::log("x"); } }'
    assert client.run(source, args={"n": 7}).usage.host_calls == 7
