"""A server beside its model: calls, and what is compared."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from crucible.errors import from_rpc_error
from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.engine.processes import PATIENCE, wait_until
from tests.engine.walks.model import (
    CANCELLED,
    HEAD_BYTES,
    INTERRUPTED,
    LOOP,
    PRINCIPAL,
    PROGRAMS,
    RUNNING,
    SUCCEEDED,
    Kind,
    Model,
    Outcome,
    Program,
    State,
    StoredExecution,
    StoredScript,
)
from tests.servers import RunningServer

CACHE_SIZE = 2
SERVER = {
    "CRUCIBLE_ENGINE__MAX_CACHE_SIZE": str(CACHE_SIZE),
    # One level for all: with other modules the same script has other byte code.
    "CRUCIBLE_ENGINE__SECURITY_LEVEL": "production",
    "CRUCIBLE_GRACE_PERIOD": "0.05",
    "CRUCIBLE_SPARE_CHILDREN": "1",
}
KINDS = {
    CANCELLED: Kind.EXECUTION_ERROR_KIND_CANCELLED,
    INTERRUPTED: Kind.EXECUTION_ERROR_KIND_INTERRUPTED,
}
NAMES = ["a", "a/b", "a/b.c", "b", "ab"]
NO_SCRIPT = "0" * 64

programs = st.sampled_from(PROGRAMS)
numbers = st.integers(-3, 1000)
names = st.sampled_from(NAMES)
picks = st.integers(0, 1000)
"""Each picks one of what is there."""
Ended = tuple[execution_pb2.ExecutionResult, str]
"""A result, and all that was streamed."""
LOOP_SECONDS = 15.0
"""Loops are ended before their own limit ends them, of 30 s."""


def refused(kind: str, call: Callable[[], object]) -> None:
    """The call must fail with this kind of error."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error = from_rpc_error(raised.value)
    assert error.kind == kind, f"expected {kind}, got {error.kind}: {error}"


def has_executions(machine: ModelledServer) -> bool:
    """A precondition of steps that pick one."""
    return bool(machine.model.executions)


class ModelledServer(RuleBasedStateMachine):
    """One server, a client that does not retry, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.server = RunningServer(Path(self.folder.name), SERVER)
        self.model = Model()
        self.loops: dict[str, float] = {}
        """Executions that go on until they are ended, and when they began."""
        self.calls: dict[str, Any] = {}
        """The calls that they belong to."""
        self.is_stopped = False
        self.start()

    def start(self) -> None:
        """Starts the server for the first time, or again."""
        self.server.start()
        options = [("grpc.enable_retries", 0), ("grpc.max_receive_message_length", -1)]
        self.channel = grpc.insecure_channel(self.server.address, options)
        self.stub = ScriptServiceStub(self.channel)
        self.is_stopped = False
        self.model.forget_run()

    def end(self, kill: bool) -> None:
        """Ends the server with what runs on it."""
        if kill:
            self.server.kill()
            # What was in memory is lost; what was begun is not.
            outcome = Outcome(INTERRUPTED, Kind.EXECUTION_ERROR_KIND_INTERRUPTED)
        else:
            assert self.server.terminate() == 0
            outcome = line_then(INTERRUPTED)
        # Not before: those whose call is lost would be cancelled.
        self.channel.close()
        self.end_loops(outcome)

    def end_loops(self, outcome: Outcome) -> None:
        """All that goes on has ended."""
        for execution_id in self.loops:
            self.model.end(execution_id, outcome)
        self.loops.clear()
        self.calls.clear()

    def call(self, method: str, request: object) -> Any:
        """The answer, or the stream of them."""
        return getattr(self.stub, method)(request, timeout=PATIENCE)

    def teardown(self) -> None:
        self.channel.close()
        self.server.kill()
        self.folder.cleanup()

    @invariant()
    def counts_are_right(self) -> None:
        for execution_id, since in list(self.loops.items()):
            if time.monotonic() - since > LOOP_SECONDS:
                self.cancel_loop(execution_id)
        details = self.call("HealthCheck", api.HealthCheckRequest()).health.details
        assert details["stored_scripts"].int_value == len(self.model.scripts)
        assert details["stored_executions"].int_value == len(self.model.executions)
        assert details["active_executions"].int_value == len(self.loops)
        assert details["total_executions"].int_value == self.model.ended
        assert details["cache_rejections"].int_value == self.model.rejections
        assert details["cache_size"].int_value <= CACHE_SIZE

    def cancel_loop(self, execution_id: str) -> None:
        """Ends one of the loops by CancelExecution."""
        record = self.call("CancelExecution", api.CancelExecutionRequest(execution_id=execution_id)).execution
        assert record.state == CANCELLED
        self.loop_ended(execution_id, CANCELLED)

    def loop_ended(self, execution_id: str, state: State) -> None:
        """One of the loops has ended."""
        del self.loops[execution_id], self.calls[execution_id]
        self.model.end(execution_id, line_then(state))
        self.check_execution(execution_id)

    def stored(self, program: Program) -> None:
        """Notes that a program was stored just now; its time of creation is the server's, and never changes."""
        known = self.model.scripts.get(program.script_id)
        found = self.call("GetScript", api.GetScriptRequest(script_id=program.script_id)).script
        created = found.create_time.ToNanoseconds()
        if known is None:
            assert time.time_ns() - created < PATIENCE * 1e9
            self.model.scripts[program.script_id] = StoredScript(program, created)
        else:
            assert created == known.create_time

    def compiled(self, program: Program, name: str | None = None, *, force: bool = False) -> None:
        """Compiles a program, under a name or none."""
        request = api.CompileScriptRequest(source=program.source)
        request.context.name, request.context.force = name or "", force
        is_compiled = self.model.obtain(program.script_id, force=force)
        answer = self.call("CompileScript", request)
        assert answer.success
        assert answer.script.script_id == program.script_id
        assert answer.script.cached is not is_compiled
        assert [function.name for function in answer.script.functions] == ["main"]
        self.stored(program)
        if name:
            self.model.names[name] = program.script_id

    def check_figures(self) -> None:
        """Compares what is counted for each script, and for the server since its start."""
        scripts = list(self.model.scripts)
        answer = self.call("GetMetrics", api.GetMetricsRequest(script_ids=scripts))
        assert [stats.script_id for stats in answer.script_stats] == scripts
        for stats in answer.script_stats:
            known = self.model.scripts[stats.script_id]
            assert (stats.total_executions, stats.successful_executions) == (known.total, known.successful)
            assert stats.HasField("last_execution_time") == (known.total > 0)
        assert answer.metrics.total_compilations == self.model.compilations
        assert answer.metrics.total_executions == self.model.ended

    def run(
        self, context: execution_pb2.ExecutionContext, is_stream: bool
    ) -> tuple[execution_pb2.ExecutionResult, str]:
        """Executes to the end."""
        if not is_stream:
            return self.call("ExecuteScript", api.ExecuteScriptRequest(context=context)).result, ""
        return read(self.call("ExecuteScriptStream", api.ExecuteScriptStreamRequest(context=context)))

    def start_loop(self, *, detached: bool) -> None:
        """Executes what goes on until it is ended."""
        context = execution_pb2.ExecutionContext(source=LOOP.source, detached=detached, execution_id=uuid.uuid4().hex)
        self.model.obtain(LOOP.script_id)
        # It has the thirty seconds of Production, and no more of the processor than it needs for its line.
        context.limits.max_cpu_percentage = 5
        call = self.first_line(context)
        self.stored(LOOP)
        self.begun(context.execution_id, context, LOOP)
        self.loops[context.execution_id], self.calls[context.execution_id] = time.monotonic(), call
        self.check_execution(context.execution_id)

    def first_line(self, context: execution_pb2.ExecutionContext) -> Any:
        """Executes a loop; the call, after the first line has come."""
        call = self.call("ExecuteScriptStream", api.ExecuteScriptStreamRequest(context=context))
        assert next(call).chunk.stdout == "up\n"
        return call

    def begun(self, execution_id: str, context: execution_pb2.ExecutionContext, program: Program) -> None:
        """Notes an execution that is new; its time of creation is the server's."""
        assert execution_id not in self.model.executions
        record = self.call("GetExecution", api.GetExecutionRequest(execution_id=execution_id)).execution
        context.execution_id = execution_id
        created = record.create_time.ToNanoseconds()
        self.model.executions[execution_id] = StoredExecution(context, program, RUNNING, created)

    def some_execution(self, pick: int) -> StoredExecution:
        """One of those that there are."""
        return list(self.model.executions.values())[pick % len(self.model.executions)]

    def wait_ended(self, execution_id: str) -> None:
        """Waits until the end of an execution is stored."""
        request = api.GetExecutionRequest(execution_id=execution_id)
        wait_until(lambda: self.call("GetExecution", request).execution.HasField("result"), "it does not end")

    def check_execution(self, execution_id: str) -> None:
        """Compares the whole record; of one that was not looked at since its end, remembers the result."""
        known = self.model.executions[execution_id]
        record = self.call("GetExecution", api.GetExecutionRequest(execution_id=execution_id)).execution
        assert (record.execution_id, record.script_id) == (execution_id, known.program.script_id)
        assert (record.script_name, record.function) == (known.context.script_name, "main")
        assert (record.state, record.detached) == (known.state, known.context.detached)
        assert (record.redacted, record.principal) == (known.redacted, PRINCIPAL)
        assert record.create_time.ToNanoseconds() == known.create_time
        assert record.HasField("result") == record.HasField("end_time") == (known.outcome is not None)
        if known.outcome is None:
            return
        if known.result is None:
            known.result, known.last_sequence = record.result, record.last_sequence
        assert record.result == known.result
        assert record.last_sequence == known.last_sequence
        check_outcome(record.result, known.outcome, is_redacted=known.redacted)

    def check_end(self, result: execution_pb2.ExecutionResult, known: StoredExecution, is_stream: bool) -> None:
        """Compares a result that was given again."""
        expected = execution_pb2.ExecutionResult()
        if known.result is None:
            self.check_execution(known.context.execution_id)
        assert known.result is not None
        expected.CopyFrom(known.result)
        if is_stream:
            for field in ("stdout", "stderr", "stdout_truncated", "stderr_truncated"):
                expected.ClearField(field)
        assert result == expected


def line_then(state: State) -> Outcome:
    """How a loop ends, from outside, that has written its line."""
    return Outcome(state, KINDS[state], stdout="up\n")


def read(call: Any) -> Ended:
    """The end of a stream, and its text."""
    *chunks, last = [response.chunk for response in call]
    first = chunks[0].sequence if chunks else last.sequence
    assert [chunk.sequence for chunk in [*chunks, last]] == list(range(first, first + len(chunks) + 1))
    kind = last.WhichOneof("chunk")
    assert kind in ("complete", "error")
    result = last.complete if kind == "complete" else last.error
    assert result.success == (kind == "complete")
    return result, "".join(chunk.stdout + chunk.stderr for chunk in chunks)


def check_outcome(result: execution_pb2.ExecutionResult, outcome: Outcome, *, is_redacted: bool) -> None:
    """Compares a result with what the program does."""
    assert result.success == (outcome.state == SUCCEEDED)
    assert result.error.kind == outcome.kind
    # Contents can be erased, not how much there was of them.
    assert (result.stdout_bytes, result.stderr_bytes) == (len(outcome.stdout), len(outcome.stderr))
    if is_redacted:
        assert not result.HasField("return_value")
        assert not result.error.HasField("value")
        assert (result.stdout, result.stderr) == ("", "")
        return
    assert (result.stdout, result.stderr) == (outcome.stdout[:HEAD_BYTES], outcome.stderr)
    assert result.stdout_truncated == (len(outcome.stdout) > HEAD_BYTES)
    has_value, value = (
        (result.HasField("return_value"), result.return_value)
        if result.success
        else (result.error.HasField("value"), result.error.value)
    )
    assert has_value == (outcome.value is not None)
    assert outcome.value is None or value == outcome.value
