"""Ten at once at Safe: the eleventh waits for its turn, and when too many wait the next is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

import crucible
from crucible.v1 import error_pb2, execution_pb2
from crucible.v1 import script_service_pb2 as api
from tests.engine.processes import LOOP, PATIENCE, wait_until
from tests.servers import RunningServer, children_of

AT_ONCE = 10
MAX_QUEUED = 2


@pytest.fixture(scope="module")
def busy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server on which as many scripts run as Safe allows, and few may wait."""
    settings = {"CRUCIBLE_SPARE_CHILDREN": "0", "CRUCIBLE_MAX_QUEUED_EXECUTIONS": str(MAX_QUEUED)}
    with RunningServer(tmp_path_factory.mktemp("busy"), settings) as running:
        yield running


class Full:
    """Runs endless scripts until Safe's limit is reached."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.client = crucible.Client(server.address, options=[("grpc.enable_retries", 0)])
        self.quick = self.client.compile('pub fn main() { println!("ran"); 5 }').script_id
        loop = self.client.compile(LOOP).script_id
        self.ids = [uuid.uuid4().hex for _ in range(AT_ONCE)]
        # They leave the processors to the others, who have ten seconds until the first of them ends by itself.
        self.calls = [self.begin(loop, execution_id, max_cpu_percentage=1.0) for execution_id in self.ids]
        wait_until(lambda: self.children() == AT_ONCE, "the ten do not run")

    def begin(self, script_id: str, execution_id: str, **limits: Any) -> Any:
        """A call that is under way."""
        context = execution_pb2.ExecutionContext(script_id=script_id, execution_id=execution_id, limits=limits)
        return self.client.stub.ExecuteScript.future(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)

    def queue(self, **limits: Any) -> tuple[Any, str]:
        """A call of a quick script that waits."""
        execution_id = uuid.uuid4().hex
        queued = self.queued()
        call = self.begin(self.quick, execution_id, **limits)
        wait_until(lambda: self.queued() == queued + 1, "it does not wait")
        return call, execution_id

    def children(self) -> int:
        return len(children_of(self.server.zygote_pid()))

    def queued(self) -> int:
        return int(self.client.health().details["queued_executions"].int_value)

    def end(self) -> None:
        for call in self.calls:
            call.cancel()
        wait_until(lambda: self.children() == 0, "children are left")
        wait_until(lambda: self.client.health().details["active_executions"].int_value == 0, "some are left")
        self.client.close()


@pytest.fixture
def full(busy_server: RunningServer) -> Iterator[Full]:
    made = Full(busy_server)
    yield made
    made.end()


def test_the_eleventh_waits_and_runs_when_one_has_ended(full: Full) -> None:
    call, execution_id = full.queue()
    following = full.client.stub.WaitExecution(api.WaitExecutionRequest(execution_id=execution_id), timeout=PATIENCE)
    record = full.client.get_execution(execution_id)
    assert record.state == "QUEUED"
    assert not record.message.HasField("start_time")
    assert full.children() == AT_ONCE
    assert not call.done()
    full.client.cancel(full.ids[0])
    assert call.result().result.stdout == "ran\n"
    assert [response.chunk.WhichOneof("chunk") for response in following] == ["stdout", "complete"]
    message = full.client.get_execution(execution_id).message
    cancelled = full.client.get_execution(full.ids[0]).message
    assert message.state == execution_pb2.EXECUTION_STATE_SUCCEEDED
    assert message.start_time.ToNanoseconds() >= cancelled.end_time.ToNanoseconds()
    assert message.create_time.ToNanoseconds() < cancelled.end_time.ToNanoseconds()


def test_a_full_queue_refuses_and_says_when_to_come_again(full: Full) -> None:
    waiting = [full.queue() for _ in range(MAX_QUEUED)]
    refused = uuid.uuid4().hex
    with pytest.raises(crucible.ResourceExceeded) as raised:
        full.client.run(script_id=full.quick, execution_id=refused)
    assert raised.value.code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert raised.value.retry_after is not None
    assert raised.value.retry_after > 0
    assert f"10 executions run and {MAX_QUEUED} wait" in raised.value.message
    # Compiling and looking need no place in the queue, and an id that is known joins.
    assert full.client.compile("pub fn main() { 6 }").script_id
    with pytest.raises(crucible.ExecutionNotFound):
        full.client.get_execution(refused)
    for execution_id in full.ids[:2]:
        full.client.cancel(execution_id)
    assert [call.result().result.success for call, _ in waiting] == [True] * MAX_QUEUED
    assert full.client.run(script_id=full.quick, execution_id=refused).value == 5


def test_a_queued_one_can_be_cancelled(full: Full) -> None:
    call, execution_id = full.queue()
    record = full.client.cancel(execution_id, reason="no longer wanted")
    assert record.state == "CANCELLED"
    assert call.result().result.error.message == "cancelled: no longer wanted"
    assert not record.message.HasField("start_time")
    assert record.last_sequence == 0
    assert full.queued() == 0
    assert full.children() == AT_ONCE


def test_a_queued_one_whose_call_is_lost_never_runs(full: Full) -> None:
    call, execution_id = full.queue()
    call.cancel()
    wait_until(lambda: full.client.get_execution(execution_id).state == "CANCELLED", "it still waits")
    assert full.queued() == 0
    assert not full.client.get_execution(execution_id).message.HasField("start_time")


def test_time_in_the_queue_counts_towards_the_operation_timeout(full: Full) -> None:
    # Not seen in the queue: it may have left it by then.
    execution_id = uuid.uuid4().hex
    call = full.begin(full.quick, execution_id, operation_timeout=Duration(nanos=300_000_000))
    result = call.result().result
    assert result.error.kind == error_pb2.EXECUTION_ERROR_KIND_TIMEOUT
    assert "operation_timeout" in result.error.message
    assert (result.error.limit_name, result.error.limit_value) == ("operation_timeout", 300)
    assert not full.client.get_execution(execution_id).message.HasField("start_time")
    assert full.children() == AT_ONCE


def test_a_caller_may_ask_for_less_at_once(busy_server: RunningServer) -> None:
    with crucible.Client(busy_server.address) as client:
        with client.stream(LOOP) as stream:
            next(iter(stream))
            with pytest.raises(crucible.CallTimeout):
                client.run("pub fn main() { 1 }", limits={"max_concurrent_operations": 1}, deadline=0.5)
            assert client.run("pub fn main() { 1 }", limits={"max_concurrent_operations": 2}).value == 1
        wait_until(lambda: client.health().details["active_executions"].int_value == 0, "some are left")


def test_compilers_wait_for_their_turn_and_are_refused_beyond_the_queue(busy_server: RunningServer) -> None:
    """More new scripts at once than may compile and wait: none is lost, and those refused are told to try later."""
    with crucible.Client(busy_server.address, options=[("grpc.enable_retries", 0)]) as client:
        body = "\n".join(f"fn f{n}(a) {{ a + {n} }}" for n in range(3000))
        calls = [
            client.stub.CompileScript.future(
                api.CompileScriptRequest(source={"source": f"{body}\npub fn main() {{ {number} }}"}), timeout=PATIENCE
            )
            for number in range(60)
        ]
        codes = [call.code() for call in calls]
        assert set(codes) == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert all(call.result().success for call, code in zip(calls, codes, strict=True) if code is grpc.StatusCode.OK)
        assert client.run("pub fn main() { 6 }").value == 6
