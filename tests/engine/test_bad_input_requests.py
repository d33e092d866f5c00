"""Requests that must be refused: each with its code, its reason and what was expected; then the next call works."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import value_pb2
from crucible.v1.execution_pb2 import ExecutionContext
from crucible.v1.script_pb2 import CompilationContext, ScriptSource
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from crucible.v1.security_pb2 import ResourceLimits, SecurityContext
from tests.engine.refusals import Refusal, refusal

pytestmark = pytest.mark.usefixtures("survives")

INVALID = ("INVALID_ARGUMENT", "VALIDATION_ERROR")
DENIED = ("PERMISSION_DENIED", "SECURITY_VIOLATION")
EXCEEDED = ("RESOURCE_EXHAUSTED", "RESOURCE_EXCEEDED")
OK = ScriptSource(source="pub fn main() { 1 }")
ECHO = ScriptSource(source="pub fn main(x) { x }")
ONE = value_pb2.Value(int_value=1)
SERVICE = "/crucible.v1.ScriptService/"


def execute(stub: ScriptServiceStub, **context: Any) -> Refusal:
    """Executes what has to be refused, by both RPCs, which have to say the same."""
    if not context.keys() & {"script_id", "script_name"}:
        context.setdefault("source", OK)
    described = ExecutionContext(**context)
    unary = refusal(lambda: stub.ExecuteScript(api.ExecuteScriptRequest(context=described), timeout=30))
    streamed = refusal(
        lambda: list(stub.ExecuteScriptStream(api.ExecuteScriptStreamRequest(context=described), timeout=30))
    )
    assert unary == streamed
    return unary


def compile_source(stub: ScriptServiceStub, source: ScriptSource, **context: Any) -> Refusal:
    request = api.CompileScriptRequest(source=source, context=CompilationContext(**context))
    return refusal(lambda: stub.CompileScript(request, timeout=30))


@pytest.mark.parametrize("method", ["CompileScript", "ExecuteScript", "ExecuteScriptStream", "CancelExecution"])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x7f", b"\x0a\x05\xff\xff\xff\xff\xff"], ids=repr)
def test_an_undecodable_request(channel: grpc.Channel, method: str, data: bytes) -> None:
    if method.endswith("Stream"):
        stream = channel.unary_stream(SERVICE + method, None, None)
        refused = refusal(lambda: list(stream(data, timeout=30)))
    else:
        unary = channel.unary_unary(SERVICE + method, None, None)
        refused = refusal(lambda: unary(data, timeout=30))
    assert refused.words == INVALID
    assert f"crucible.v1.{method}Request" in refused.message


def nested(*fields: int, text: bytes) -> bytes:
    """`text` as a field within fields, as protobuf writes it."""
    for number in reversed(fields):
        text = bytes([number << 3 | 2, len(text)]) + text
    return text


def test_a_source_that_is_not_utf8(channel: grpc.Channel) -> None:
    for method, fields in (("CompileScript", (1, 1)), ("ExecuteScript", (1, 4, 1))):
        call = channel.unary_unary(SERVICE + method, None, None)
        text = nested(*fields, text=b'pub fn main() { "\xff\xfe" }')
        refused = refusal(lambda call=call, text=text: call(text, timeout=30))  # type: ignore[misc]
        assert refused.words == INVALID
        assert "not UTF-8" in refused.message


def test_an_empty_source(stub: ScriptServiceStub) -> None:
    for refused in (compile_source(stub, ScriptSource()), execute(stub, source=ScriptSource(files={"a.rn": "x"}))):
        assert refused.words == INVALID
        assert refused.fields == ["source.source"]
        assert "got an empty one" in refused.message


def test_no_source_and_no_context(stub: ScriptServiceStub) -> None:
    refused = refusal(lambda: stub.CompileScript(api.CompileScriptRequest()))
    assert (refused.words, refused.fields) == (INVALID, ["source"])
    refused = refusal(lambda: stub.ExecuteScript(api.ExecuteScriptRequest()))
    assert (refused.words, refused.fields) == (INVALID, ["context"])
    request = api.ExecuteScriptRequest(context=ExecutionContext(function="main"))
    refused = refusal(lambda: stub.ExecuteScript(request))
    assert (refused.words, refused.fields) == (INVALID, ["context.script"])
    assert "script_id, script_name, source" in refused.message


def test_a_source_of_two_megabytes(stub: ScriptServiceStub) -> None:
    padding = "//" + "x" * (2 * 1024 * 1024)
    whole = ScriptSource(source=f"pub fn main() {{ 1 }}\n{padding}")
    spread = ScriptSource(source="mod a; pub fn main() { 1 }", files={"a.rn": padding})
    for refused in (compile_source(stub, whole), execute(stub, source=whole), compile_source(stub, spread)):
        assert refused.words == EXCEEDED
        assert refused.quotas == ["max_source_bytes"]
        assert "at most 1048576 bytes" in refused.message


def test_a_source_of_exactly_the_limit(stub: ScriptServiceStub) -> None:
    text = "pub fn main() { 1 }\n//"
    fitting = ScriptSource(source=text + "x" * (1024 * 1024 - len(text)))
    assert stub.CompileScript(api.CompileScriptRequest(source=fitting)).success
    fitting.source += "x"
    assert compile_source(stub, fitting).words == EXCEEDED


def test_a_message_larger_than_the_server_takes(stub: ScriptServiceStub) -> None:
    huge = api.CompileScriptRequest(source=ScriptSource(source="//" + "x" * (80 * 1024 * 1024)))
    assert refusal(lambda: stub.CompileScript(huge, timeout=60)).code == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../a.rn", "a", "a//b.rn", "./a.rn", "a/..", "", "x" * 253 + ".rn"], ids=repr
)
def test_an_included_file_with_a_bad_path(stub: ScriptServiceStub, path: str) -> None:
    refused = compile_source(stub, ScriptSource(source="pub fn main() { 1 }", files={path: "pub fn f() {}"}))
    assert refused.words == INVALID
    assert "relative path" in refused.message


def test_too_many_files_and_a_long_file_name(stub: ScriptServiceStub) -> None:
    many = ScriptSource(source="pub fn main() { 1 }", files={f"f{number}.rn": "" for number in range(1001)})
    refused = compile_source(stub, many)
    assert (refused.words, refused.fields) == (INVALID, ["source.files"])
    assert "at most 1000 files, got 1001" in refused.message
    refused = compile_source(stub, ScriptSource(source="pub fn main() { 1 }", file_name="x" * 256))
    assert (refused.words, refused.fields) == (INVALID, ["source.file_name"])
    assert "at most 255 bytes, got 256" in refused.message


def test_an_unknown_script(stub: ScriptServiceStub) -> None:
    for described, named in (
        (ExecutionContext(script_id="0" * 64), f"'{'0' * 64}'"),
        (ExecutionContext(script_id="no-such"), "'no-such'"),
        (ExecutionContext(script_name="no-such"), "'no-such'"),
    ):
        request = api.ExecuteScriptRequest(context=described)
        refused = refusal(lambda request=request: stub.ExecuteScript(request))  # type: ignore[misc]
        assert refused.words == ("NOT_FOUND", "SCRIPT_NOT_FOUND")
        assert named in refused.message
        assert "compile it first" in refused.message


@pytest.mark.parametrize("name", ["", "a b", "é", "/a", "x" * 129, "a\n"], ids=repr)
def test_a_bad_name(stub: ScriptServiceStub, name: str) -> None:
    refused = refusal(lambda: stub.ExecuteScript(api.ExecuteScriptRequest(context=ExecutionContext(script_name=name))))
    assert (refused.words, refused.fields) == (INVALID, ["context.script_name"])
    if name:
        refused = compile_source(stub, OK, name=name)
        assert (refused.words, refused.fields) == (INVALID, ["context.name"])
        assert "1 to 128" in refused.message


def test_an_unknown_execution(stub: ScriptServiceStub) -> None:
    calls = (
        lambda: stub.GetExecution(api.GetExecutionRequest(execution_id="no-such")),
        lambda: stub.CancelExecution(api.CancelExecutionRequest(execution_id="no-such")),
        lambda: list(stub.WaitExecution(api.WaitExecutionRequest(execution_id="no-such"))),
    )
    for call in calls:
        refused = refusal(call)
        assert refused.words == ("NOT_FOUND", "EXECUTION_NOT_FOUND")
        assert "'no-such'" in refused.message


def test_an_empty_execution_id(stub: ScriptServiceStub) -> None:
    for call in (
        lambda: stub.GetExecution(api.GetExecutionRequest()),
        lambda: stub.CancelExecution(api.CancelExecutionRequest()),
        lambda: list(stub.WaitExecution(api.WaitExecutionRequest())),
    ):
        refused = refusal(call)
        assert (refused.words, refused.fields) == (INVALID, ["execution_id"])


@pytest.mark.parametrize("execution_id", ["a b", "a/b", "é", "x" * 129, "a\n", "'; drop table"], ids=repr)
def test_a_bad_execution_id(stub: ScriptServiceStub, execution_id: str) -> None:
    refused = execute(stub, execution_id=execution_id)
    assert (refused.words, refused.fields) == (INVALID, ["context.execution_id"])
    assert "at most 128 letters" in refused.message


def test_arguments_in_both_forms(stub: ScriptServiceStub) -> None:
    refused = execute(stub, source=ECHO, arguments={"x": ONE}, arguments_json='{"x": 1}')
    assert (refused.words, refused.fields) == (INVALID, ["context.arguments_json"])
    assert "got both" in refused.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "invalid JSON"),
        ("[1]", "got list"),
        ("1", "got int"),
        ('{"x": NaN}', "NaN"),
        ('{"x": 1, "x": 2}', "'x'"),
        ('{"x": 18446744073709551616}', "64 bits"),
        ('{"x": -9223372036854775809}', "64 bits"),
        ('{"x": 1e999}', "too large"),
        ('{"x": ' + "1" * 10_000 + "}", "invalid JSON"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "32 levels"),
        ('{"x": "\\ud800"}', "surrogate"),
        ('{"x": [{"\\udfff": 1}]}', "surrogate"),
        ('{"\\ud800": 1}', "surrogate"),
    ],
    ids=lambda text: text[:24],
)
def test_arguments_that_are_bad_json(stub: ScriptServiceStub, text: str, expected: str) -> None:
    refused = execute(stub, source=ECHO, arguments_json=text)
    assert refused.words == INVALID
    assert expected in refused.message
    assert refused.fields[0].startswith("context.arguments_json")


def test_a_value_of_no_kind(stub: ScriptServiceStub) -> None:
    refused = execute(stub, source=ECHO, arguments={"x": value_pb2.Value()})
    assert (refused.words, refused.fields) == (INVALID, ['context.arguments["x"]'])
    assert "null_value" in refused.message
    inner = value_pb2.ListValue(values=[ONE, value_pb2.Value()])
    refused = execute(stub, source=ECHO, arguments={"x": value_pb2.Value(list_value=inner)})
    assert (refused.words, refused.fields) == (INVALID, ['context.arguments["x"][1]'])


def test_leaving_the_jail(stub: ScriptServiceStub) -> None:
    refused = execute(stub, security_context=SecurityContext(sandbox=False))
    assert refused.words == DENIED
    assert "sandbox" in refused.message


def test_a_level_that_is_off(stub: ScriptServiceStub) -> None:
    for refused in (
        execute(stub, security_context=SecurityContext(security_level="SECURITY_LEVEL_DEVELOPMENT")),
        compile_source(stub, OK, security_level="SECURITY_LEVEL_DEVELOPMENT"),
    ):
        assert refused.words == DENIED
        assert "SAFE or PRODUCTION" in refused.message


def test_a_level_that_is_none(stub: ScriptServiceStub) -> None:
    for refused, field in (
        (execute(stub, security_context=SecurityContext(security_level=99)), "security_context.security_level"),  # type: ignore[arg-type]
        (compile_source(stub, OK, security_level=99), "security_level"),
    ):
        assert (refused.words, refused.fields) == (INVALID, [f"context.{field}"])
        assert "SECURITY_LEVEL_SAFE (1)" in refused.message
        assert "got 99" in refused.message


def test_a_working_directory(stub: ScriptServiceStub) -> None:
    refused = execute(stub, working_directory="/tmp")
    assert refused.words == DENIED
    assert "working_directory" in refused.message


def test_tools_that_are_not_there(stub: ScriptServiceStub) -> None:
    refused = execute(stub, available_tools=["shell"])
    assert (refused.words, refused.fields) == (INVALID, ["context.available_tools"])


@pytest.mark.parametrize("seed", [b"x", b"x" * 31, b"x" * 33])
def test_a_seed_of_another_size(stub: ScriptServiceStub, seed: bytes) -> None:
    refused = execute(stub, seed=seed)
    assert (refused.words, refused.fields) == (INVALID, ["context.seed"])
    assert f"expected 32 bytes or none, got {len(seed)}" in refused.message


@pytest.mark.parametrize(
    "timeout",
    [
        Duration(),
        Duration(seconds=-1),
        Duration(nanos=-1),
        Duration(seconds=1, nanos=-1),
        Duration(nanos=1_000_000_000),
        Duration(seconds=2**63 - 1),
    ],
    ids=lambda timeout: f"{timeout.seconds}s{timeout.nanos}ns",
)
def test_a_timeout_that_is_none(stub: ScriptServiceStub, timeout: Duration) -> None:
    refused = execute(stub, timeout=timeout)
    assert (refused.words, refused.fields) == (INVALID, ["context.timeout"])
    assert "expected" in refused.message


LIMITS = [field.name for field in ResourceLimits.DESCRIPTOR.fields]


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_of_zero(stub: ScriptServiceStub, name: str) -> None:
    zero = Duration() if ResourceLimits.DESCRIPTOR.fields_by_name[name].message_type else 0
    refused = execute(stub, limits=ResourceLimits(**{name: zero}))  # type: ignore[arg-type]
    assert (refused.words, refused.fields) == (INVALID, [f"context.limits.{name}"])
    assert "above zero" in refused.message


@pytest.mark.parametrize("share", [-1.0, float("nan"), float("inf"), float("-inf")])
def test_a_share_of_the_processor_that_is_none(stub: ScriptServiceStub, share: float) -> None:
    refused = execute(stub, limits=ResourceLimits(max_cpu_percentage=share))
    assert (refused.words, refused.fields) == (INVALID, ["context.limits.max_cpu_percentage"])


def test_limits_beyond_the_levels_own_change_nothing(client: crucible.Client) -> None:
    result = client.run(
        "pub fn main() { let v = []; loop { v.push([1, 2, 3]); } }",
        check=False,
        timeout=10_000,
        limits={"max_memory_bytes": 2**63, "max_execution_time": 1e9, "max_output_bytes": 2**64 - 1},
    )
    assert result.error is not None
    assert (result.error.kind, result.message.error.limit_value) == ("MEMORY_EXCEEDED", 50 * 1024 * 1024)


LONG = "größer" * 50_000


@pytest.mark.parametrize(
    "context",
    [
        {"function": LONG},
        {"script_id": LONG},
        {"script_name": LONG},
        {"execution_id": LONG},
        {"arguments": {LONG: ONE}},
        {"arguments": {f"{number}": ONE for number in range(20_000)}},
        {"arguments_json": '{"' + LONG + '": {"' + LONG + '": NaN}}'},
        {"arguments_json": '{"x": {"' + LONG + '": 99999999999999999999}}'},
        {"arguments": {LONG: value_pb2.Value()}},
        {"available_tools": [LONG]},
        {"working_directory": LONG},
        {"source": ScriptSource(source=f"pub fn main() {{ {LONG} }}")},
        {"source": ScriptSource(source=f'pub fn main() {{ "{LONG} }}')},
        {"source": ScriptSource(source="pub fn main() {" + "nope();" * 20_000 + "}")},
        {"source": ScriptSource(source="pub fn main() { 1 }", files={LONG: "x"})},
        {"source": ScriptSource(source=f"use crucible::{LONG}; pub fn main() {{ 1 }}")},
    ],
    ids=lambda context: next(iter(context)),
)
def test_what_is_long_is_cut_in_errors(stub: ScriptServiceStub, context: dict[str, Any]) -> None:
    refused = execute(stub, **context)
    assert refused.reason in ("VALIDATION_ERROR", "COMPILATION_ERROR", "SCRIPT_NOT_FOUND", "SECURITY_VIOLATION")
    assert 0 < len(refused.message.encode()) < 1200
