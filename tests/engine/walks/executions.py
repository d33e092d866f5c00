"""Steps that execute, repeat, follow, cancel, erase and delete."""

from __future__ import annotations

import uuid

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from crucible.v1 import execution_pb2
from crucible.v1 import script_service_pb2 as api
from tests.engine.walks.model import CANCELLED, PROGRAMS, RUNNING, Outcome, Program
from tests.engine.walks.server import (
    NO_SCRIPT,
    ModelledServer,
    has_executions,
    names,
    numbers,
    picks,
    programs,
    read,
    refused,
)

MAX_LOOPS = 3


class ExecutionSteps(ModelledServer):
    """Each does one thing and compares what came of it."""

    @rule(
        program=programs,
        how=st.sampled_from(["id", "name", "source"]),
        name=names,
        n=numbers,
        has_id=st.booleans(),
        is_stream=st.booleans(),
        detached=st.booleans(),
    )
    def execute(
        self, program: Program, how: str, name: str, n: int, has_id: bool, is_stream: bool, detached: bool
    ) -> None:
        context = execution_pb2.ExecutionContext(detached=detached)
        context.execution_id = uuid.uuid4().hex if has_id else ""
        script_id = program.script_id
        if how == "source":
            context.source.CopyFrom(program.source)
        elif how == "id":
            context.script_id = script_id
        else:
            context.script_name = name
            script_id = self.model.names.get(name, NO_SCRIPT)
        if script_id in self.model.scripts:
            program = self.model.scripts[script_id].program
        elif how != "source":
            request = api.ExecuteScriptRequest(context=context)
            refused("SCRIPT_NOT_FOUND", lambda: self.call("ExecuteScript", request))
            return
        if program.takes_n:
            context.arguments["n"].int_value = n
        if not program.ends:
            context.timeout.FromMilliseconds(200)
        self.model.obtain(script_id)
        result, text = self.run(context, is_stream)
        self.stored(program)
        self.begun(result.execution_id, context, program)
        outcome = program.outcome(n)
        if not program.ends and not result.stdout_bytes:
            # It was too slow for its own line.
            outcome = Outcome(outcome.state, outcome.kind)
        self.model.end(result.execution_id, outcome)
        self.check_execution(result.execution_id)
        self.check_end(result, self.model.executions[result.execution_id], is_stream)
        assert not is_stream or sorted(text) == sorted(outcome.stdout + outcome.stderr)

    @rule(program=programs)
    def execute_with_wrong_arguments(self, program: Program) -> None:
        context = execution_pb2.ExecutionContext(source=program.source)
        context.arguments["m"].int_value = 1
        self.model.obtain(program.script_id)
        refused("VALIDATION_ERROR", lambda: self.call("ExecuteScript", api.ExecuteScriptRequest(context=context)))
        self.stored(program)

    @precondition(lambda self: len(self.loops) < MAX_LOOPS)
    @rule(detached=st.booleans())
    def begin_loop(self, detached: bool) -> None:
        self.start_loop(detached=detached)

    @precondition(lambda self: self.loops)
    @rule(pick=picks)
    def lose_the_call(self, pick: int) -> None:
        execution_id = list(self.loops)[pick % len(self.loops)]
        self.calls[execution_id].cancel()
        if self.model.executions[execution_id].context.detached:
            self.check_execution(execution_id)
        else:
            self.wait_ended(execution_id)
            self.loop_ended(execution_id, CANCELLED)

    @precondition(has_executions)
    @rule(pick=picks, is_same=st.booleans(), is_stream=st.booleans())
    def repeat(self, pick: int, is_same: bool, is_stream: bool) -> None:
        known = self.some_execution(pick)
        context = execution_pb2.ExecutionContext()
        context.CopyFrom(known.context)
        if not is_same:
            context.environment["another"] = "request"
            request = api.ExecuteScriptRequest(context=context)
            refused("EXECUTION_EXISTS", lambda: self.call("ExecuteScript", request))
        elif known.state == RUNNING:
            # Who joined is not its owner: leaving ends nothing.
            self.first_line(context).cancel()
        else:
            result, text = self.run(context, is_stream)
            self.check_end(result, known, is_stream)
            assert not is_stream or sorted(text) == sorted(known.text)

    @precondition(has_executions)
    @rule(pick=picks, after=st.integers(0, 4), skips=st.booleans())
    def wait(self, pick: int, after: int, skips: bool) -> None:
        known = self.some_execution(pick)
        if known.state == RUNNING:
            return
        request = api.WaitExecutionRequest(
            execution_id=known.context.execution_id, after_sequence=after, skip_output=skips
        )
        result, text = read(self.call("WaitExecution", request))
        self.check_end(result, known, is_stream=True)
        assert sorted(text) == sorted(known.text) or after or skips
        assert not text or not skips

    @precondition(has_executions)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        known = self.some_execution(pick)
        if known.state == RUNNING:
            self.cancel_loop(known.context.execution_id)
            return
        request = api.CancelExecutionRequest(execution_id=known.context.execution_id)
        assert self.call("CancelExecution", request).execution.state == known.state
        self.check_execution(known.context.execution_id)

    @precondition(has_executions)
    @rule(pick=picks, redact_only=st.booleans())
    def delete_execution(self, pick: int, redact_only: bool) -> None:
        known = self.some_execution(pick)
        execution_id = known.context.execution_id
        request = api.DeleteExecutionRequest(execution_id=execution_id, redact_only=redact_only)
        if known.state == RUNNING:
            refused("EXECUTION_UNFINISHED", lambda: self.call("DeleteExecution", request))
            return
        self.call("DeleteExecution", request)
        if redact_only:
            known.redacted, known.result = True, None
            self.check_execution(execution_id)
            return
        del self.model.executions[execution_id]
        for method, gone in (
            ("DeleteExecution", request),
            ("GetExecution", api.GetExecutionRequest(execution_id=execution_id)),
        ):
            refused("EXECUTION_NOT_FOUND", lambda method=method, gone=gone: self.call(method, gone))  # type: ignore[misc]
        following = self.call("WaitExecution", api.WaitExecutionRequest(execution_id=execution_id))
        refused("EXECUTION_NOT_FOUND", lambda: read(following))

    @precondition(has_executions)
    @rule(pick=picks)
    def get_execution(self, pick: int) -> None:
        self.check_execution(self.some_execution(pick).context.execution_id)

    @rule(pick=picks, n=numbers)
    def run_again_what_was_deleted(self, pick: int, n: int) -> None:
        """An id that is free again names a new run."""
        program = PROGRAMS[pick % len(PROGRAMS)]
        context = execution_pb2.ExecutionContext(source=program.source, execution_id=f"reused-{pick % 3}")
        if context.execution_id in self.model.executions:
            return
        if program.takes_n:
            context.arguments["n"].int_value = n
        self.model.obtain(program.script_id)
        result, _ = self.run(context, is_stream=False)
        self.stored(program)
        self.begun(result.execution_id, context, program)
        self.model.end(result.execution_id, program.outcome(n))
        self.check_execution(result.execution_id)
