"""What the Python clients make of error statuses, and when they try again, over real connections."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

import crucible
from crucible.requests import execution_context
from crucible.v1 import error_pb2
from crucible.v1 import script_service_pb2 as api

SCRIPT = "pub fn main() { 7 }"
SERVICE = "crucible.v1.ScriptService"
UNARY = {
    name: method
    for name, method in api.DESCRIPTOR.services_by_name["ScriptService"].methods_by_name.items()
    if not method.server_streaming
}


class Refusing:
    """A peer that refuses the first calls, to see what clients do then; it runs nothing."""

    def __init__(self, times: int, refuse: Callable[[grpc.ServicerContext], None]) -> None:
        self.left = times
        self.refuse = refuse
        self.asked: list[str] = []
        """Execution ids, or methods that have none."""

    def execute(self, request: api.ExecuteScriptRequest, context: Any) -> api.ExecuteScriptResponse:
        """Answers with success once it has refused often enough."""
        self._receive(request.context.execution_id, context)
        response = api.ExecuteScriptResponse()
        response.result.success = True
        response.result.return_value.int_value = 7
        return response

    def stream(
        self, request: api.ExecuteScriptStreamRequest, context: Any
    ) -> Iterator[api.ExecuteScriptStreamResponse]:
        """The same as a stream."""
        self._receive(request.context.execution_id, context)
        response = api.ExecuteScriptStreamResponse()
        response.chunk.sequence = 1
        response.chunk.complete.success = True
        response.chunk.complete.return_value.int_value = 7
        yield response

    def answer(self, name: str, request: Message, context: Any) -> Message:
        """Answers any other unary method with nothing."""
        self._receive(name, context)
        response: Message = GetMessageClass(UNARY[name].output_type)()
        return response

    def _receive(self, what: str, context: grpc.ServicerContext) -> None:
        self.asked.append(what)
        if self.left:
            self.left -= 1
            self.refuse(context)


@contextmanager
def serving(servicer: Refusing) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2))
    unary = grpc.unary_unary_rpc_method_handler(
        servicer.execute, api.ExecuteScriptRequest.FromString, api.ExecuteScriptResponse.SerializeToString
    )
    streaming = grpc.unary_stream_rpc_method_handler(
        servicer.stream,
        api.ExecuteScriptStreamRequest.FromString,
        api.ExecuteScriptStreamResponse.SerializeToString,
    )
    others = {
        name: grpc.unary_unary_rpc_method_handler(
            functools.partial(servicer.answer, name),
            GetMessageClass(method.input_type).FromString,
            GetMessageClass(method.output_type).SerializeToString,
        )
        for name, method in UNARY.items()
    }
    methods = {**others, "ExecuteScript": unary, "ExecuteScriptStream": streaming}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextmanager
def connected(servicer: Refusing) -> Iterator[crucible.Client]:
    with serving(servicer) as address, crucible.Client(address) as client:
        yield client


def with_details(code: grpc.StatusCode, *details: Message) -> Callable[[grpc.ServicerContext], None]:
    """Refuses with a rich status."""
    status = status_pb2.Status(code=code.value[0], message="refused")
    for detail in details:
        status.details.add().Pack(detail)

    def refuse(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        context.abort(code, "refused")

    return refuse


UNAVAILABLE = with_details(grpc.StatusCode.UNAVAILABLE)


def test_an_unavailable_server_is_asked_again_with_the_same_id() -> None:
    servicer = Refusing(2, UNAVAILABLE)
    with connected(servicer) as client:
        assert client.run(SCRIPT).value == 7
    assert len(servicer.asked) == 3
    assert len(set(servicer.asked)) == 1
    assert servicer.asked[0]


def test_a_stream_is_asked_for_again_before_its_first_piece() -> None:
    servicer = Refusing(2, UNAVAILABLE)
    with connected(servicer) as client:
        with client.stream(SCRIPT, execution_id="mine") as stream:
            assert list(stream) == []
        assert stream.result is not None
        assert stream.result.value == 7
    assert servicer.asked == ["mine"] * 3


async def test_the_asynchronous_client_retries_too() -> None:
    servicer = Refusing(2, UNAVAILABLE)
    with serving(servicer) as address:
        async with crucible.AsyncClient(address) as client:
            assert (await client.run(SCRIPT)).value == 7
    assert len(servicer.asked) == 3
    assert len(set(servicer.asked)) == 1


def test_the_typescript_client_retries_too(
    run_program: Callable[..., subprocess.CompletedProcess[str]], typescript: Path
) -> None:
    program = f"""
        import {{ Client }} from "{typescript}/index.js";
        const client = new Client(process.argv[1]);
        const {{ value }} = await client.run({{ source: "{SCRIPT}" }});
        const stream = client.stream({{ source: "{SCRIPT}" }});
        for await (const piece of stream) throw piece;
        console.log(value, stream.result.value);
        client.close();
    """
    run, stream = Refusing(2, UNAVAILABLE), Refusing(2, UNAVAILABLE)
    run.stream = stream.stream  # type: ignore[method-assign]
    with serving(run) as address:
        done = run_program(["node", "--input-type=module", "--eval", program, address])
    assert done.stdout == "7 7\n", done.stderr
    for servicer in (run, stream):
        assert len(servicer.asked) == 3
        assert len(set(servicer.asked)) == 1


CALLS: dict[str, Callable[[crucible.Client], Any]] = {
    "GetScript": lambda client: client.script("a"),
    "ListScripts": lambda client: list(client.scripts()),
    "NameScript": lambda client: client.name_script("a", "b"),
    "DeleteScript": lambda client: client.delete_script("a"),
    "ListExecutions": lambda client: list(client.executions()),
    "DeleteExecution": lambda client: client.delete_execution("a"),
    "GetExecution": lambda client: client.get_execution("a"),
    "CancelExecution": lambda client: client.cancel("a"),
    "GetMetrics": lambda client: client.metrics(),
}


@pytest.mark.parametrize("name", CALLS)
def test_reads_names_and_deletions_are_tried_again(name: str) -> None:
    servicer = Refusing(2, UNAVAILABLE)
    with connected(servicer) as client:
        CALLS[name](client)
    assert servicer.asked == [name] * 3


def test_it_gives_up_after_four_tries() -> None:
    servicer = Refusing(100, UNAVAILABLE)
    with connected(servicer) as client, pytest.raises(crucible.Unavailable):
        client.run(SCRIPT)
    assert len(servicer.asked) == 4


def test_two_calls_have_two_ids() -> None:
    servicer = Refusing(0, UNAVAILABLE)
    with connected(servicer) as client:
        client.run(SCRIPT)
        client.run(SCRIPT)
    assert len(set(servicer.asked)) == 2


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name not in ("OK", "UNAVAILABLE")])
def test_nothing_else_is_tried_again(code: grpc.StatusCode) -> None:
    servicer = Refusing(1, with_details(code))
    with connected(servicer) as client, pytest.raises(crucible.CrucibleError) as raised:
        client.run(SCRIPT)
    assert raised.value.code == code
    assert len(servicer.asked) == 1


@pytest.mark.parametrize("kind", [kind for kind in error_pb2.ErrorKind.values() if kind])
def test_every_kind_of_error_has_a_class(kind: error_pb2.ErrorKind) -> None:
    reason = error_pb2.ErrorKind.Name(kind).removeprefix("ERROR_KIND_")
    info = error_details_pb2.ErrorInfo(reason=reason, domain="crucible.v1")
    servicer = Refusing(1, with_details(grpc.StatusCode.FAILED_PRECONDITION, info))
    with connected(servicer) as client, pytest.raises(crucible.CrucibleError) as raised:
        client.run(SCRIPT)
    assert raised.value.kind == reason
    assert type(raised.value) is not crucible.CrucibleError


def test_an_error_says_which_fields_are_wrong_and_when_to_try_again() -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="context.function", description="expected a name")
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(1500)
    info = error_details_pb2.ErrorInfo(reason="VALIDATION_ERROR", domain="crucible.v1")
    servicer = Refusing(1, with_details(grpc.StatusCode.INVALID_ARGUMENT, info, bad, retry))
    with connected(servicer) as client, pytest.raises(crucible.ValidationError, match="refused") as raised:
        client.run(SCRIPT)
    assert raised.value.violations == (crucible.FieldViolation("context.function", "expected a name"),)
    assert raised.value.retry_after == 1.5


def test_a_foreign_error_domain_is_not_mistaken_for_ours() -> None:
    info = error_details_pb2.ErrorInfo(reason="SCRIPT_NOT_FOUND", domain="proxy.example")
    servicer = Refusing(1, with_details(grpc.StatusCode.NOT_FOUND, info))
    with connected(servicer) as client, pytest.raises(crucible.CrucibleError) as raised:
        client.run(SCRIPT)
    assert raised.value.kind == ""


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with crucible.Client("127.0.0.1:1") as client, pytest.raises(crucible.Unavailable):
        client.health()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of"),
        ({"script_id": "a", "name": "b"}, "exactly one of"),
        ({"script_id": "a", "level": "root"}, "expected one of safe, production, development, got 'root'"),
        (
            {"script_id": "a", "limits": {"max_memory": 1}},
            "unknown name 'max_memory'; expected some of",
        ),
        ({"script_id": "a", "files": {"b.rn": ""}}, "files= goes with a source"),
        ({"script_id": "a", "args": {"x": 2**64}}, r"args\['x'\]"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_it_is_sent(options: dict[str, Any], message: str) -> None:
    with crucible.Client("127.0.0.1:1") as client, pytest.raises(ValueError, match=message):
        client.run(**options)


def test_an_option_that_does_not_exist_is_refused() -> None:
    options: Any = {"limit": {}}
    with crucible.Client("127.0.0.1:1") as client:
        for method in (client.run, client.stream):
            with pytest.raises(TypeError, match="unknown option 'limit'; expected some of script_id, name"):
                method(SCRIPT, **options)


def test_limits_and_times_arrive_in_their_units() -> None:
    limits: crucible.Limits = {"max_cpu_time": 0.25, "max_operations": 10}
    context = execution_context(None, {"script_id": "a", "timeout": 1.5, "limits": limits})
    assert context.timeout.ToMilliseconds() == 1500
    assert context.limits.max_cpu_time.ToMilliseconds() == 250
    assert context.limits.max_operations == 10
    assert not context.limits.HasField("max_memory_bytes")
