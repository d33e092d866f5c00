"""One execution while it lives: a task of the engine's own, which RPCs only observe."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Sequence

from crucible.v1 import execution_pb2, script_pb2, security_pb2, value_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.engine import bounds, profiles, results, story, values
from crucible_server.engine.cache import CompiledUnit
from crucible_server.engine.host_calls import HostCallContext, HostCalls
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.job import OUTPUT_CREDIT, Ending, Job, Kind, error_of
from crucible_server.engine.output import OutputLog
from crucible_server.engine.results import State, merge, split, state_of
from crucible_server.errors import ErrorKind, ServiceError, invalid, unavailable
from crucible_server.events.journal import EventSink
from crucible_server.files.allowance import FileAllowance
from crucible_server.outbound.allowance import Allowance
from crucible_server.policy.grants import Grant
from crucible_server.store import (
    EventDraft,
    ExecutionEnd,
    ExecutionRecord,
    OutputSegment,
    Store,
    StoreError,
    StoreErrorKind,
)
from crucible_server.telemetry.place import Fact, recorder, span


class Execution:
    """Runs once, from its record in the store to its end there."""

    def __init__(
        self,
        record: ExecutionRecord,
        context: execution_pb2.ExecutionContext,
        grant: Grant,
        unit: CompiledUnit,
        arguments: list[value_pb2.Value],
        store: Store,
        events: EventSink,
    ) -> None:
        self.record = record
        self.grant = grant
        self.output = OutputLog(self._keep, self._load)
        self._store = store
        self._events = events
        loop = asyncio.get_running_loop()
        self.begun: asyncio.Future[ExecutionRecord | None] = loop.create_future()
        """Set once the record is committed: to None, or to the record that has this id already."""
        self.finished: asyncio.Future[execution_pb2.ExecutionResult] = loop.create_future()
        """Set once the end is committed."""
        self.unstored: tuple[ExecutionEnd, Sequence[EventDraft]] | None = None
        """Its end, with the events that tell of it, when the store would not take it: to be tried again."""
        self.is_fault = False
        """It ended by a fault of the server, as far as the server itself saw."""
        self.lost_at: float | None = None
        """When it went with its interpreter, on the monotonic clock in seconds; None when it did not."""
        self.is_crash = False
        """Its interpreter crashed."""
        self.started_ns = 0
        self._ending: Ending | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._job: Job | None = None
        self._start = child_pb2.Start(
            protocol_version=1,
            seed=context.seed or secrets.token_bytes(32),
            limits=bounds.job_limits(grant.limits),
            security_level=grant.level,
            modules=grant.modules,
            output_credit_bytes=OUTPUT_CREDIT,
            environment=context.environment,
            working_directory=context.working_directory,
            execute=child_pb2.ExecuteJob(
                unit=unit.unit, function=record.function, arguments=arguments, profile=context.profile
            ),
        )
        # Nobody may be waiting when one fails; the store knows.
        for future in (self.begun, self.finished):
            future.add_done_callback(lambda f: f.cancelled() or f.exception())

    @property
    def state(self) -> State:
        """How far it has come."""
        if self.finished.done() and not self.finished.exception():
            return state_of(self.finished.result())
        return State.EXECUTION_STATE_RUNNING if self.started_ns else State.EXECUTION_STATE_QUEUED

    def end(self, ending: Ending) -> None:
        """Ends it from outside; without effect on one that has ended."""
        if self._ending is None:
            self._ending = ending
        if self._job is not None:
            self._job.end(self._ending)
        elif self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def follow(self, life: Awaitable[None]) -> None:
        """Awaits its whole life: one span, with those of its stages below."""
        record = self.record
        facts: dict[str, Fact] = {
            "crucible.execution.id": record.execution_id,
            "crucible.execution.detached": record.detached,
            "crucible.script.id": record.script_id,
            "crucible.security.level": results.level_word(self.grant.level),
        }
        with span("execute", facts=facts) as executing:
            await life
            if self.finished.done() and not self.finished.exception() and not self.finished.result().success:
                executing.failed(results.error_word(self.finished.result().error.kind))

    async def _keep(self, segment: OutputSegment) -> None:
        await self._store.append_output(self.record.tenant, self.record.execution_id, segment)

    async def _load(self, after: int) -> OutputSegment | None:
        return await self._store.get_output(self.record.tenant, self.record.execution_id, after)

    async def committed(self) -> ExecutionRecord:
        """The record that has its id, once it is committed: nobody is told of one that a crash could undo."""
        return await asyncio.shield(self.begun) or self.record

    async def begin(self) -> bool:
        """Commits the record; False when the id is taken. Raises StoreError when it cannot be stored."""
        try:
            runs = self.record.state == State.EXECUTION_STATE_RUNNING
            started = (story.started(self._events, self.record),) if runs else ()
            with span("commit record"):
                existing = await self._store.begin_execution(self.record, started)
        except BaseException as error:
            self.begun.set_exception(error)
            self.finished.set_exception(error)
            self.output.close()
            raise
        self.begun.set_result(existing)
        if existing is not None:
            self.finished.set_exception(unavailable("the execution id was taken a moment ago; ask again", 0.1))
            self.output.close()
        return existing is None

    async def wait_turn(self, turn: asyncio.Future[None]) -> bool:
        """Waits for its turn; False when it was ended before it came."""
        if self._ending is not None:
            return False
        self._waiting = asyncio.get_running_loop().create_future()
        await asyncio.wait((turn, self._waiting), return_when=asyncio.FIRST_COMPLETED)
        return self._ending is None

    async def run(self, interpreter: Interpreter, host_calls: HostCalls, retention_ns: int) -> None:
        """Runs the script and stores the end; sets `finished` then, or with the error if it cannot be stored."""
        try:
            result = await self._result(interpreter, host_calls)
            rest = await self.output.settle()
            end = self._end_of(result, rest, retention_ns)
            try:
                told = story.ended(self._events, self.record, result)
                with span("commit result"):
                    await self._store.finish_execution(end, told)
            except StoreError as error:
                if error.kind is not StoreErrorKind.CONFLICT:
                    self.unstored = (end, told)
                    raise
                result = await self._other_end(error)
            self.finished.set_result(result)
        except BaseException as error:
            if not self.finished.done():
                self.finished.set_exception(error)
            if not isinstance(error, Exception):
                raise
        finally:
            self.output.close()

    async def _other_end(self, error: StoreError) -> execution_pb2.ExecutionResult:
        """The end that another server has recorded, which is the one that counts; raises the error without one."""
        record = await self._store.get_execution(self.record.tenant, self.record.execution_id)
        if record is None or record.result is None:
            raise error
        return merge(record)

    def _end_of(
        self, result: execution_pb2.ExecutionResult, output: OutputSegment | None, retention_ns: int
    ) -> ExecutionEnd:
        end_time = time.time_ns()
        stored, value = split(result)
        return ExecutionEnd(
            tenant=self.record.tenant,
            execution_id=self.record.execution_id,
            script_id=self.record.script_id,
            state=state_of(result),
            start_time=self.started_ns or None,
            end_time=end_time,
            expire_time=end_time + retention_ns,
            result=stored,
            return_value=value,
            output=output,
            last_sequence=self.output.last_sequence,
            success=result.success,
            execution_time_ns=result.execution_time.ToNanoseconds(),
            memory_bytes=result.resource_usage.memory_bytes,
        )

    def _hand_over(self, job: Job) -> None:
        # It may have been ended while its child was being made.
        self._job = job
        if self._ending is not None:
            job.end(self._ending)

    async def _result(self, interpreter: Interpreter, host_calls: HostCalls) -> execution_pb2.ExecutionResult:
        result = execution_pb2.ExecutionResult(execution_id=self.record.execution_id, script_id=self.record.script_id)
        network = Allowance(self.grant.limits.max_network_requests)
        files = FileAllowance(host_calls.max_file_bytes)
        calls = host_calls.handler(HostCallContext(self.record, network, files), frozenset(self.grant.modules))
        job = Job(self._start, self.output, calls)
        network.room = files.room = job.room
        if self._ending is not None:
            result.error.CopyFrom(error_of(self._ending))
            return result
        limits = bounds.child_limits(self.grant.limits)
        began = time.perf_counter()
        try:
            with span("fork") as forking:
                child = await interpreter.take(limits)
                forking.fact("crucible.spare", child.was_spare)
        except ServiceError as error:
            # The record exists, so the caller gets a result that it can ask for again.
            is_short = error.kind == ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED
            # What scripts have used up that may start processes is no fault of the server.
            self.is_fault = not is_short or self.grant.level != security_pb2.SECURITY_LEVEL_DEVELOPMENT
            result.error.kind = (
                Kind.EXECUTION_ERROR_KIND_RESOURCE_EXCEEDED if is_short else Kind.EXECUTION_ERROR_KIND_INTERNAL
            )
            result.error.message = f"not run: {error.message}"
            if is_short:
                result.error.message += " under another execution id"
            return result
        recorder().forked(time.perf_counter() - began, is_spare=child.was_spare)
        self.started_ns = self._start.start_time_ns = time.time_ns()
        if self.grant.limits.max_execution_time is not None:
            network.deadline = time.monotonic() + self.grant.limits.max_execution_time
        self._hand_over(job)
        with span("run") as running:
            await job.run(child, limits)
            running.fact("crucible.instructions", job.usage.operations_count)
            running.fact("crucible.host_calls", job.host_calls)
        self.is_crash = job.is_crash
        self.lost_at = time.monotonic() if job.is_interpreter_lost else None
        self.is_fault = job.is_interpreter_lost or self.output.failure is not None
        result.execution_time.FromNanoseconds(int(job.elapsed * 1e9))
        result.resource_usage.CopyFrom(job.usage)
        result.resource_usage.network_io_bytes = network.bytes_moved
        result.resource_usage.file_io_bytes = files.bytes_moved
        result.stdout_bytes = self.output.stdout_bytes
        result.stderr_bytes = self.output.stderr_bytes
        if isinstance(job.result, child_pb2.ExecuteResult):
            if job.result.WhichOneof("outcome") == "value":
                result.success = True
                result.return_value.CopyFrom(job.result.value)
            else:
                result.error.CopyFrom(job.result.error)
            if job.result.HasField("profile"):
                # Of some milliseconds, which others need not wait for.
                result.profile = await asyncio.to_thread(
                    profiles.encode, job.result.profile, self.started_ns, int(job.elapsed * 1e9)
                )
        else:
            assert job.failure is not None
            result.error.CopyFrom(job.failure)
        return result


def bind(context: execution_pb2.ExecutionContext, unit: CompiledUnit, name: str) -> list[value_pb2.Value]:
    """The arguments of an execution in the order of the parameters. Raises ServiceError (VALIDATION_ERROR)."""
    function = unit.functions.get(name)
    if function is None or not function.is_public:
        public = [f.name for f in unit.script.functions if f.is_public]
        raise invalid(
            "context.function",
            f"expected a function declared `pub fn`, in modules declared `pub mod`, got {name[:80]!r}; "
            "the script's public functions are: " + (", ".join(public[:16]) or "none"),
        )
    arguments = dict(context.arguments)
    try:
        if context.arguments_json:
            if arguments:
                raise invalid("context.arguments_json", "expected either this or `arguments`, got both")
            arguments = values.from_json(context.arguments_json, "context.arguments_json")
        for key, value in arguments.items():
            values.check(value, f'context.arguments["{key}"]')
    except values.InvalidValueError as error:
        raise invalid(error.path, error.description) from None
    ordered, wrong = _in_order(function, arguments)
    if wrong:
        raise invalid("context.arguments", wrong)
    return ordered


def _in_order(
    function: script_pb2.FunctionInfo, arguments: dict[str, value_pb2.Value]
) -> tuple[list[value_pb2.Value], str]:
    """Arguments in the order of the parameters, and what is wrong with them: empty when nothing is."""
    names = [parameter.name for parameter in function.parameters]
    missing = [name for name in names if name not in arguments]
    extra = [name for name in arguments if name not in names]
    if missing or extra:
        parts = []
        if missing:
            parts.append("missing: " + ", ".join(missing))
        if extra:
            parts.append("not expected: " + ", ".join(sorted(extra)[:16]))
        expected = ", ".join(names) if names else "no arguments"
        return [], f"`{function.name}` expects {expected}; {'; '.join(parts)}"
    return [arguments[name] for name in names], ""
