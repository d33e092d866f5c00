"""Errors: the code, the reason, what was wrong and when to come again; small enough for every client."""

from __future__ import annotations

import base64
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import crucible
from crucible.v1 import execution_pb2, script_pb2, value_pb2
from crucible.v1 import script_service_pb2 as api

DOMAIN = "crucible.v1"
MAX_DETAILS = 4096
# gRPC's own default bound on all trailers together.
MAX_TRAILERS = 8192
TIMEOUT = 30.0
CODE = grpc.StatusCode


def details_of(error: Any) -> list[Any]:
    """The google.rpc details, unpacked; asserts what holds for every error of ours."""
    trailers: dict[str, Any] = dict(error.trailing_metadata())
    raw: bytes = trailers["grpc-status-details-bin"]
    assert len(raw) <= MAX_DETAILS
    message = error.details()
    percent_encoded = sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in message.encode())
    assert percent_encoded + len(base64.b64encode(raw)) < MAX_TRAILERS
    status = status_pb2.Status.FromString(raw)
    assert (status.code, status.message) == (error.code().value[0], message)
    found = []
    for detail in status.details:
        kind = getattr(error_details_pb2, detail.type_url.rpartition(".")[2])()
        assert detail.Unpack(kind)
        found.append(kind)
    info = found[0]
    assert isinstance(info, error_details_pb2.ErrorInfo)
    assert info.domain == DOMAIN
    return found


def refused(call: Any, request: Any) -> tuple[Any, list[Any]]:
    """The error that a call ends with, and its details."""
    with pytest.raises(grpc.RpcError) as raised:
        _finish(call(request, timeout=TIMEOUT))
    return raised.value, details_of(raised.value)


def _finish(answer: Any) -> None:
    # A stream fails when it is read.
    list(answer if hasattr(answer, "__iter__") else ())


def reason(details: list[Any]) -> str:
    return str(details[0].reason)


def run(source: str = "pub fn main() {}", **context: Any) -> api.ExecuteScriptRequest:
    if "script_id" not in context and "script_name" not in context:
        context["source"] = script_pb2.ScriptSource(source=source)
    return api.ExecuteScriptRequest(context=execution_pb2.ExecutionContext(**context))


def deep(levels: int) -> value_pb2.Value:
    value = value_pb2.Value(int_value=1)
    for _ in range(levels - 1):
        value = value_pb2.Value(list_value=value_pb2.ListValue(values=[value]))
    return value


@pytest.mark.parametrize(
    ("request_", "code", "expected"),
    [
        (api.ExecuteScriptRequest(), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(""), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run("pub fn main( {"), CODE.INVALID_ARGUMENT, "COMPILATION_ERROR"),
        (run(function="absent"), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run("fn main() {}"), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(script_id="0" * 64), CODE.NOT_FOUND, "SCRIPT_NOT_FOUND"),
        (run(script_name="absent"), CODE.NOT_FOUND, "SCRIPT_NOT_FOUND"),
        (run(script_name="no name"), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(seed=b"short"), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(timeout={"seconds": -1}), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(limits={"max_operations": 0}), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(arguments_json="{"), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run("pub fn main(x) {}", arguments={"x": value_pb2.Value()}), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run("pub fn main(x) {}", arguments={"x": deep(33)}), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(security_context={"security_level": 2}), CODE.PERMISSION_DENIED, "SECURITY_VIOLATION"),
        (run(security_context={"security_level": 77}), CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"),
        (run(security_context={"sandbox": False}), CODE.PERMISSION_DENIED, "SECURITY_VIOLATION"),
        (run("x" * 2_000_000), CODE.RESOURCE_EXHAUSTED, "RESOURCE_EXCEEDED"),
    ],
    ids=lambda item: str(item)[:40] if isinstance(item, str) else "",
)
def test_what_cannot_start_is_a_status(
    client: crucible.Client, request_: api.ExecuteScriptRequest, code: grpc.StatusCode, expected: str
) -> None:
    streamed = api.ExecuteScriptStreamRequest(context=request_.context)
    if not request_.HasField("context"):
        streamed.ClearField("context")
    for call, message in ((client.stub.ExecuteScript, request_), (client.stub.ExecuteScriptStream, streamed)):
        error, details = refused(call, message)
        assert (error.code(), reason(details)) == (code, expected)
    assert client.run("pub fn main() { 1 }").value == 1


def test_every_method_of_the_contract_is_served(server: Any) -> None:
    methods = api.DESCRIPTOR.services_by_name["ScriptService"].methods
    assert len(methods) == 17
    with grpc.insecure_channel(server.address) as channel:
        for method in methods:
            call = channel.unary_unary(f"/crucible.v1.ScriptService/{method.name}", None, None)
            error, details = refused(call, b"\xff")
            assert (error.code(), reason(details)) == (CODE.INVALID_ARGUMENT, "VALIDATION_ERROR"), method.name


@pytest.mark.parametrize("method", ["CompileScript", "ExecuteScript", "GetExecution", "CancelExecution"])
@pytest.mark.parametrize(
    "data",
    [b"\xff\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe" * 2, b"\x0a\x03\x0a\x01\xff"],
    ids=["tags", "cut short", "nonsense", "not UTF-8"],
)
def test_an_undecodable_request_is_an_invalid_argument(server: Any, method: str, data: bytes) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(f"/crucible.v1.ScriptService/{method}", None, None)
        error, details = refused(call, data)
        assert error.code() == CODE.INVALID_ARGUMENT
        assert reason(details) == "VALIDATION_ERROR"
        assert f"crucible.v1.{method}Request" in error.details()


def test_a_value_too_deep_for_protobuf_is_an_invalid_argument(server: Any) -> None:
    def field(number: int, content: bytes) -> bytes:
        size, length = len(content), b""
        while size > 127:
            length, size = length + bytes([size & 127 | 128]), size >> 7
        return bytes([number << 3 | 2]) + length + bytes([size]) + content

    list_number = value_pb2.Value.DESCRIPTOR.fields_by_name["list_value"].number
    value = value_pb2.Value(int_value=1).SerializeToString()
    for _ in range(3000):
        value = field(list_number, field(1, value))
    arguments = execution_pb2.ExecutionContext.DESCRIPTOR.fields_by_name["arguments"].number
    request = field(1, field(arguments, field(1, b"x") + field(2, value)))
    with grpc.insecure_channel(server.address) as channel:
        error, _ = refused(channel.unary_unary("/crucible.v1.ScriptService/ExecuteScript", None, None), request)
        assert error.code() == CODE.INVALID_ARGUMENT


def test_a_request_beyond_the_size_limit_is_refused(client: crucible.Client) -> None:
    with pytest.raises(crucible.ResourceExceeded):
        client.run("x" * (5 * 1024 * 1024))
    assert client.run("pub fn main() { 1 }").value == 1


def test_an_unknown_method_is_unimplemented(server: Any) -> None:
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary("/crucible.v1.ScriptService/Absent", None, None)
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=TIMEOUT)
        assert raised.value.code() == CODE.UNIMPLEMENTED


def test_a_bad_field_is_named(client: crucible.Client) -> None:
    _, details = refused(client.stub.ExecuteScript, run("pub fn main(a, b) {}", arguments={"c": deep(1)}))
    (bad,) = [detail for detail in details if isinstance(detail, error_details_pb2.BadRequest)]
    (violation,) = bad.field_violations
    assert violation.field == "context.arguments"
    assert violation.description == "`main` expects a, b; missing: a, b; not expected: c"


def test_a_limit_is_named(client: crucible.Client) -> None:
    _, details = refused(client.stub.ExecuteScript, run("x" * 2_000_000))
    (quota,) = [detail for detail in details if isinstance(detail, error_details_pb2.QuotaFailure)]
    assert quota.violations[0].subject == "max_source_bytes"


CRAB = "\U0001f980"


@pytest.mark.parametrize(
    "request_",
    [
        run("pub fn main() {}", arguments={f"argument{n}": deep(1) for n in range(1000)}),
        run("pub fn main() {}", arguments={"x" * 100_000: deep(1)}),
        run("pub fn main() {}", arguments={CRAB * 50_000: deep(1)}),
        run("pub fn main(x) {}", arguments={CRAB * 50_000: deep(33)}),
        run("pub fn main() {}", function=CRAB * 50_000),
        run("pub fn main() {}", script_id=CRAB * 50_000),
        run("pub fn main() {}", script_name=CRAB * 50_000),
        run("pub fn main() {}", execution_id=CRAB * 50_000),
        run("\n".join(f"pub fn f{n}() {{ absent{n}() }}" for n in range(500))),
        run(f"pub fn main() {{ let {'x' * 3000} = absent::{'y' * 3000}; }}"),
        run(f'pub fn main() {{ "{CRAB * 5000}'),
        run("".join(f"pub fn {'f' * 500}{n}() {{}}\n" for n in range(50)), function="absent"),
        run("pub fn main() {}", arguments_json='{"' + CRAB * 50_000 + '": '),
        run("pub fn main() {}", arguments_json='{"' + CRAB * 50_000 + '": 1e999, "b": 1}'),
    ],
    ids=range(14),
)
def test_details_are_small_whatever_comes(client: crucible.Client, request_: api.ExecuteScriptRequest) -> None:
    error, details = refused(client.stub.ExecuteScript, request_)
    assert error.code() in (CODE.INVALID_ARGUMENT, CODE.NOT_FOUND)
    assert reason(details)
    assert error.details()


def test_ids_of_nothing_are_small_errors_too(client: crucible.Client) -> None:
    for method in ("GetExecution", "CancelExecution", "WaitExecution"):
        request = getattr(api, f"{method}Request")(execution_id=CRAB * 50_000)
        error, details = refused(getattr(client.stub, method), request)
        assert (error.code(), reason(details)) == (CODE.NOT_FOUND, "EXECUTION_NOT_FOUND")
