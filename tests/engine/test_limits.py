"""Each limit exactly: at what a script needs it works, and one less is refused, named and explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import crucible
from crucible.results import Result
from tests.servers import RunningServer

pytestmark = pytest.mark.usefixtures("survives")


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[crucible.Client]:
    """A client of a server that allows as much native depth as can be configured."""
    settings = {"CRUCIBLE_ENGINE__RESOURCE_LIMITS__MAX_NATIVE_DEPTH": "1024"}
    with (
        RunningServer(tmp_path_factory.mktemp("deep"), settings) as running,
        crucible.Client(running.address) as client,
    ):
        yield client


RECURSION = {
    "closures": "fn f(n) { if n == 0 { 0 } else { [n].iter().map(|x| f(x - 1)).sum::<i64>() } }\n"
    "pub fn main(n) { f(n) }",
    "comparisons": "fn f(n) { if n == 0 { return 0; } [n, n].sort_by(|a, b| { f(a - 1); a.cmp(b) }); 0 }\n"
    "pub fn main(n) { f(n) }",
    "async functions": "async fn f(n) { if n == 0 { 0 } else { f(n - 1).await } }\npub async fn main(n) { f(n).await }",
    "generators": "fn g(n) { if n > 0 { for x in g(n - 1) { yield x; } } yield n; }\npub fn main(n) { g(n).next(); 0 }",
}


def operations(result: Result) -> int:
    return result.usage.operations


def output(result: Result) -> int:
    return result.message.stdout_bytes + result.message.stderr_bytes


def returned(result: Result) -> int:
    return result.message.return_value.ByteSize()


def host_calls(result: Result) -> int:
    return result.usage.host_calls


NEEDS: dict[str, tuple[str, str, str, Any]] = {
    "one instruction more": ("pub fn main() { 1 }", "max_operations", "OPERATIONS_EXCEEDED", operations),
    "a loop": (
        "pub fn main() { let n = 0; while n < 1000 { n += 1; } n }",
        "max_operations",
        "OPERATIONS_EXCEEDED",
        operations,
    ),
    "a loop of more than one slice": (
        "pub fn main() { let n = 0; while n < 100000 { n += 1; } n }",
        "max_operations",
        "OPERATIONS_EXCEEDED",
        operations,
    ),
    "closures called by native code": (
        "pub fn main() { (0..100).iter().map(|n| n * 2).filter(|n| n % 3 == 0).collect::<Vec>() }",
        "max_operations",
        "OPERATIONS_EXCEEDED",
        operations,
    ),
    "async functions": (
        "async fn f(n) { n }\npub async fn main() { let all = 0; for n in 0..50 { all += f(n).await; } all }",
        "max_operations",
        "OPERATIONS_EXCEEDED",
        operations,
    ),
    "a generator": (
        "fn g() { for n in 0..50 { yield n; } }\npub fn main() { g().iter().sum::<i64>() }",
        "max_operations",
        "OPERATIONS_EXCEEDED",
        operations,
    ),
    "output": ('pub fn main() { println!("0123456789"); print!("x"); }', "max_output_bytes", "OUTPUT_EXCEEDED", output),
    "output of both streams": (
        'pub fn main() { print!("abc"); crucible::basic::eprint!("defg"); }',
        "max_output_bytes",
        "OUTPUT_EXCEEDED",
        output,
    ),
    "one write larger than a frame": (
        'pub fn main() { let s = "x"; while s.len() < 200000 { s = s + s; } println(s) }',
        "max_output_bytes",
        "OUTPUT_EXCEEDED",
        output,
    ),
    "a string": ('pub fn main() { "abcdefghij" }', "max_return_bytes", "INVALID_RETURN_VALUE", returned),
    "bytes": ('pub fn main() { b"0123456789" }', "max_return_bytes", "INVALID_RETURN_VALUE", returned),
    "a tree": (
        'pub fn main() { [1, -1, 2.5, "x", (), #{ a: [true, 300], b: #{ c: (1, 2) } }] }',
        "max_return_bytes",
        "INVALID_RETURN_VALUE",
        returned,
    ),
    "a long list": (
        "pub fn main() { (0..10000).iter().collect::<Vec>() }",
        "max_return_bytes",
        "INVALID_RETURN_VALUE",
        returned,
    ),
    "host calls": (
        'pub fn main() { for n in 0..5 { crucible::basic::log("x"); } }',
        "max_host_calls",
        "HOST_CALLS_EXCEEDED",
        host_calls,
    ),
}


@pytest.mark.parametrize("name", NEEDS)
def test_a_limit_is_exact(client: crucible.Client, name: str) -> None:
    source, limit, kind, measure = NEEDS[name]
    script = client.compile(source)
    free = client.run(script)
    needed = measure(free)
    assert needed > 0
    enough = client.run(script, limits={limit: needed})  # type: ignore[misc]
    assert (enough.value, measure(enough)) == (free.value, needed)
    result = client.run(script, check=False, limits={limit: needed - 1})  # type: ignore[misc]
    assert result.error is not None
    assert result.error.kind == kind
    error = result.message.error
    assert (error.limit_name, error.limit_value) == (limit, needed - 1)
    assert f"raise {limit}" in error.message
    assert str(needed - 1) in error.message
    assert measure(result) <= needed - 1


def test_a_letter_is_not_cut_at_the_limit(client: crucible.Client) -> None:
    source = 'pub fn main() { print!("aé🦀") }'
    for bytes_allowed, text in ((7, "aé🦀"), (6, "aé"), (3, "aé"), (2, "a"), (1, "a")):
        result = client.run(source, check=False, limits={"max_output_bytes": bytes_allowed})
        assert (result.stdout, result.success) == (text, bytes_allowed == 7)


def test_output_before_the_limit_is_there(client: crucible.Client) -> None:
    source = 'pub fn main() { for n in 0..100 { println!("line {}", n); } }'
    whole = client.run(source).stdout
    for allowed in (1, 100, len(whole) - 1):
        result = client.run(source, check=False, limits={"max_output_bytes": allowed})
        assert result.stdout == whole[:allowed]
        assert result.error is not None
        assert result.error.line == 1


def test_an_err_that_is_too_large_keeps_its_text(client: crucible.Client) -> None:
    error = client.run('pub fn main() { Err("abcdefghij") }', check=False, limits={"max_return_bytes": 5}).error
    assert error is not None
    assert (error.kind, error.message, error.value) == ("RETURNED_ERR", "abcdefghij", None)


@pytest.mark.parametrize(
    ("name", "levels"), [("closures", 1), ("comparisons", 1), ("async functions", 2), ("generators", 2)]
)
def test_native_depth_is_exact(client: crucible.Client, name: str, levels: int) -> None:
    """The first call of `main` is one level, and of an asynchronous one its future another."""
    script = client.compile(RECURSION[name])
    for depth in (1, 9, 100):
        needed = depth + levels
        assert client.run(script, args={"n": depth}, limits={"max_native_depth": needed}).value == 0
        result = client.run(script, args={"n": depth}, check=False, limits={"max_native_depth": needed - 1})
        assert result.error is not None
        assert result.error.kind == "DEPTH_EXCEEDED"
        error = result.message.error
        assert (error.limit_name, error.limit_value) == ("max_native_depth", needed - 1)
        assert "use a loop instead of recursion or raise max_native_depth" in error.message


NATIVE_RECURSION = {
    **RECURSION,
    "formatting": "struct S { n }\nimpl S { fn deep(self) { `${f(self.n - 1)}` } }\n"
    "fn f(n) { if n == 0 { 0 } else { Some(n).map(|x| S { n: x }.deep()).unwrap() } }\npub fn main(n) { f(n); 0 }",
    "async closures": "async fn f(n) { if n == 0 { 0 } else { let g = async |m| f(m - 1).await; g(n).await } }\n"
    "pub async fn main(n) { f(n).await }",
    "streams": "async fn g(n) { if n > 0 { yield g(n - 1).next().await; } yield n; }\n"
    "pub async fn main(n) { g(n).next().await; 0 }",
}


@pytest.mark.parametrize("name", NATIVE_RECURSION)
def test_the_deepest_that_an_operator_can_allow_fits_the_stack(deep: crucible.Client, name: str) -> None:
    assert deep.run(NATIVE_RECURSION[name], args={"n": 300}).success
    result = deep.run(NATIVE_RECURSION[name], args={"n": 5000}, check=False)
    assert result.error is not None
    assert (result.error.kind, result.message.error.limit_value) == ("DEPTH_EXCEEDED", 1024)


def test_plain_recursion_is_bounded_by_memory_alone(client: crucible.Client) -> None:
    source = "fn f(n) { if n == 0 { 0 } else { 1 + f(n - 1) } }\npub fn main(n) { f(n) }"
    assert client.run(source, args={"n": 100_000}).value == 100_000
    error = client.run(source, args={"n": 10_000_000}, check=False).error
    assert error is not None
    assert error.kind == "MEMORY_EXCEEDED"


DEPTH = 10_000
NESTED = {
    "parentheses": "pub fn main() { " + "(" * DEPTH + "1" + ")" * DEPTH + " }",
    "blocks": "pub fn main() { " + "{" * DEPTH + "1" + "}" * DEPTH + " }",
    "closures": "pub fn main() { " + "|| {" * DEPTH + "1" + "}" * DEPTH + "; 2 }",
    "closures without braces": "pub fn main() { " + "|x| " * DEPTH + "1; 2 }",
    "async blocks": "pub fn main() { " + "async {" * DEPTH + "1" + "}" * DEPTH + "; 2 }",
    "lists": "pub fn main() { " + "[" * DEPTH + "]" * DEPTH + "; 2 }",
    "tuples": "pub fn main() { " + "(1, " * DEPTH + "2" + ")" * DEPTH + "; 2 }",
    "objects": "pub fn main() { " + "#{a: " * DEPTH + "1" + "}" * DEPTH + "; 2 }",
    "matches": "pub fn main() { " + "match 1 { _ => " * DEPTH + "1" + "}" * DEPTH + " }",
    "conditions": "pub fn main() { " + "if true { " * DEPTH + "1" + " } else { 2 }" * DEPTH + " }",
    "alternatives": "pub fn main(n) { " + "if n == 1 { 1 } else " * DEPTH + "{ 2 } }",
    "loops": "pub fn main() { " + "loop { " * DEPTH + "return 1;" + "}" * DEPTH + " }",
    "calls": "fn f(n) { n } pub fn main() { " + "f(" * DEPTH + "1" + ")" * DEPTH + " }",
    "methods": "pub fn main() { [1]" + ".iter()" * DEPTH + "; 2 }",
    "fields": "pub fn main(o) { o" + ".a" * DEPTH + " }",
    "indexes": "pub fn main(o) { o" + "[0]" * DEPTH + " }",
    "functions": "".join(f"fn f{n}() {{" for n in range(DEPTH)) + "}" * DEPTH + " pub fn main() { 1 }",
    "modules": "mod m {" * DEPTH + "}" * DEPTH + " pub fn main() { 1 }",
    "imports": "use a::{" + "b::{" * DEPTH + "}" * DEPTH + "}; pub fn main() { 1 }",
    "paths": "pub fn main() { a" + "::a" * DEPTH + " }",
    "patterns": "pub fn main(n) { let " + "(" * DEPTH + "a" + ",)" * DEPTH + " = n; 1 }",
    "sums": "pub fn main() { 1" + " + 1" * DEPTH + " }",
    "negations": "pub fn main() { " + "!" * DEPTH + "true }",
    "tries": "pub fn main(n) { n" + "?" * DEPTH + " }",
    "constants": "".join(f"const C{n} = C{n + 1} + 1;" for n in range(DEPTH))
    + f"const C{DEPTH} = 1; pub fn main() {{ C0 }}",
    "macros": "pub fn main() { " + 'format!("{}", ' * DEPTH + "1" + ")" * DEPTH + " }",
}


@pytest.mark.parametrize("name", NESTED)
def test_a_source_nested_ten_thousand_deep(client: crucible.Client, name: str) -> None:
    """It compiles, or the limit of the compiler that it met is named."""
    checked = client.check(NESTED[name])
    if checked.script is None:
        codes = {found.code for found in checked.diagnostics if found.severity == "ERROR"}
        assert codes
        assert codes <= {"limit.stack", "limit.memory", "limit.time"}
