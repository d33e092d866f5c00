"""Lists over gRPC: pages, filters, and what is no page or no filter."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

import crucible
from crucible.v1 import event_service_pb2, execution_pb2, registry_service_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from crucible.v1.registry_service_pb2_grpc import RegistryServiceStub
from crucible_server.api.paging import Page
from tests.engine.refusals import refusal
from tests.servers import RunningServer

State = execution_pb2.ExecutionState
COUNT = 23


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with 23 scripts, half of them named, that were executed once each; every fourth failed."""
    with RunningServer(tmp_path_factory.mktemp("filled")) as running:
        with crucible.Client(running.address) as client:
            for number in range(COUNT):
                body = 'panic!("no")' if number % 4 == 0 else f"{number}"
                name = f"{'even' if number % 4 else 'fourth'}/{number:02}" if number % 2 == 0 else None
                script = client.compile(f"pub fn main() {{ {body}; {number} }}", name=name)
                client.run(script, check=False)
        yield running


@pytest.fixture
def stub(filled: RunningServer) -> Iterator[Any]:
    with crucible.Client(filled.address) as client:
        yield client.stub


def pages(call: Callable[[Any], Any], request: Any, size: int) -> list[list[Any]]:
    found = []
    token = ""
    while True:
        asked = type(request)()
        asked.CopyFrom(request)
        asked.page_size, asked.page_token = size, token
        response = call(asked)
        found.append(list(response.executions if hasattr(response, "executions") else response.scripts))
        token = response.next_page_token
        if not token:
            return found


@pytest.mark.parametrize("size", [1, 7, COUNT, 1000])
def test_pages_add_up_without_gap_or_double(stub: Any, size: int) -> None:
    for call, request in (
        (stub.ListScripts, api.ListScriptsRequest()),
        (stub.ListExecutions, api.ListExecutionsRequest()),
    ):
        found = pages(call, request, size)
        assert all(len(page) == size for page in found[:-1])
        everything = [each for page in found for each in page]
        assert len({getattr(each, "execution_id", "") or each.script_id for each in everything}) == COUNT
        times = [each.create_time.ToNanoseconds() for each in everything]
        assert times == sorted(times, reverse=True)


def test_what_comes_between_two_pages_is_not_in_the_second(stub: Any, filled: RunningServer) -> None:
    first = stub.ListExecutions(api.ListExecutionsRequest(page_size=3))
    with crucible.Client(filled.address) as client:
        done = client.run("pub fn main() { 99 }")
    second = stub.ListExecutions(api.ListExecutionsRequest(page_size=1000, page_token=first.next_page_token))
    ids = [execution.execution_id for execution in [*first.executions, *second.executions]]
    assert done.execution_id not in ids
    assert len(ids) == len(set(ids)) == COUNT
    stub.DeleteExecution(api.DeleteExecutionRequest(execution_id=done.execution_id))
    stub.DeleteScript(api.DeleteScriptRequest(script_id=done.script_id))


def test_executions_by_state_script_and_principal(stub: Any) -> None:
    def count(**filters: Any) -> int:
        return sum(map(len, pages(stub.ListExecutions, api.ListExecutionsRequest(**filters), 4)))

    failed = len(range(0, COUNT, 4))
    assert count(states=[State.EXECUTION_STATE_FAILED]) == failed
    assert count(states=[State.EXECUTION_STATE_SUCCEEDED]) == COUNT - failed
    assert count(states=[State.EXECUTION_STATE_FAILED, State.EXECUTION_STATE_SUCCEEDED]) == COUNT
    assert count(states=[State.EXECUTION_STATE_RUNNING, State.EXECUTION_STATE_QUEUED]) == 0
    assert count(principal="local") == COUNT
    assert count(principal="loca") == 0
    script_id = stub.GetScript(api.GetScriptRequest(script_name="fourth/00")).script.script_id
    assert count(script_id=script_id) == 1
    assert count(script_id=script_id, states=[State.EXECUTION_STATE_SUCCEEDED]) == 0
    assert count(script_id="none") == 0


def test_scripts_by_the_beginning_of_a_name(stub: Any) -> None:
    def names(prefix: str) -> list[str]:
        request = api.ListScriptsRequest(name_prefix=prefix)
        return [name for page in pages(stub.ListScripts, request, 3) for script in page for name in script.names]

    assert sorted(names("fourth/")) == [f"fourth/{n:02}" for n in range(0, COUNT, 4)]
    assert names("fourth/2") == ["fourth/20"]
    for prefix in ("Fourth", "fourth%", "f_urth", "ourth", "zzz"):
        assert names(prefix) == [], prefix


def test_both_by_time(stub: Any) -> None:
    everything = stub.ListExecutions(api.ListExecutionsRequest(page_size=1000)).executions
    middle = everything[10].create_time
    later = stub.ListExecutions(api.ListExecutionsRequest(created_after=middle, page_size=1000)).executions
    earlier = stub.ListExecutions(api.ListExecutionsRequest(created_before=middle, page_size=1000)).executions
    assert (len(later), len(earlier)) == (11, COUNT - 11)
    assert later[-1].create_time == middle
    now = Timestamp()
    now.FromNanoseconds(time.time_ns())
    assert not stub.ListScripts(api.ListScriptsRequest(created_after=now)).scripts
    far = Timestamp(seconds=253_402_300_799)
    assert len(stub.ListScripts(api.ListScriptsRequest(created_before=far)).scripts) == COUNT


def test_lists_hold_no_outputs_values_and_texts(stub: Any, filled: RunningServer) -> None:
    with crucible.Client(filled.address) as client:
        client.run('pub fn main(a) { println!("out"); #{ a: a } }', args={"a": "x" * 100_000})
    newest = stub.ListExecutions(api.ListExecutionsRequest(page_size=1)).executions[0]
    assert newest.result.success
    assert newest.result.resource_usage.operations_count > 0
    assert not newest.result.HasField("return_value")
    assert newest.result.stdout == ""
    assert newest.result.stdout_bytes == 4
    assert newest.ByteSize() < 2000
    script = stub.ListScripts(api.ListScriptsRequest(page_size=1)).scripts[0]
    assert not script.HasField("source")
    assert [function.name for function in script.functions] == ["main"]
    shown = stub.GetScript(api.GetScriptRequest(script_id=script.script_id, include_source=True)).script
    assert shown.source.source.startswith("pub fn main(a)")
    assert not stub.GetScript(api.GetScriptRequest(script_id=script.script_id)).script.HasField("source")
    stub.DeleteExecution(api.DeleteExecutionRequest(execution_id=newest.execution_id))
    stub.DeleteScript(api.DeleteScriptRequest(script_id=script.script_id))


def refused(call: Callable[[Any], Any], request: Any) -> tuple[str, str]:
    found = refusal(lambda: call(request))
    return found.code.name, found.message


def token_of(stub: Any) -> str:
    return str(stub.ListExecutions(api.ListExecutionsRequest(page_size=1)).next_page_token)


@pytest.mark.parametrize(
    "other",
    [
        api.ListExecutionsRequest(script_id="x"),
        api.ListExecutionsRequest(states=[State.EXECUTION_STATE_FAILED]),
        api.ListExecutionsRequest(principal="local"),
        api.ListScriptsRequest(),
    ],
    ids=["script", "state", "principal", "scripts"],
)
def test_the_page_token_of_another_list_is_refused(stub: Any, other: Any) -> None:
    other.page_token = token_of(stub)
    call = stub.ListScripts if isinstance(other, api.ListScriptsRequest) else stub.ListExecutions
    code, words = refused(call, other)
    assert code == "INVALID_ARGUMENT"
    assert "page_token: expected the next_page_token of the page before" in words


@pytest.mark.parametrize("time_ns", [-(2**63), -1, 0, 2**63 - 1])
@pytest.mark.parametrize("row_id", ["x", "a\0b", "x" * 100_000, "\U0010ffff"])
def test_forged_page_tokens_do_no_harm(stub: Any, filled: RunningServer, time_ns: int, row_id: str) -> None:
    """The digest in a token tells what it belongs to; anybody can reckon it."""
    with crucible.Client(filled.address) as client:
        for call, request in (
            (stub.ListExecutions, api.ListExecutionsRequest()),
            (stub.ListScripts, api.ListScriptsRequest()),
            (EventServiceStub(client._channel).ListEvents, event_service_pb2.ListEventsRequest()),
            (RegistryServiceStub(client._channel).DiscoverServices, registry_service_pb2.DiscoverServicesRequest()),
        ):
            request.page_token = Page.of(request, "local").token_after((time_ns, row_id))
            code = call.future(request, timeout=30).code()
            assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT), request


def test_page_tokens_that_are_none_are_refused(stub: Any) -> None:
    token = token_of(stub)
    data = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    broken = ["AAAA", "%%%", "größe", " " + token, "x" * 10_000]
    for place in (0, 8):
        changed = bytearray(data)
        changed[place] ^= 1
        broken.append(base64.urlsafe_b64encode(changed).decode())
    for wrong in broken:
        code, words = refused(stub.ListExecutions, api.ListExecutionsRequest(page_token=wrong))
        assert code == "INVALID_ARGUMENT", wrong
        assert "page_token" in words


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (api.ListExecutionsRequest(page_size=-1), "page_size"),
        (api.ListExecutionsRequest(page_size=1001), "page_size"),
        (api.ListExecutionsRequest(states=["EXECUTION_STATE_UNSPECIFIED"]), "states[0]"),
        (api.ListExecutionsRequest.FromString(b"\x1a\x02\x03\x63"), "states[1]"),
        (api.ListExecutionsRequest(created_after=Timestamp(nanos=-1)), "created_after"),
        (api.ListExecutionsRequest(created_before=Timestamp(seconds=2**60)), "created_before"),
        (
            api.ListExecutionsRequest(created_after=Timestamp(seconds=2), created_before=Timestamp(seconds=1)),
            "created_before",
        ),
    ],
)
def test_filters_that_are_none_are_refused_by_name(stub: Any, request_: Any, field: str) -> None:
    code, words = refused(stub.ListExecutions, request_)
    assert code == "INVALID_ARGUMENT"
    assert words.startswith(f"{field}: expected")


def test_names_and_scripts_that_are_not_there(stub: Any) -> None:
    missing = "0" * 64
    for call, request in (
        (stub.GetScript, api.GetScriptRequest(script_id=missing)),
        (stub.GetScript, api.GetScriptRequest(script_name="nobody")),
        (stub.NameScript, api.NameScriptRequest(name="x", script_id=missing)),
        (stub.NameScript, api.NameScriptRequest(name="nobody")),
        (stub.DeleteScript, api.DeleteScriptRequest(script_id=missing)),
        (stub.DeleteExecution, api.DeleteExecutionRequest(execution_id="nobody")),
        (stub.DeleteExecution, api.DeleteExecutionRequest(execution_id="nobody", redact_only=True)),
        (stub.GetMetrics, api.GetMetricsRequest(script_ids=[missing])),
    ):
        assert refused(call, request)[0] == "NOT_FOUND", request
    for call, request in (
        (stub.GetScript, api.GetScriptRequest()),
        (stub.GetScript, api.GetScriptRequest(script_name="no spaces")),
        (stub.NameScript, api.NameScriptRequest(script_id=missing)),
        (stub.NameScript, api.NameScriptRequest(name="a" * 129, script_id=missing)),
        (stub.DeleteScript, api.DeleteScriptRequest()),
        (stub.DeleteExecution, api.DeleteExecutionRequest()),
        (stub.GetMetrics, api.GetMetricsRequest(script_ids=["x"] * 1001)),
    ):
        assert refused(call, request)[0] == "INVALID_ARGUMENT", request


def test_a_name_moves_and_goes(stub: Any) -> None:
    first, second = (
        script.script_id for script in stub.ListScripts(api.ListScriptsRequest(page_size=2, name_prefix="even")).scripts
    )
    assert stub.NameScript(api.NameScriptRequest(name="moving", script_id=first)).script.script_id == first
    moved = stub.NameScript(api.NameScriptRequest(name="moving", script_id=second)).script
    assert moved.script_id == second
    assert "moving" in moved.names
    assert "moving" not in stub.GetScript(api.GetScriptRequest(script_id=first)).script.names
    assert not stub.NameScript(api.NameScriptRequest(name="moving")).HasField("script")
    assert refused(stub.GetScript, api.GetScriptRequest(script_name="moving"))[0] == "NOT_FOUND"
