"""Values cross the border exactly, in both directions, and up to exactly 32 levels."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import grpc
import pytest

import crucible
from crucible import UInt64
from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_pb2 import ScriptSource
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from crucible.v1.value_pb2 import ListValue, ObjectValue, Value
from crucible.values import from_value, to_value
from tests.engine.exact import exact
from tests.engine.refusals import Refusal, refusal

pytestmark = pytest.mark.usefixtures("survives")

ECHO = "pub fn main(x) { x }"


def run(stub: ScriptServiceStub, source: str, **context: Any) -> execution_pb2.ExecutionResult:
    described = execution_pb2.ExecutionContext(source=ScriptSource(source=source), **context)
    request = api.ExecuteScriptRequest(context=described, include_return_json=True)
    return stub.ExecuteScript(request, timeout=30).result


@pytest.mark.parametrize(
    "number", [0, 1, -1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), UInt64(0), UInt64(2**63 - 1), 2**63, 2**64 - 1]
)
def test_integers_at_their_bounds(client: crucible.Client, number: int) -> None:
    unsigned = isinstance(number, UInt64) or number >= 2**63
    result = client.run(ECHO, args={"x": number})
    assert result.value == number
    assert result.message.return_value.WhichOneof("kind") == ("uint_value" if unsigned else "int_value")
    # In the script it is the same number: it prints as such, and adding nothing leaves it.
    text = client.run("pub fn main(x) { `${x}` }", args={"x": number}).value
    assert text == str(int(number))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775807 - 1", -(2**63)),
        ("i64::MIN", -(2**63)),
        ("i64::MAX", 2**63 - 1),
        ("18446744073709551615u64", 2**64 - 1),
        ("u64::MAX", 2**64 - 1),
        ("0u64", 0),
        ("1u64 + 9223372036854775807u64", 2**63),
    ],
)
def test_integers_written_in_a_script(client: crucible.Client, expression: str, value: int) -> None:
    result = client.run(f"pub fn main() {{ {expression} }}")
    assert result.value == value
    assert isinstance(result.value, UInt64) == ("u64" in expression)


@pytest.mark.parametrize(
    "expression", ["i64::MAX + 1", "i64::MIN - 1", "u64::MAX + 1u64", "0u64 - 1u64", "i64::MAX * 2", "1 << 64"]
)
def test_arithmetic_beyond_the_bounds_is_an_error(client: crucible.Client, expression: str) -> None:
    result = client.run(f"pub fn main() {{ let a = {expression.split()[0]}; {expression} }}", check=False)
    assert result.error is not None
    assert result.error.kind == "RUNTIME"
    assert "flow" in result.error.message


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1.0, 0.1, 5e-324, 2.0**53, 1.7976931348623157e308, math.inf, -math.inf, math.nan]
)
def test_doubles_bit_for_bit(client: crucible.Client, number: float) -> None:
    result = client.run(ECHO, args={"x": number})
    assert type(result.value) is float
    assert struct.pack(">d", result.value) == struct.pack(">d", number)


@pytest.mark.parametrize(
    ("expression", "written"),
    [
        ("f64::NAN", "NaN"),
        ("f64::INFINITY", "Infinity"),
        ("f64::NEG_INFINITY", "-Infinity"),
        ("1.0 / 0.0", "Infinity"),
        ("-1.0 / 0.0", "-Infinity"),
        ("0.0 / 0.0", "NaN"),
    ],
)
def test_numbers_that_are_none(stub: ScriptServiceStub, expression: str, written: str) -> None:
    result = run(stub, f"pub fn main() {{ {expression} }}")
    assert result.success
    assert repr(result.return_value.double_value) == repr(float(written))
    # JSON has no such numbers.
    assert json.loads(result.return_json) == written


def test_a_number_keeps_its_kind(client: crucible.Client) -> None:
    source = "pub fn main(x) { [x is i64, x is u64, x is f64, x is bool] }"
    kinds = [client.run(source, args={"x": x}).value for x in (1, UInt64(1), 1.0, True)]
    assert kinds == [[i == j for j in range(4)] for i in range(4)]
    assert client.run(source, args={"x": 2**63}).value == [False, True, False, False]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("()", None),
        ("None", None),
        ("Some(1)", 1),
        ("Some(Some(None))", None),
        ("Ok(1)", 1),
        ("'ü'", "ü"),
        ('"\\0\\u{1F980}"', "\0\U0001f980"),
        ('b"\\x00\\xff"', b"\0\xff"),
        ('(1, 1.0, "1", true)', [1, 1.0, "1", True]),
        ("[[], (), #{}]", [[], None, {}]),
        ('#{ "a b": 1, c: [2] }', {"a b": 1, "c": [2]}),
        ("S { a: 1, b: [T(2)] }", {"a": 1, "b": [[2]]}),
    ],
)
def test_what_scripts_return(client: crucible.Client, expression: str, value: Any) -> None:
    result = client.run(f"struct S {{ a, b }}\nstruct T(x);\npub fn main() {{ {expression} }}")
    assert exact(result.value) == exact(value)


@pytest.mark.parametrize(
    ("name", "fill", "value"),
    [
        ("HashMap", 'c.insert("a", 1)', {"a": 1}),
        ("HashSet", "c.insert(7)", [7]),
        ("VecDeque", "c.push_back(1); c.push_front(0)", [0, 1]),
    ],
)
def test_collections_that_scripts_return(client: crucible.Client, name: str, fill: str, value: Any) -> None:
    source = f"use std::collections::{name};\npub fn main() {{ let c = {name}::new(); {fill}; c }}"
    assert client.run(source).value == value


def test_arguments_are_what_rune_calls_them(client: crucible.Client) -> None:
    source = """pub fn main(none, text, bytes, list, object) {
        [none is Option, none.is_none(), text is String, bytes is Bytes, list is Vec, object is Object, object.a.b]
    }"""
    args = {"none": None, "text": "t", "bytes": b"b", "list": [1], "object": {"a": {"b": 7}}}
    assert client.run(source, args=args).value == [True, True, True, True, True, True, 7]


def lists(levels: int) -> Value:
    """Lists in one another, the innermost empty."""
    value = Value(list_value=ListValue())
    for _ in range(levels - 1):
        value = Value(list_value=ListValue(values=[value]))
    return value


def objects(levels: int) -> Value:
    """The same of objects, which take the most levels of protobuf."""
    value = Value(object_value=ObjectValue())
    for _ in range(levels - 1):
        value = Value(object_value=ObjectValue(fields={"o": value}))
    return value


NESTED = "pub fn main(n) { let v = []; while n > 1 { v = [v]; n -= 1; } v }"
NESTED_OBJECTS = "pub fn main(n) { let v = #{}; while n > 1 { v = #{ o: v }; n -= 1; } v }"


@pytest.mark.parametrize("build", [lists, objects])
def test_32_levels_pass_both_ways(stub: ScriptServiceStub, build: Any) -> None:
    result = run(stub, ECHO, arguments={"x": build(32)})
    assert result.success, result.error
    assert result.return_value == build(32)
    record = stub.GetExecution(api.GetExecutionRequest(execution_id=result.execution_id)).execution
    assert record.result.return_value == build(32)
    source = ScriptSource(source=ECHO)
    context = execution_pb2.ExecutionContext(source=source, arguments={"x": build(32)})
    chunks = list(stub.ExecuteScriptStream(api.ExecuteScriptStreamRequest(context=context)))
    assert chunks[-1].chunk.complete.return_value == build(32)
    # A payload of an Err lies deeper in the response than a value.
    failed = run(stub, "pub fn main(x) { Err(x) }", arguments={"x": build(32)})
    assert failed.error.value == build(32)


def refused(stub: ScriptServiceStub, **context: Any) -> Refusal:
    return refusal(lambda: run(stub, ECHO, **context))


def test_33_levels_of_argument(stub: ScriptServiceStub) -> None:
    found = refused(stub, arguments={"x": lists(33)})
    assert found.words == ("INVALID_ARGUMENT", "VALIDATION_ERROR")
    assert found.fields == ['context.arguments["x"]' + "[0]" * 32]
    assert "at most 32 levels" in found.message


def field(number: int, content: bytes) -> bytes:
    """A field as protobuf writes it, for messages that are too deep for its Python library."""
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@pytest.mark.parametrize("levels", [33, 34, 60, 1000])
@pytest.mark.parametrize("kind", ["list", "object"])
def test_many_levels_of_argument(channel: grpc.Channel, kind: str, levels: int) -> None:
    value = b""
    for _ in range(levels):
        entry = value if kind == "list" else field(1, b"o") + field(2, value)
        value = field(8 if kind == "list" else 9, field(1, entry))
    context = field(4, field(1, ECHO.encode())) + field(6, field(1, b"x") + field(2, value))
    call = channel.unary_unary("/crucible.v1.ScriptService/ExecuteScript", None, None)
    found = refusal(lambda: call(field(1, context), timeout=30))
    assert found.words == ("INVALID_ARGUMENT", "VALIDATION_ERROR")
    assert "32 levels" in found.message or "nests too deeply" in found.message


def test_levels_of_json_arguments(stub: ScriptServiceStub) -> None:
    text = "[" * 32 + "]" * 32
    assert run(stub, ECHO, arguments_json=f'{{"x": {text}}}').return_json == text
    found = refused(stub, arguments_json=f'{{"x": [{text}]}}')
    assert found.words == ("INVALID_ARGUMENT", "VALIDATION_ERROR")
    assert found.fields == ["context.arguments_json.x" + "[0]" * 32]
    assert "at most 32 levels" in found.message


def test_levels_are_refused_by_the_client_too(client: crucible.Client) -> None:
    deepest = from_value(lists(32))
    assert client.run(ECHO, args={"x": deepest}).value == deepest
    with pytest.raises(ValueError, match="32 levels"):
        client.run(ECHO, args={"x": [deepest]})
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    with pytest.raises(ValueError, match="32 levels"):
        client.run(ECHO, args={"x": cyclic})


@pytest.mark.parametrize(("source", "path"), [(NESTED, "[0]"), (NESTED_OBJECTS, ".o")], ids=["lists", "objects"])
def test_levels_of_return_values(client: crucible.Client, source: str, path: str) -> None:
    value = client.run(source, args={"n": 32}).value
    assert to_value(value) == (lists(32) if path == "[0]" else objects(32))
    for levels in (33, 34, 1000):
        error = client.run(source, args={"n": levels}, check=False).error
        assert error is not None
        assert error.kind == "INVALID_RETURN_VALUE"
        assert "at most 32 nested values" in error.message
        assert f"`${path * 32}`" in error.message


def test_some_costs_no_level(client: crucible.Client) -> None:
    source = "pub fn main(n) { let v = 1; while n > 0 { v = Some(v); n -= 1; } v }"
    assert client.run(source, args={"n": 100}).value == 1


@pytest.mark.parametrize(
    ("text", "kind", "back"),
    [
        ("1", "int_value", "1"),
        ("1.0", "double_value", "1.0"),
        ("1e2", "double_value", "100.0"),
        ("-9223372036854775808", "int_value", "-9223372036854775808"),
        ("9223372036854775807", "int_value", "9223372036854775807"),
        ("9223372036854775808", "uint_value", "9223372036854775808"),
        ("18446744073709551615", "uint_value", "18446744073709551615"),
        ("null", "null_value", "null"),
        ("true", "bool_value", "true"),
        ('"\\ud83e\\udd80"', "string_value", '"\U0001f980"'),
        ('{"b":[1,2.5],"a":{}}', "object_value", '{"a":{},"b":[1,2.5]}'),
    ],
)
def test_arguments_as_json(stub: ScriptServiceStub, text: str, kind: str, back: str) -> None:
    result = run(stub, ECHO, arguments_json=f'{{"x": {text}}}')
    assert result.return_value.WhichOneof("kind") == kind
    assert result.return_json == back


def test_bytes_become_base64_in_json(stub: ScriptServiceStub) -> None:
    result = run(stub, ECHO, arguments={"x": Value(bytes_value=b"\0\xff")})
    assert (result.return_value.bytes_value, result.return_json) == (b"\0\xff", '"AP8="')
