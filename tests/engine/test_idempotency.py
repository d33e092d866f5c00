"""An execution id names one run: the same request joins it or reads its result, another one is refused."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest

import crucible
from crucible.v1 import execution_pb2, value_pb2
from crucible.v1 import script_service_pb2 as api
from tests.engine.processes import LOOP, PATIENCE, STEPS, child_started_by, standing_still, wait_gone, wait_until
from tests.servers import RunningServer, children_of

TWINS = 20
MANY_STEPS = 40


def new_id() -> str:
    return uuid.uuid4().hex


def create_time(client: crucible.Client, execution_id: str) -> int:
    """Nanoseconds; a second run would have a time of its own."""
    return client.get_execution(execution_id).message.create_time.ToNanoseconds()


def test_the_stored_result_is_returned(client: crucible.Client) -> None:
    source = 'pub fn main(n) { println!("ran with {n}"); [n, 1.0, "x"] }'
    execution_id = new_id()
    first = client.run(source, args={"n": 1}, execution_id=execution_id)
    created = create_time(client, execution_id)
    total = client.health().details["total_executions"].int_value
    again = client.run(source, args={"n": 1}, execution_id=execution_id)
    assert again == first
    assert again.stdout == "ran with 1\n"
    with client.stream(source, args={"n": 1}, execution_id=execution_id) as stream:
        assert "".join(piece.text for piece in stream) == "ran with 1\n"
    assert create_time(client, execution_id) == created
    assert client.health().details["total_executions"].int_value == total


def test_a_stored_failure_is_returned_as_well(client: crucible.Client) -> None:
    execution_id = new_id()
    source = 'pub fn main() { println!("before"); panic!("once") }'
    first = client.run(source, execution_id=execution_id, check=False)
    assert first.error is not None
    assert client.run(source, execution_id=execution_id, check=False) == first


def test_the_same_request_joins_what_runs(bare: crucible.Client, bare_server: RunningServer) -> None:
    script = bare.compile(STEPS, level="production")
    execution_id = new_id()
    options = {"execution_id": execution_id, "args": {"steps": MANY_STEPS}, "level": "production"}
    stream, pid = child_started_by(bare_server, lambda: bare.stream(script, **options))  # type: ignore[arg-type]
    ours = iter(stream)
    first = next(ours)
    with standing_still([pid]):
        joined = bare.stream(script, **options)  # type: ignore[arg-type]
        assert next(iter(joined)) == first
        assert bare.get_execution(execution_id).state == "RUNNING"
        assert len(children_of(bare_server.zygote_pid())) == 1
        # Who joined is not the owner: its leaving ends nothing.
        joined.close()
    result = bare.run(script, **options)  # type: ignore[arg-type]
    assert [piece.sequence for piece in ours] == list(range(2, bare.get_execution(execution_id).last_sequence + 1))
    assert stream.result is not None
    assert stream.result.value == result.value == MANY_STEPS


def test_losing_the_first_call_ends_it_for_those_who_joined(bare: crucible.Client, bare_server: RunningServer) -> None:
    script = bare.compile(LOOP)
    execution_id = new_id()
    stream, pid = child_started_by(bare_server, lambda: bare.stream(script, execution_id=execution_id))
    joined = bare.stream(script, execution_id=execution_id, check=False)
    assert next(iter(joined)).text == "up\n"
    stream.close()
    wait_gone([pid])
    list(joined)
    assert joined.result is not None
    assert joined.result.error is not None
    assert joined.result.error.kind == "CANCELLED"
    assert bare.run(script, execution_id=execution_id, check=False).error == joined.result.error


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": {"n": value_pb2.Value(int_value=2)}},
        {"arguments": {"n": value_pb2.Value(double_value=1.0)}},
        {"function": "other"},
        {"detached": True},
        {"seed": b"s" * 32},
        {"environment": {"A": "b"}},
        {"timeout": {"seconds": 3}},
        {"limits": {"max_operations": 1000}},
        {"source": {"source": "pub fn main(n) { n } pub fn other(n) { n } "}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_request_is_refused(client: crucible.Client, change: dict[str, object]) -> None:
    execution_id = new_id()
    same: dict[str, object] = {
        "execution_id": execution_id,
        "source": {"source": "pub fn main(n) { n } pub fn other(n) { n }"},
        "arguments": {"n": value_pb2.Value(int_value=1)},
    }
    context = execution_pb2.ExecutionContext(**same)  # type: ignore[arg-type]
    first = client.stub.ExecuteScript(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)
    context = execution_pb2.ExecutionContext(**{**same, **change})  # type: ignore[arg-type]
    with pytest.raises(grpc.RpcError) as raised:
        client.stub.ExecuteScript(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)
    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert execution_id in str(raised.value.details())
    context = execution_pb2.ExecutionContext(**same)  # type: ignore[arg-type]
    again = client.stub.ExecuteScript(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)
    assert again == first


def test_another_request_is_refused_while_the_first_runs(bare: crucible.Client, bare_server: RunningServer) -> None:
    script = bare.compile(LOOP)
    execution_id = new_id()
    stream, pid = child_started_by(bare_server, lambda: bare.stream(script, execution_id=execution_id))
    with pytest.raises(crucible.ExecutionExists):
        bare.run("pub fn main() { 1 }", execution_id=execution_id)
    assert bare.get_execution(execution_id).state == "RUNNING"
    stream.close()
    wait_gone([pid])


@pytest.mark.parametrize("compiled", [False, True], ids=["source", "compiled"])
async def test_twins_at_once_run_once(server: RunningServer, compiled: bool) -> None:
    async with crucible.AsyncClient(server.address) as client:
        source = f"// {new_id()}\n{STEPS}"
        script = await client.compile(source) if compiled else source
        execution_id = new_id()
        total = (await client.health()).details["total_executions"].int_value
        results = await asyncio.gather(
            *(client.run(script, args={"steps": 5}, execution_id=execution_id, deadline=PATIENCE) for _ in range(TWINS))
        )
        assert results == [results[0]] * TWINS
        assert results[0].stdout == "".join(f"step {n}\n" for n in range(5))
        # Two runs would not have used the same processor time either.
        assert (await client.health()).details["total_executions"].int_value == total + 1


async def test_different_twins_at_once_run_once_and_the_others_are_told(server: RunningServer) -> None:
    async with crucible.AsyncClient(server.address) as client:
        script = await client.compile("pub fn main(n) { n }")
        execution_id = new_id()
        results = await asyncio.gather(
            *(client.run(script, args={"n": n}, execution_id=execution_id) for n in range(TWINS)),
            return_exceptions=True,
        )
        won = [result for result in results if isinstance(result, crucible.Result)]
        lost = [result for result in results if isinstance(result, crucible.ExecutionExists)]
        assert (len(won), len(lost)) == (1, TWINS - 1)
        assert won[0].value == results.index(won[0])


def test_ids_are_generated_when_none_is_given(client: crucible.Client) -> None:
    request = api.ExecuteScriptRequest()
    request.context.source.source = "pub fn main() { 1 }"
    ids = {client.stub.ExecuteScript(request, timeout=PATIENCE).result.execution_id for _ in range(3)}
    assert len(ids) == 3
    for execution_id in ids:
        assert client.get_execution(execution_id).state == "SUCCEEDED"


@pytest.mark.parametrize("bad", ["a b", "a/b", "x" * 129, "grün", "a\n", "\0"])
def test_ids_that_cannot_be_are_refused(client: crucible.Client, bad: str) -> None:
    with pytest.raises(crucible.ValidationError) as raised:
        client.run("pub fn main() { 1 }", execution_id=bad)
    assert raised.value.violations[0].field == "context.execution_id"


def test_nothing_is_stored_of_what_could_not_start(client: crucible.Client) -> None:
    execution_id = new_id()
    with pytest.raises(crucible.ValidationError):
        client.run("pub fn main() { 1 }", args={"n": 1}, execution_id=execution_id)
    with pytest.raises(crucible.ExecutionNotFound):
        client.get_execution(execution_id)
    assert client.run("pub fn main() { 1 }", execution_id=execution_id).value == 1


def test_a_full_queue_of_one_id_is_one_execution(bare: crucible.Client, bare_server: RunningServer) -> None:
    script = bare.compile(LOOP)
    execution_id = new_id()
    request = api.ExecuteScriptRequest(
        context=execution_pb2.ExecutionContext(execution_id=execution_id, script_id=script.script_id)
    )
    calls, pid = child_started_by(
        bare_server, lambda: [bare.stub.ExecuteScript.future(request, timeout=PATIENCE) for _ in range(TWINS)]
    )
    assert bare.health().details["active_executions"].int_value == 1
    assert bare.cancel(execution_id).state == "CANCELLED"
    answers = [call.result().result for call in calls]
    assert answers == [answers[0]] * TWINS
    wait_gone([pid])
    wait_until(lambda: bare.health().details["active_executions"].int_value == 0, "it is still active")
