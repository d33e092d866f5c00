"""The contract of the Python client, synchronous, against a real server."""

from __future__ import annotations

import math
import threading
from typing import Any

import grpc
import pytest

import crucible
from crucible.values import MAX_DEPTH
from tests.clients.conftest import WELL

ECHO = "pub fn main(x) { x }"
ENDLESS = 'pub fn main() { println!("up"); loop {} }'


def deepest() -> Any:
    native: Any = "bottom"
    for _ in range(MAX_DEPTH - 1):
        native = {"down": native}
    return native


VALUES = [
    *(None, True, False, 0, -1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, crucible.UInt64(0)),
    *(0.0, 1.0, -0.0, 0.1, math.inf, -math.inf, 1.7976931348623157e308, 5e-324),
    *("", "grüße \0 🦀", b"", b"\0\xff", [], [1, 1.0, "1", [None]], {}, {"": None}, {"a": [{"b": b"c"}]}),
    deepest(),
]


@pytest.mark.parametrize("native", VALUES, ids=lambda native: repr(native)[:30])
def test_every_value_makes_the_round_trip(client: crucible.Client, native: Any) -> None:
    returned = client.run(ECHO, args={"x": native}).value
    assert repr(returned) == repr(native)


def test_nan_makes_the_round_trip(client: crucible.Client) -> None:
    assert math.isnan(client.run(ECHO, args={"x": math.nan}).value)


def test_an_unsigned_integer_stays_one(client: crucible.Client) -> None:
    result = client.run(ECHO, args={"x": crucible.UInt64(7)})
    assert result.message.return_value.WhichOneof("kind") == "uint_value"
    assert isinstance(result.value, crucible.UInt64)


def test_compiles_and_runs_by_id_and_by_name(client: crucible.Client) -> None:
    script = client.compile(f"/// Gives back.\n{ECHO}\nfn hidden() {{}}", name="clients/echo")
    main = script.functions[0]
    assert (main.name, main.parameters, main.is_public) == ("main", ("x",), True)
    assert "Gives back." in main.doc
    assert client.run(script, args={"x": 1}).value == 1
    assert client.run(script_id=script.script_id, args={"x": 2}).value == 2
    result = client.run(name="clients/echo", args={"x": 3})
    assert (result.value, result.script_id) == (3, script.script_id)


def test_included_files_are_compiled_with_the_source(client: crucible.Client) -> None:
    source, files = "mod util; pub fn main() { util::seven() }", {"util.rn": "pub fn seven() { 7 }"}
    assert client.run(source, files=files).value == 7
    assert client.run(client.compile(source, files=files)).value == 7


def test_a_source_that_does_not_compile(client: crucible.Client) -> None:
    with pytest.raises(crucible.CompilationError) as raised:
        client.compile("pub fn main( {", file_name="broken.rn")
    first = raised.value.diagnostics[0]
    assert (first.severity, first.file, first.line) == ("ERROR", "broken.rn", 1)
    assert first.column > 0
    assert "broken.rn" in raised.value.rendered
    with pytest.raises(crucible.CompilationError) as refused:
        client.run("pub fn main( {")
    assert refused.value.violations
    assert client.check("pub fn main( {").script is None
    assert client.run(ECHO, args={"x": "next"}).value == "next"


def test_output_comes_with_the_result(client: crucible.Client) -> None:
    source = 'pub fn main() { println!("out"); crucible::basic::eprintln!("err"); }'
    result = client.run(source, function="main", level="safe")
    assert (result.stdout, result.stderr, result.value) == ("out\n", "err\n", None)
    assert result.usage.operations > 0
    assert result.execution_time > 0
    assert result.execution_id


def test_output_is_streamed(client: crucible.Client) -> None:
    with client.stream('pub fn main() { for n in 0..3 { println!("line {}", n); } 7 }') as stream:
        pieces = list(stream)
    assert "".join(piece.text for piece in pieces) == "line 0\nline 1\nline 2\n"
    assert {piece.stream for piece in pieces} == {"stdout"}
    assert [piece.sequence for piece in pieces] == list(range(1, len(pieces) + 1))
    assert stream.result is not None
    assert stream.result.value == 7
    again = client.wait(stream.execution_id, after=1)
    assert [piece.sequence for piece in again] == list(range(2, len(pieces) + 1))
    assert again.result is not None
    assert again.result.value == 7


def test_output_arrives_while_the_script_runs(client: crucible.Client) -> None:
    stream = client.stream(ENDLESS)
    assert next(iter(stream)).text == "up\n"
    assert client.get_execution(stream.execution_id).state == "RUNNING"
    assert client.cancel(stream.execution_id, reason="seen").state == "CANCELLED"


def test_an_execution_that_fails_says_where(client: crucible.Client) -> None:
    source = 'pub fn main(n) {\n    println!("before");\n    1 / n\n}'
    with pytest.raises(crucible.ExecutionFailed) as raised:
        client.run(source, args={"n": 0})
    error = raised.value.error
    assert (error.kind, error.line, error.column) == ("RUNTIME", 3, 5)
    assert error.stack_trace[0].function == "main"
    assert "1 / n" in error.rendered
    assert raised.value.result.stdout == "before\n"
    assert client.run(source, args={"n": 0}, check=False).success is False
    stream = client.stream(source, args={"n": 0})
    with pytest.raises(crucible.ExecutionFailed):
        list(stream)
    assert stream.result is not None
    assert stream.result.error == error


def test_a_returned_err_keeps_its_payload(client: crucible.Client) -> None:
    result = client.run('pub fn main() { Err(#{ "why": [1] }) }', check=False)
    assert result.error is not None
    assert (result.error.kind, result.error.value) == ("RETURNED_ERR", {"why": [1]})


def test_cancel_ends_an_execution(client: crucible.Client) -> None:
    stream = client.stream(ENDLESS)
    pieces = iter(stream)
    # Before that it may not be known yet.
    assert next(pieces).text == "up\n"
    timer = threading.Timer(0.2, client.cancel, [stream.execution_id])
    timer.start()
    with pytest.raises(crucible.ExecutionFailed) as raised:
        list(pieces)
    timer.join()
    assert raised.value.kind == "CANCELLED"


def test_closing_a_stream_kills_the_script(client: crucible.Client) -> None:
    with client.stream(ENDLESS) as stream:
        next(iter(stream))
    following = client.wait(stream.execution_id, check=False)
    list(following)
    assert following.result is not None
    assert following.result.error is not None
    assert following.result.error.kind == "CANCELLED"
    assert client.get_execution(stream.execution_id).state == "CANCELLED"


def test_a_detached_script_outlives_its_stream(client: crucible.Client) -> None:
    with client.stream(ENDLESS, detached=True) as stream:
        next(iter(stream))
    assert client.get_execution(stream.execution_id).state == "RUNNING"
    assert client.cancel(stream.execution_id).state == "CANCELLED"


def test_a_deadline_is_a_timeout(client: crucible.Client) -> None:
    with pytest.raises(crucible.CallTimeout) as raised:
        client.run("pub fn main() { loop {} }", deadline=0.5)
    assert raised.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_limits_bound_a_script(client: crucible.Client) -> None:
    result = client.run("pub fn main() { loop {} }", check=False, timeout=0.3)
    assert result.error is not None
    assert result.error.kind == "TIMEOUT"
    result = client.run("pub fn main() { loop {} }", check=False, limits={"max_operations": 1000})
    assert result.error is not None
    assert result.error.kind == "OPERATIONS_EXCEEDED"


def test_refusals_are_typed(client: crucible.Client) -> None:
    with pytest.raises(crucible.ScriptNotFound) as raised:
        client.run(script_id="0" * 64)
    assert (raised.value.code, raised.value.kind) == (grpc.StatusCode.NOT_FOUND, "SCRIPT_NOT_FOUND")
    with pytest.raises(crucible.ScriptNotFound):
        client.run(name="clients/absent")
    with pytest.raises(crucible.ExecutionNotFound):
        client.get_execution("absent")
    with pytest.raises(crucible.ValidationError) as invalid:
        client.run(ECHO, args={"y": 1})
    assert "x" in str(invalid.value)
    with pytest.raises(crucible.SecurityViolation):
        client.run(ECHO, args={"x": 1}, level="development")


def test_one_id_is_one_execution(client: crucible.Client) -> None:
    first = client.run(ECHO, args={"x": 1}, execution_id="clients-once")
    assert client.run(ECHO, args={"x": 1}, execution_id="clients-once").message == first.message
    with pytest.raises(crucible.ExecutionExists):
        client.run(ECHO, args={"x": 2}, execution_id="clients-once")


def test_the_server_says_what_it_is_and_how_it_is(client: crucible.Client) -> None:
    info = client.server_info()
    assert info.rune_version
    assert info.max_value_depth == MAX_DEPTH
    assert client.health().status in WELL


def test_threads_share_a_client(client: crucible.Client) -> None:
    results: dict[int, Any] = {}

    def run(number: int) -> None:
        results[number] = client.run(ECHO, args={"x": number}).value

    threads = [threading.Thread(target=run, args=[number]) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: number for number in range(16)}
