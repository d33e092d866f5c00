"""What is told of executions that wait for their turn: each start once, before its end, and none of what never ran."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from typing import Any

import grpc

import crucible
from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as api
from tests.conftest import StartServer

AT_ONCE = 300
# More than the server runs and lets wait at once.
ENDLESS = 60
PATIENCE = 60.0


def begin(client: crucible.Client, script_id: str, execution_id: str) -> Any:
    """A call that is under way."""
    context = execution_pb2.ExecutionContext(script_id=script_id, execution_id=execution_id)
    return client.stub.ExecuteScript.future(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)


def stories(client: crucible.Client) -> dict[str, list[str]]:
    """What is told of each execution, in order."""
    told: dict[str, list[str]] = defaultdict(list)
    for event in sorted(client.events(), key=lambda each: each.sequence):
        if event.execution_id:
            told[event.execution_id].append(event.type)
    return told


def test_each_of_many_at_once_starts_once_before_it_ends(start_server: StartServer) -> None:
    with crucible.Client(start_server().address) as client:
        script_id = client.compile("pub fn main() { 1 }").script_id
        calls = {name: begin(client, script_id, name) for name in (uuid.uuid4().hex for _ in range(AT_ONCE))}
        assert all(call.result().result.success for call in calls.values())
        told = stories(client)
        assert told.keys() == calls.keys()
        assert {tuple(each) for each in told.values()} == {("execution_started", "script_executed")}
        for name in calls:
            message = client.get_execution(name).message
            assert message.create_time.ToNanoseconds() <= message.start_time.ToNanoseconds()
            assert message.start_time.ToNanoseconds() <= message.end_time.ToNanoseconds()


def test_those_cancelled_while_they_wait_or_are_begun_have_one_end(start_server: StartServer) -> None:
    """Cancelled as soon as they are asked for, and while those before them make room."""
    with crucible.Client(start_server().address, options=[("grpc.enable_retries", 0)]) as client:
        script_id = client.compile("pub fn main() { loop {} }").script_id
        calls = {name: begin(client, script_id, name) for name in (uuid.uuid4().hex for _ in range(ENDLESS))}
        ends = [client.stub.CancelExecution.future(api.CancelExecutionRequest(execution_id=name)) for name in calls]
        for name, end in zip(calls, ends, strict=True):
            # One that is not yet known is asked again.
            while end.code() is grpc.StatusCode.NOT_FOUND:
                time.sleep(0.01)
                end = client.stub.CancelExecution.future(api.CancelExecutionRequest(execution_id=name))
            assert end.result().execution.state == execution_pb2.EXECUTION_STATE_CANCELLED
        told = stories(client)
        for name, call in calls.items():
            assert not call.result().result.success
            was_started = client.get_execution(name).message.HasField("start_time")
            assert told[name][-2:] == ["execution_cancelled", "script_executed"]
            # One that had its turn may be cancelled before its child is made.
            assert told[name][:-2] in ([["execution_started"]] if was_started else [[], ["execution_started"]])
