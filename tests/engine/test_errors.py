"""What a script that ran and failed tells: kind, message, place, stack, and what it had done by then."""

from __future__ import annotations

from typing import Any

import pytest

import crucible
from crucible.results import ExecutionError
from crucible.v1 import error_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.execution_pb2 import ExecutionContext
from crucible.v1.script_pb2 import ScriptSource
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub


def failure(client: crucible.Client, source: str, **options: Any) -> ExecutionError:
    error = client.run(source, check=False, **options).error
    assert error is not None
    return error


TRACED = """pub fn main(n) {
    outer(n)
}
fn outer(n) {
    let ü = "äöü"; inner(n)
}
fn inner(n) {
    [1, 2][n]
}
"""


def test_where_it_happened(client: crucible.Client) -> None:
    error = failure(client, TRACED, args={"n": 5})
    assert (error.kind, error.file, error.line, error.column) == ("RUNTIME", "main.rn", 8, 5)
    assert "5" in error.message
    assert "[1, 2][n]" in error.rendered
    assert "\x1b" not in error.rendered
    frames = [(frame.function, frame.file, frame.line, frame.column) for frame in error.stack_trace]
    assert frames[0] == ("inner", "main.rn", 8, 5)
    assert [(frame[0], frame[2]) for frame in frames] == [("inner", 8), ("outer", 5), ("main", 2)]
    assert frames[1][3] == 20


def test_a_trace_through_a_closure_and_an_async_function(client: crucible.Client) -> None:
    source = """pub async fn main() {
    later().await
}
async fn later() {
    [1].iter().map(|x| {
        x / 0
    }).collect::<Vec>()
}
"""
    error = failure(client, source)
    assert (error.kind, error.line) == ("RUNTIME", 6)
    assert "ivision by zero" in error.message


def test_a_long_trace_is_cut(client: crucible.Client) -> None:
    error = failure(client, "fn f(n) { if n == 0 { [][1] } else { 1 + f(n - 1) } }\npub fn main() { f(500) }")
    assert error.kind == "RUNTIME"
    assert len(error.stack_trace) == 64
    assert {frame.function for frame in error.stack_trace} == {"f"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('1 + "a"', ["i64", "String"]),
        ("[1].nope()", ["no method `nope`", "Vec"]),
        ("#{ a: 1 }.b", ["b"]),
        ("1 / 0", ["ivision by zero"]),
        ("9223372036854775807 + 1", ["verflow"]),
        ("let f = 1; f()", ["i64"]),
        ("for x in 5 { }", ["i64"]),
        ("let [a, b] = [1]; a", ["pattern"]),
    ],
)
def test_runtime_errors(client: crucible.Client, body: str, says: list[str]) -> None:
    error = failure(client, f"pub fn main() {{\n  {body}\n}}")
    assert error.kind in ("RUNTIME", "PANIC")
    assert error.line == 2
    for word in says:
        assert word in error.message


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('let s = "a"; s += s; s', "cannot read the value: it is in use"),
        ("let v = [1, 2]; for x in v { v.push(x); }", "cannot write the value: it is in use"),
        ("let v = [2, 1]; v.sort_by(|a, b| { v.push(1); a.cmp(b) })", "cannot write the value: it is in use"),
        ("let f = async { 1 }; f.await; f.await", "cannot take the value: it was moved"),
    ],
)
def test_a_value_that_cannot_be_used_now(client: crucible.Client, body: str, says: str) -> None:
    error = failure(client, f"pub async fn main() {{ {body} }}")
    assert error.kind == "RUNTIME"
    assert says in error.message
    assert "`.clone()`" in error.message
    assert error.line == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('panic!("boom {}", 1)', "boom 1"),
        ('panic!("über 🦀")', "über 🦀"),
        ("None.unwrap()", "None"),
        ('Err("why").unwrap()', "why"),
        ('None.expect("a reason")', "a reason"),
        ('assert!(1 == 2, "not the same")', "not the same"),
        ("assert_eq!(1, 2)", "assertion failed"),
        ("unreachable()", "here"),
    ],
)
def test_panics(client: crucible.Client, body: str, message: str) -> None:
    source = f'fn unreachable() {{ panic!("here") }}\npub fn main() {{\n  {body}\n}}'
    error = failure(client, source)
    assert error.kind == "PANIC"
    assert message in error.message
    assert error.line in (1, 3)


def test_a_long_panic_is_cut(client: crucible.Client) -> None:
    source = 'pub fn main() { let s = "ü"; for i in 0..16 { s = s + s; } panic!("{}", s) }'
    error = failure(client, source)
    assert error.kind == "PANIC"
    assert error.message.startswith("üüü")
    assert len(error.message.encode()) <= 4096


LONG_NAMES = {
    "a key on the path of a value": "pub fn main() { let o = #{}; o[NAME] = |x| x; o }",
    "a key that is missing": "pub fn main() { let o = #{}; o[NAME] }",
    "a reason": "pub fn main() { None.expect(NAME) }",
    "an Err": "pub fn main() { Err(NAME) }",
    "a line of source": 'pub fn main() { [][1]; "LINE" }',
}


@pytest.mark.parametrize("name", LONG_NAMES)
def test_what_is_long_is_cut_in_errors(client: crucible.Client, name: str) -> None:
    long = "größer" * 20_000
    error = failure(client, LONG_NAMES[name].replace("NAME", f'"{long}"').replace("LINE", long))
    assert error.kind in ("RUNTIME", "PANIC", "RETURNED_ERR", "INVALID_RETURN_VALUE")
    assert 0 < len(error.message.encode()) <= 4096
    assert len(error.rendered.encode()) <= 16 * 1024
    assert all(len(frame.function.encode()) <= 4096 for frame in error.stack_trace)


def test_long_names_of_functions_are_cut(client: crucible.Client) -> None:
    name = "g" * 10_000
    source = f"""mod {name} {{ pub mod {name} {{ pub mod {name} {{
        pub fn f(n) {{ if n == 0 {{ [][1] }} else {{ 1 + f(n - 1) }} }}
    }} }} }}
    pub fn main() {{ {name}::{name}::{name}::f(200) }}"""
    error = failure(client, source)
    assert (error.kind, len(error.stack_trace)) == ("RUNTIME", 64)
    assert {len(frame.function) for frame in error.stack_trace} == {512}


@pytest.mark.parametrize(
    ("payload", "value"),
    [('"boom"', "boom"), ("#{ code: 7, why: [1, 2] }", {"code": 7, "why": [1, 2]}), ("()", None), ("1.0", 1.0)],
)
def test_a_returned_err(client: crucible.Client, payload: str, value: Any) -> None:
    for source in (
        f"pub fn main() {{ Err({payload}) }}",
        f"fn f() {{ Err({payload}) }}\npub async fn main() {{ f()?; 1 }}",
    ):
        error = failure(client, source)
        assert (error.kind, error.value) == ("RETURNED_ERR", value)
        assert error.message


def test_a_returned_err_that_cannot_leave(client: crucible.Client) -> None:
    error = failure(client, "pub fn main() { Err(|x| x) }")
    assert (error.kind, error.value) == ("RETURNED_ERR", None)
    assert "Function" in error.message


def test_ok_is_unwrapped_and_inner_results_are_not(client: crucible.Client) -> None:
    assert client.run("pub fn main() { Ok(3) }").value == 3
    assert client.run("pub fn main() { Ok(Err(3)) }").value == {"Err": 3}


def test_output_before_the_failure_is_there(client: crucible.Client) -> None:
    source = 'pub fn main() { println!("a"); crucible::basic::eprintln!("b"); println!("c"); panic!("x") }'
    result = client.run(source, check=False)
    assert (result.stdout, result.stderr) == ("a\nc\n", "b\n")
    assert (result.message.stdout_bytes, result.message.stderr_bytes) == (4, 2)
    assert result.usage.operations > 0
    with pytest.raises(crucible.ExecutionFailed, match=r"x \(main.rn:1:\d+\)") as raised:
        client.run(source)
    assert raised.value.kind == "PANIC"
    assert raised.value.result.stdout == "a\nc\n"


def test_output_before_a_kill_is_there(client: crucible.Client) -> None:
    source = 'pub fn main() { for i in 0..1000 { println!("{i}"); } loop {} }'
    # The processor's time and not the clock's, of which the script may get nothing for a while.
    result = client.run(source, check=False, limits={"max_cpu_time": 0.5})
    assert result.error is not None
    assert result.error.kind == "CPU_TIME_EXCEEDED"
    assert result.stdout == "".join(f"{number}\n" for number in range(1000))
    assert result.execution_time >= 0.4
    assert result.usage.cpu_time > 0


def test_a_failure_in_a_stream_comes_last(client: crucible.Client) -> None:
    stream = client.stream('pub fn main() { println!("a"); panic!("x") }')
    pieces: list[crucible.Output] = []
    with pytest.raises(crucible.ExecutionFailed, match="x"):
        pieces.extend(stream)
    assert [(piece.sequence, piece.stream, piece.text) for piece in pieces] == [(1, "stdout", "a\n")]
    assert stream.result is not None
    assert (stream.result.success, stream.result.stdout) == (False, "")


def test_a_failure_is_kept(client: crucible.Client) -> None:
    result = client.run('pub fn main() { println!("a"); [][1] }', check=False)
    record = client.get_execution(result.execution_id)
    assert (record.state, record.result) == ("FAILED", result)


def test_json_of_a_failure_is_empty(stub: ScriptServiceStub) -> None:
    context = ExecutionContext(source=ScriptSource(source="pub fn main() { Err(1) }"))
    response = stub.ExecuteScript(api.ExecuteScriptRequest(context=context, include_return_json=True))
    assert not response.result.HasField("return_value")
    assert response.result.return_json == ""
    assert response.result.error.kind == error_pb2.EXECUTION_ERROR_KIND_RETURNED_ERR


@pytest.mark.parametrize(
    ("source", "limits", "name"),
    [
        ("pub fn main() { loop {} }", {"max_execution_time": 0.5}, "max_execution_time"),
        ("pub fn main() { (0..9000000000000).iter().count() }", {"max_cpu_time": 0.2}, "max_cpu_time"),
        ("pub fn main() { loop {} }", {"max_operations": 1000}, "max_operations"),
        ('pub fn main() { loop { print!("x"); } }', {"max_output_bytes": 10}, "max_output_bytes"),
        ("pub fn main() { let v = []; loop { v.push(v.len()); } }", {"max_memory_bytes": 2**20}, "max_memory_bytes"),
        ('pub fn main() { "abcdefghij" }', {"max_return_bytes": 5}, "max_return_bytes"),
        ("fn f() { Some(1).map(|x| f()) }\npub fn main() { f() }", {"max_native_depth": 7}, "max_native_depth"),
        ('pub fn main() { loop { crucible::basic::log("x"); } }', {"max_host_calls": 3}, "max_host_calls"),
    ],
)
def test_every_limit_is_named_with_its_value(
    client: crucible.Client, source: str, limits: dict[str, Any], name: str
) -> None:
    result = client.run(source, check=False, limits=limits)  # type: ignore[arg-type]
    error = result.message.error
    given = limits[name]
    assert (error.limit_name, error.limit_value) == (name, given * 1000 if name.endswith("_time") else given)
    number = f"{given:g} s" if name.endswith("_time") else str(given)
    assert number in error.message


def test_a_time_limit_is_the_smaller_of_two(client: crucible.Client) -> None:
    result = client.run("pub fn main() { loop {} }", check=False, timeout=0.5, limits={"max_execution_time": 5.0})
    assert (result.message.error.limit_name, result.message.error.limit_value) == ("max_execution_time", 500)


def test_errors_of_a_script_with_odd_names(client: crucible.Client) -> None:
    error = failure(client, "mod größe { pub fn höhe() { [][1] } }\npub fn main() { größe::höhe() }")
    assert (error.kind, error.line, error.column) == ("RUNTIME", 1, 29)
    assert error.stack_trace[0].function == "größe::höhe"


def test_a_wrong_argument_of_a_library_function(client: crucible.Client) -> None:
    error = failure(client, 'pub fn main() { "abc".split(1) }')
    assert error.kind in ("RUNTIME", "PANIC")
    error = failure(client, "pub fn main() { crucible::basic::log(1, 2, 3) }")
    assert error.kind == "PANIC"
    assert "expected log(message) or log(level, message), got 3 arguments" in error.message
    error = failure(client, 'pub fn main() { crucible::basic::log("loud", "x") }')
    assert "expected a level of debug, info, warn, error, got `loud`" in error.message
