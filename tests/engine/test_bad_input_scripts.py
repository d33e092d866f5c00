"""Scripts that are wrong or mean harm: each is refused or ended for what it did; then the next call works."""

from __future__ import annotations

from typing import Any

import pytest

import crucible
from crucible.requests import Limits
from crucible.results import ExecutionError, Result

pytestmark = pytest.mark.usefixtures("survives")

SHORT: Limits = {"max_execution_time": 1.0}
OUT_OF_TIME = {"TIMEOUT": "max_execution_time", "CPU_TIME_EXCEEDED": "max_cpu_time"}
MEMORY = 50 * 1024 * 1024


def failure(client: crucible.Client, source: str, **options: Any) -> tuple[ExecutionError, Result]:
    """Runs what has to start and to fail."""
    result = client.run(source, check=False, **options)
    assert not result.success
    assert not result.message.HasField("return_value")
    assert result.error is not None
    return result.error, result


def limit(result: Result) -> tuple[str, int]:
    return result.message.error.limit_name, result.message.error.limit_value


def out_of_time(client: crucible.Client, source: str, **options: Any) -> None:
    """Runs what has to be ended by one of its time limits, whichever it meets first on a busy machine."""
    error, result = failure(client, source, limits=SHORT, **options)
    name, value = limit(result)
    assert name == OUT_OF_TIME[error.kind]
    assert 0 < value <= 1000
    assert "was killed" in error.message
    assert f"{value / 1000:g} s" in error.message


def test_a_syntax_error(client: crucible.Client) -> None:
    source = "pub fn main() {\n  let é = ;\n}"
    with pytest.raises(crucible.CompilationError) as raised:
        client.run(source)
    assert raised.value.code is not None
    assert (raised.value.code.name, raised.value.kind) == ("INVALID_ARGUMENT", "COMPILATION_ERROR")
    assert "main.rn:2:11" in raised.value.message
    assert [violation.field for violation in raised.value.violations] == ["context.source:2:11"]
    checked = client.check(source)
    assert checked.script is None
    assert [(found.severity, found.line, found.column) for found in checked.diagnostics] == [("ERROR", 2, 11)]


FUNCTIONS = (
    "pub fn one() { three() }\npub async fn two() { 2 }\nfn three() { 3 }\nfn four() { 4 }\nmod m { pub fn f() {} }"
)


@pytest.mark.parametrize("function", ["main", "three", "four", "m::f", "ONE", "one ", "", "one::two", "x" * 5000])
def test_an_unknown_or_private_function(client: crucible.Client, function: str) -> None:
    with pytest.raises(crucible.ValidationError) as raised:
        client.run(FUNCTIONS, function=function)
    assert [violation.field for violation in raised.value.violations] == ["context.function"]
    assert "public functions are: one, two" in raised.value.message
    assert repr(function[:80] or "main") in raised.value.message


def test_no_public_function(client: crucible.Client) -> None:
    with pytest.raises(crucible.ValidationError, match="public functions are: none"):
        client.run("fn main() { 1 }")


@pytest.mark.parametrize(
    ("args", "wrong"),
    [
        ({}, "missing: left, right"),
        ({"left": 1}, "missing: right"),
        ({"left": 1, "right": 2, "more": 3}, "not expected: more"),
        ({"left": 1, "Right": 2}, "missing: right; not expected: Right"),
        ({"0": 1, "1": 2}, "missing: left, right; not expected: 0, 1"),
    ],
    ids=repr,
)
def test_arguments_that_do_not_fit(client: crucible.Client, args: dict[str, Any], wrong: str) -> None:
    source = "pub fn main(left, right) { [left, right] }"
    with pytest.raises(crucible.ValidationError) as raised:
        client.run(source, args=args)
    assert "`main` expects left, right" in raised.value.message
    assert wrong in raised.value.message
    assert [violation.field for violation in raised.value.violations] == ["context.arguments"]
    assert client.run(source, args={"right": 2, "left": 1}).value == [1, 2]


def test_arguments_for_a_function_without_parameters(client: crucible.Client) -> None:
    with pytest.raises(crucible.ValidationError, match="not expected: x"):
        client.run("pub fn main() { 1 }", args={"x": 1})


DEEP = {
    "parentheses": "(" * 100_000 + "1" + ")" * 100_000,
    "lists": "[" * 100_000 + "]" * 100_000,
    "blocks": "{" * 100_000 + "1" + "}" * 100_000,
    "negations": "-(" * 100_000 + "1" + ")" * 100_000,
    "sums": "1" + "+1" * 100_000,
    "closures": "|x| " * 100_000 + "1",
    "conditions": "if true {" * 50_000 + "1" + "}" * 50_000,
    "templates": "`${" * 10_000 + "1" + "}`" * 10_000,
}


@pytest.mark.parametrize("name", DEEP)
def test_a_source_nested_a_hundred_thousand_deep(client: crucible.Client, name: str) -> None:
    source = f"pub fn main() {{ {DEEP[name]} }}"
    checked = client.check(source)
    assert checked.script is None
    assert {found.code for found in checked.diagnostics if found.severity == "ERROR"} <= {
        "limit.stack",
        "limit.memory",
        "limit.time",
    }
    assert len(checked.rendered) <= 64 * 1024
    with pytest.raises(crucible.CompilationError) as raised:
        client.run(source)
    assert raised.value.kind == "COMPILATION_ERROR"
    assert len(raised.value.message) < 2000


@pytest.mark.parametrize(
    "source",
    [
        "pub fn main() { loop {} }",
        "pub fn main() { while true {} }",
        "pub async fn main() { loop {} }",
        "pub fn main() { [1].iter().map(|x| { loop {} }).collect::<Vec>() }",
        "pub fn main() { for x in forever() {} }\nfn forever() { loop { yield 1; } }",
        "pub fn main() { (0..9000000000000).iter().count() }",
    ],
)
def test_a_loop_without_end(client: crucible.Client, source: str) -> None:
    out_of_time(client, source)


def test_a_native_sort_that_runs_for_seconds(client: crucible.Client) -> None:
    out_of_time(
        client,
        "pub fn main() { let v = []; v.resize(1000000, 5); for i in 0..1000 { v.sort(); v.iter().sum::<i64>(); } }",
    )


def test_a_loop_that_runs_out_of_instructions(client: crucible.Client) -> None:
    error, result = failure(client, "pub fn main() { loop {} }", limits={"max_operations": 100_000})
    assert error.kind == "OPERATIONS_EXCEEDED"
    assert limit(result) == ("max_operations", 100_000)
    assert "max_operations" in error.message
    assert 99_000 <= result.usage.operations <= 100_000


def test_instructions_of_closures_count(client: crucible.Client) -> None:
    source = "pub fn main() { (0..1000).iter().map(|x| { let n = 0; while n < 1000 { n += 1; } n }).sum::<i64>() }"
    assert failure(client, source, limits={"max_operations": 100_000})[0].kind == "OPERATIONS_EXCEEDED"


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("fn f(n) { 1 + f(n + 1) }\npub fn main() { f(0) }", "MEMORY_EXCEEDED"),
        ("pub fn main() { main() + 1 }", "MEMORY_EXCEEDED"),
        ("pub fn main() { let f = |f, n| 1 + f(f, n + 1); f(f, 0) }", "MEMORY_EXCEEDED"),
        ("fn f(n) { [n].iter().map(|x| f(x + 1)).collect::<Vec>() }\npub fn main() { f(0) }", "DEPTH_EXCEEDED"),
        ("fn f(n) { [n, n].sort_by(|a, b| f(n + 1)) }\npub fn main() { f(0) }", "DEPTH_EXCEEDED"),
        ("async fn f(n) { f(n + 1).await }\npub async fn main() { f(0).await }", "DEPTH_EXCEEDED"),
        ("fn g(n) { for x in g(n + 1) { yield x; } }\npub fn main() { g(0).next() }", "DEPTH_EXCEEDED"),
        (
            "async fn g(n) { yield g(n + 1).next().await; }\npub async fn main() { g(0).next().await }",
            "DEPTH_EXCEEDED",
        ),
        (
            "struct S;\nimpl S { fn f(self) { Some(1).map(|x| self.f()) } }\npub fn main() { S.f() }",
            "DEPTH_EXCEEDED",
        ),
    ],
)
def test_recursion_without_end(client: crucible.Client, source: str, kind: str) -> None:
    error, result = failure(client, source)
    assert error.kind == kind
    assert (
        limit(result)
        == {
            "MEMORY_EXCEEDED": ("max_memory_bytes", MEMORY),
            "DEPTH_EXCEEDED": ("max_native_depth", 128),
        }[kind]
    )


def test_a_lower_native_depth(client: crucible.Client) -> None:
    source = "fn f(n) { if n == 0 { 0 } else { [n].iter().map(|x| f(x - 1)).sum::<i64>() } }\npub fn main(n) { f(n) }"
    assert client.run(source, args={"n": 10}).value == 0
    error, result = failure(client, source, args={"n": 10}, limits={"max_native_depth": 5})
    assert (error.kind, limit(result)) == ("DEPTH_EXCEEDED", ("max_native_depth", 5))


@pytest.mark.parametrize(
    "source",
    [
        'pub fn main() { let s = "x"; loop { s = s + s; } }',
        "pub fn main() { String::with_capacity(10000000000) }",
        'pub fn main() { format!("{:>10000000000}", 1).len() }',
        "pub fn main() { let v = []; v.resize(10000000000, 0); v.len() }",
        "pub fn main() { let o = #{}; let n = 0; loop { o[`${n}`] = n; n += 1; } }",
        "pub fn main() { Vec::with_capacity(1000000000000000000).len() }",
        'pub fn main() { let b = Bytes::new(); loop { b.extend(b"0123456789abcdef"); } }',
    ],
)
def test_ten_gigabytes(client: crucible.Client, source: str) -> None:
    error, result = failure(client, source)
    assert (error.kind, limit(result)) == ("MEMORY_EXCEEDED", ("max_memory_bytes", MEMORY))
    assert "raise max_memory_bytes" in error.message
    assert result.usage.max_resident_bytes <= 1.6 * MEMORY + 32 * 1024 * 1024


def test_a_lower_memory_limit(client: crucible.Client) -> None:
    source = "pub fn main(n) { let v = []; v.resize(n, 0); v.len() }"
    assert client.run(source, args={"n": 100_000}).value == 100_000
    error, result = failure(client, source, args={"n": 100_000}, limits={"max_memory_bytes": 1024 * 1024})
    assert (error.kind, limit(result)) == ("MEMORY_EXCEEDED", ("max_memory_bytes", 1024 * 1024))


def test_endless_output(client: crucible.Client) -> None:
    source = 'pub fn main() { println!("first"); loop { println!("0123456789"); } }'
    error, result = failure(client, source)
    assert (error.kind, limit(result)) == ("OUTPUT_EXCEEDED", ("max_output_bytes", 1024 * 1024))
    assert result.stdout.startswith("first\n0123456789\n")
    # The response holds the beginning; the total says how much there was.
    assert (len(result.stdout), result.message.stdout_truncated) == (256 * 1024, True)
    assert 1024 * 1024 - 16 <= result.message.stdout_bytes <= 1024 * 1024


def test_output_up_to_the_limit_is_there(client: crucible.Client) -> None:
    source = 'pub fn main() { for i in 0..100 { print!("0123456789"); } }'
    assert client.run(source, limits={"max_output_bytes": 1000}).stdout == "0123456789" * 100
    error, result = failure(client, source, limits={"max_output_bytes": 999})
    assert (error.kind, limit(result)) == ("OUTPUT_EXCEEDED", ("max_output_bytes", 999))
    assert result.stdout == ("0123456789" * 100)[: len(result.stdout)]
    assert 990 <= len(result.stdout) <= 999


def test_endless_output_to_a_stream(client: crucible.Client) -> None:
    stream = client.stream('pub fn main() { loop { println!("é{}", 1); } }', check=False)
    text = "".join(piece.text for piece in stream)
    assert stream.result is not None
    assert stream.result.error is not None
    assert stream.result.error.kind == "OUTPUT_EXCEEDED"
    assert 1024 * 1024 - 8 <= len(text.encode()) <= 1024 * 1024
    assert text.startswith("é1\né1\n")


def test_standard_error_counts_as_output(client: crucible.Client) -> None:
    source = 'pub fn main() { loop { crucible::basic::eprintln!("0123456789"); } }'
    error, result = failure(client, source, limits={"max_output_bytes": 1000})
    assert error.kind == "OUTPUT_EXCEEDED"
    assert result.stderr.startswith("0123456789\n")
    assert 989 <= len(result.stderr) <= 1000


@pytest.mark.parametrize(
    "source",
    [
        "pub fn main() { let a = []; a.push(a); a }",
        "pub fn main() { let o = #{}; o.me = o; o }",
        "struct S { a }\npub fn main() { let s = S { a: 1 }; s.a = [s]; s }",
        "pub fn main() { let a = []; let b = (1, a); a.push(b); Some(b) }",
        'use std::collections::HashMap;\npub fn main() { let m = HashMap::new(); m.insert("m", m); m }',
        "pub fn main() { let a = []; a.push(a); Err(a) }",
    ],
)
def test_a_cyclic_value(client: crucible.Client, source: str) -> None:
    error, _ = failure(client, source)
    assert error.kind == ("RETURNED_ERR" if "Err" in source else "INVALID_RETURN_VALUE")
    assert "32" in error.message
    assert "`$" in error.message


@pytest.mark.parametrize(
    "source",
    [
        'pub fn main() { let a = []; a.push(a); println!("{:?}", a); }',
        "pub fn main() { let a = []; a.push(a); let b = []; b.push(b); a == b }",
    ],
)
def test_a_native_walk_of_a_cyclic_value(client: crucible.Client, source: str) -> None:
    error, _ = failure(client, source)
    assert error.kind == "STACK_OVERFLOW"
    assert "contains itself" in error.message


@pytest.mark.parametrize(
    ("expression", "path", "what"),
    [
        ("f", "`$`", "Function"),
        ("|x| x", "`$`", "Function"),
        ("println", "`$`", "Function"),
        ("[1, #{ a: (2, f) }]", "`$[1].a[1]`", "Function"),
        ("async { 1 }", "`$`", "Future"),
        ("g()", "`$`", "Generator"),
        ("[1].iter()", "`$`", "Iter"),
    ],
)
def test_a_function_as_a_result(client: crucible.Client, expression: str, path: str, what: str) -> None:
    error, _ = failure(client, f"fn f() {{}}\nfn g() {{ yield 1; }}\npub fn main() {{ {expression} }}")
    assert error.kind == "INVALID_RETURN_VALUE"
    assert path in error.message
    assert what in error.message


def test_a_result_that_is_too_large(client: crucible.Client) -> None:
    source = 'pub fn main(n) { let s = "x"; while s.len() < n { s = s + s; } s }'
    assert len(client.run(source, args={"n": 2**19}).value) == 2**19
    error, result = failure(client, source, args={"n": 2**20})
    assert (error.kind, limit(result)) == ("INVALID_RETURN_VALUE", ("max_return_bytes", 2**20))
    error, result = failure(client, source, args={"n": 2**10}, limits={"max_return_bytes": 1000})
    assert (error.kind, limit(result)) == ("INVALID_RETURN_VALUE", ("max_return_bytes", 1000))


def test_host_calls_without_end(client: crucible.Client) -> None:
    source = 'use crucible::basic;\npub fn main() { loop { basic::log("x"); } }'
    error, result = failure(client, source, limits={"max_host_calls": 20})
    assert (error.kind, limit(result)) == ("HOST_CALLS_EXCEEDED", ("max_host_calls", 20))
    assert result.usage.host_calls <= 20
