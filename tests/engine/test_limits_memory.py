"""Memory: what scripts keep is counted to the byte, whatever they keep it in, and the process stays within bounds."""

from __future__ import annotations

import pytest

import crucible

pytestmark = pytest.mark.usefixtures("survives")

MIB = 1024 * 1024
USES = "use std::collections::{HashMap, HashSet, VecDeque};\n"
KEEP = {
    "a string": "let s = String::new(); for i in 0..n { s.push_str(`0123456789`); } s.len()",
    "added strings": "let s = ``; for i in 0..n { s += `0123456789`; } s.len()",
    "a vec": "let v = []; for i in 0..n { v.push(i); } v.len()",
    "vecs in a vec": "let v = []; for i in 0..n { v.push([i]); } v.len()",
    "a deque": "let v = VecDeque::new(); for i in 0..n { v.push_back(i); v.push_front(i); } v.len()",
    "an object": "let o = #{}; for i in 0..n { o.insert(`k${i}`, i); } o.len()",
    "a map": "let m = HashMap::new(); for i in 0..n { m.insert(i, i); } m.len()",
    "a set": "let m = HashSet::new(); for i in 0..n { m.insert(i); } m.len()",
    "bytes": "let b = Bytes::new(); for i in 0..n { b.extend(b'0123456789'); } b.len()",
    "tuples": "let t = (); for i in 0..n { t = (t, i); } n",
    "structs": "let t = None; for i in 0..n { t = Some(Node { next: t, value: i }); } n",
    "format!": "let v = []; for i in 0..n { v.push(format!(`{:>50}`, i)); } v.len()",
    "templates": "let v = []; for i in 0..n { v.push(`${i} ${i} ${i}`); } v.len()",
    "closures": "let v = []; for i in 0..n { v.push(|x| x + i); } v.len()",
    "futures": "let v = []; for i in 0..n { v.push(async { i }); } v.len()",
    "collect": "(0..n).iter().filter(|i| i >= 0).collect::<Vec>().len()",
    "the stack": "deep(n)",
    "split": "let s = ``; for i in 0..n { s += `a,`; } s.split(`,`).collect::<Vec>().len()",
    "clones": "let v = []; for i in 0..100 { v.push(i); } let all = []; for i in 0..n { all.push(v.clone()); } n",
    "sorted": "let v = []; for i in 0..n { v.push(n - i); } v.sort(); v.len()",
}
# Of what a script can take at a stroke: 20 MiB for a moment.
STROKES = {
    "a capacity": "drop(Vec::with_capacity(1310720)); 1",
    "a string's capacity": "String::with_capacity(20971520).len()",
    "a resize": "let v = []; v.resize(1310720, 0); v.clear(); v.len()",
    "a wide format!": "format!(`{:>20971520}`, 1).len()",
    "bytes": "Bytes::with_capacity(20971520).len()",
    "a temporary": "[(0..1310720).iter().collect::<Vec>()].len()",
}


def script(body: str) -> str:
    body = body.replace("b'", 'b"').replace("'", '"')
    if "format!" in body:
        body = body.replace("`", '"')
    return (
        f"{USES}struct Node {{ next, value }}\nfn deep(n) {{ if n == 0 {{ 0 }} else {{ 1 + deep(n - 1) }} }}\n"
        f"pub fn main(n) {{ {body} }}"
    )


@pytest.mark.parametrize("name", KEEP)
def test_what_is_kept_is_counted_to_the_byte(client: crucible.Client, name: str) -> None:
    compiled = client.compile(script(KEEP[name]))
    args = {"n": 3000}
    peak = client.run(compiled, args=args).usage.memory_bytes
    assert peak > 3000 * 8
    enough = client.run(compiled, args=args, limits={"max_memory_bytes": peak})
    assert enough.usage.memory_bytes == peak
    result = client.run(compiled, args=args, check=False, limits={"max_memory_bytes": peak - 1})
    assert result.error is not None
    assert result.error.kind == "MEMORY_EXCEEDED"
    error = result.message.error
    assert (error.limit_name, error.limit_value) == ("max_memory_bytes", peak - 1)
    assert "raise max_memory_bytes" in error.message
    assert result.usage.memory_bytes <= peak - 1


@pytest.mark.parametrize("name", KEEP)
def test_what_is_kept_without_end(client: crucible.Client, name: str) -> None:
    limit = 10 * MIB
    result = client.run(script(KEEP[name]), args={"n": 1_000_000_000}, check=False, limits={"max_memory_bytes": limit})
    assert result.error is not None
    assert result.error.kind == "MEMORY_EXCEEDED"
    assert (result.message.error.limit_name, result.message.error.limit_value) == ("max_memory_bytes", limit)
    # A list doubles when it is full, and is refused when it would not fit.
    assert limit / 4 <= result.usage.memory_bytes <= limit
    assert result.usage.max_resident_bytes <= 1.6 * limit + 32 * MIB


@pytest.mark.parametrize("name", STROKES)
def test_a_peak_of_a_moment_is_seen(client: crucible.Client, name: str) -> None:
    compiled = client.compile(script(STROKES[name]))
    peak = client.run(compiled, args={"n": 1}).usage.memory_bytes
    assert 20 * MIB <= peak <= 50 * MIB
    assert client.run(compiled, args={"n": 1}, limits={"max_memory_bytes": peak}).usage.memory_bytes == peak
    result = client.run(compiled, args={"n": 1}, check=False, limits={"max_memory_bytes": peak - 1})
    assert result.error is not None
    assert result.error.kind == "MEMORY_EXCEEDED"


def test_what_was_dropped_can_be_taken_again(client: crucible.Client) -> None:
    """A hundred times 400 kB, one after the other, within 1 MiB."""
    source = "pub fn main() { for i in 0..100 { let v = []; v.resize(25000, i); } 1 }"
    usage = client.run(source, limits={"max_memory_bytes": MIB}).usage
    assert 400_000 <= usage.memory_bytes <= MIB


def test_arguments_and_the_value_returned_count(client: crucible.Client) -> None:
    text = "x" * 200_000
    usage = client.run("pub fn main(text) { text }", args={"text": text}).usage
    assert 200_000 <= usage.memory_bytes < 250_000
    result = client.run(
        "pub fn main(text) { 1 }", args={"text": text}, check=False, limits={"max_memory_bytes": 150_000}
    )
    assert result.error is not None
    assert result.error.kind == "MEMORY_EXCEEDED"
