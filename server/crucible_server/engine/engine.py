"""The engine: runs executions, which callers observe."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from crucible.v1 import execution_pb2, security_pb2
from crucible_server.engine import bounds, results, story
from crucible_server.engine.admission import Ticket
from crucible_server.engine.elsewhere import cancellation
from crucible_server.engine.execution import Execution, bind
from crucible_server.engine.history import execution_not_found
from crucible_server.engine.identity import request_hash
from crucible_server.engine.job import Ending, Kind
from crucible_server.engine.output import Output, OutputChunk, StoredOutput
from crucible_server.engine.results import State
from crucible_server.engine.service import Service
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.policy.grants import Grant
from crucible_server.store import ExecutionRecord, StoreError
from crucible_server.telemetry.place import recorder, span

Level = security_pb2.SecurityLevel
_EXECUTION_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Observed:
    """An execution as an observer sees it: its record, and while it lives the execution itself."""

    record: ExecutionRecord
    live: Execution | None


class Engine(Service):
    """Runs executions as tasks of its own; callers observe them."""

    async def execute(
        self, context: execution_pb2.ExecutionContext, grant: Grant, *, announce: bool = True
    ) -> tuple[Observed, bool]:
        """Begins an execution, or joins the one that has this id; True when it was begun by this call.

        With `announce` it returns once the record is committed, so that its id may be told. Without, for an
        id that is chosen here and told with the result only, a failure to commit comes with the result.

        Raises ServiceError for whatever cannot be started; nothing is stored then.
        """
        self.require_running()
        execution_id = context.execution_id
        if not execution_id:
            execution_id = f"exec-{secrets.token_hex(16)}"
        elif not _EXECUTION_ID.match(execution_id):
            raise invalid(
                "context.execution_id",
                "expected at most 128 letters, digits, `_`, `-`, `.`; leave it empty for a new one",
            )
        digest = request_hash(context)
        if context.execution_id:
            known = await self._known(grant.tenant, execution_id)
            if known is not None:
                return self._join(known, digest), False
        if context.seed and len(context.seed) != 32:
            raise invalid("context.seed", f"expected 32 bytes or none, got {len(context.seed)}")
        self.crashes.check(grant.tenant, grant.principal)
        with span("resolve"):
            unit = await self.scripts.resolve(context, grant)
        function = context.function or "main"
        arguments = bind(context, unit, function)
        # Compiling took a while: the same id may have come in again, or the server may be stopping now.
        if (twin := self._live.get((grant.tenant, execution_id))) is not None:
            return self._join(await twin.committed(), digest), False
        self.require_running()
        now = time.time_ns()
        ticket = self.admission.enter(
            grant.principal, grant.limits.max_concurrent_operations, bounds.reserved_memory(grant.limits)
        )
        record = ExecutionRecord(
            tenant=grant.tenant,
            execution_id=execution_id,
            request_hash=digest,
            script_id=unit.script_id,
            script_name=context.script_name,
            function=function,
            state=State.EXECUTION_STATE_RUNNING if ticket.running else State.EXECUTION_STATE_QUEUED,
            detached=context.detached,
            principal=grant.principal,
            security_level=grant.level,
            instance_id=self.instance_id,
            create_time=now,
            start_time=now if ticket.running else None,
            end_time=None,
            expire_time=None,
            request=_without_source(context),
            result=None,
            last_sequence=0,
            limits=bounds.stored_limits(grant.limits),
            redacted=False,
            return_value=None,
        )
        execution = Execution(record, context, grant, unit, arguments, self.store, self.events)
        self._live[grant.tenant, execution_id] = execution
        self._idle.clear()
        task = asyncio.get_running_loop().create_task(execution.follow(self._run(execution, ticket)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        observed = Observed(record, execution)
        if not announce and not context.execution_id:
            return observed, True
        try:
            existing = await asyncio.shield(execution.begun)
        except asyncio.CancelledError:
            self.abandon(observed)
            raise
        if existing is not None:
            return self._join(existing, digest), False
        return observed, True

    async def _run(self, execution: Execution, ticket: Ticket) -> None:
        """The whole life of an execution. Its record is committed before its child starts."""
        record = execution.record
        limits = execution.grant.limits
        patience, time_limit = limits.operation_timeout, limits.max_execution_time
        timer = None
        # One that runs at once meets its own time limit first.
        if patience is not None and not (ticket.running and time_limit is not None and time_limit < patience):
            timer = asyncio.get_running_loop().call_later(
                patience,
                execution.end,
                Ending(
                    Kind.EXECUTION_ERROR_KIND_TIMEOUT,
                    f"the execution, with its time in the queue, took longer than {patience:g} s (operation_timeout); "
                    "raise that limit, or come when the server is less busy",
                    "operation_timeout",
                    math.ceil(patience * 1000),
                ),
            )
        try:
            if not await execution.begin():
                return
            with span("queue"):
                # Its turn may have come while its record was committed.
                began, is_late = time.perf_counter(), record.state == State.EXECUTION_STATE_QUEUED
                is_due = is_late and await execution.wait_turn(ticket.turn)
            recorder().queued(time.perf_counter() - began if is_late else 0.0)
            if is_due and self._may_still_run(execution):
                started = (story.started(self.events, record),)
                self.store.mark_running(record.tenant, record.execution_id, time.time_ns(), started)
            is_development = execution.grant.level == Level.SECURITY_LEVEL_DEVELOPMENT
            interpreter = self.development if is_development else self.interpreter
            await execution.run(interpreter, self.host_calls, self._settings.retention.executions_ns)
            if execution.unstored is not None:
                self.upkeep.store_later(*execution.unstored)
            if execution.is_crash:
                self.crashes.note(record.tenant, record.principal)
            result = execution.finished.result()
            self.figures.ended(result, is_fault=execution.is_fault, lost_at=execution.lost_at)
            recorder().executed(result, execution.grant.level)
        except StoreError as error:
            # Whoever waits has been told.
            self.upkeep.refused(error)
            log.error("execution_not_stored", execution_id=record.execution_id, reason=error.message)
        except Exception:
            log.exception("execution_failed", execution_id=record.execution_id)
        finally:
            if timer is not None:
                timer.cancel()
            self.admission.leave(ticket)
            self._live.pop((record.tenant, record.execution_id), None)
            if not self._live:
                self._idle.set()

    def _may_still_run(self, execution: Execution) -> bool:
        # While it waited, those before it may have used up what its principal may crash.
        try:
            self.crashes.check(execution.grant.tenant, execution.grant.principal)
        except ServiceError as error:
            execution.end(Ending(Kind.EXECUTION_ERROR_KIND_CANCELLED, f"not run: {error.message}"))
            return False
        return True

    def _join(self, record: ExecutionRecord, digest: bytes) -> Observed:
        if record.request_hash != digest:
            raise ServiceError(
                ErrorKind.ERROR_KIND_EXECUTION_EXISTS,
                f"the execution id {record.execution_id!r} is taken by another request; choose another id",
            )
        return Observed(record, self._live.get((record.tenant, record.execution_id)))

    async def observe(self, tenant: str, execution_id: str) -> Observed:
        """An execution by its id. Raises ServiceError (EXECUTION_NOT_FOUND)."""
        record = await self._known(tenant, execution_id)
        if record is None:
            raise execution_not_found(execution_id)
        return Observed(record, self._live.get((tenant, execution_id)))

    async def _known(self, tenant: str, execution_id: str) -> ExecutionRecord | None:
        """A record that is committed. Raises StoreError."""
        live = self._live.get((tenant, execution_id))
        return await (live.committed() if live else self.store.get_execution(tenant, execution_id))

    async def result(self, observed: Observed) -> tuple[execution_pb2.ExecutionResult, Output]:
        """Waits for the end of an execution; its result, without output, and its output."""
        if observed.live is not None:
            return await asyncio.shield(observed.live.finished), observed.live.output
        record = observed.record
        if record.result is None:
            record = await self._elsewhere.ended(record)
        result = results.merge(record)
        return result, self._stored_output(record, result)

    def _stored_output(self, record: ExecutionRecord, result: execution_pb2.ExecutionResult) -> Output:
        tenant, execution_id = record.tenant, record.execution_id
        return StoredOutput(
            result,
            record.last_sequence,
            lambda after: self.store.get_output(tenant, execution_id, after),
            lambda is_stderr, after: self.store.get_output_of(tenant, execution_id, is_stderr, after),
        )

    async def follow(
        self, observed: Observed, after: int, skip_output: bool = False
    ) -> AsyncIterator[OutputChunk | tuple[int, execution_pb2.ExecutionResult]]:
        """The output after a sequence number while it comes, then the last sequence number and the result.

        Raises ServiceError (EXECUTION_NOT_FOUND) when it is deleted or erased on the way, rather than leave a gap.
        """
        position = after
        if observed.live is not None and not skip_output:
            async for chunk in observed.live.output.follow(after):
                yield chunk
                position = chunk.sequence
        result, output = await self.result(observed)
        if observed.live is None and not skip_output:
            async for chunk in output.follow(after):
                yield chunk
                position = chunk.sequence
        if after < position < output.last_sequence:
            raise execution_not_found(observed.record.execution_id)
        yield output.last_sequence + 1, result

    async def cancel(self, tenant: str, execution_id: str, reason: str) -> Observed:
        """Ends an execution and waits until its end is stored; without effect on one that has ended."""
        observed = await self.observe(tenant, execution_id)
        if observed.live is not None:
            observed.live.end(cancellation(reason))
            await asyncio.shield(observed.live.finished)
            observed = await self.observe(tenant, execution_id)
        elif observed.record.result is None:
            observed = Observed(await self._elsewhere.cancel(observed.record, reason), None)
        return observed

    def abandon(self, observed: Observed) -> None:
        """The call that an execution belonged to is lost: a detached one lives on, another is killed at once."""
        if observed.live is not None and not observed.record.detached:
            why = "the call that it belonged to was cancelled, timed out or lost its connection"
            observed.live.end(Ending(Kind.EXECUTION_ERROR_KIND_CANCELLED, why))


def _without_source(context: execution_pb2.ExecutionContext) -> bytes:
    if not context.HasField("source"):
        return context.SerializeToString()
    copy = execution_pb2.ExecutionContext()
    copy.CopyFrom(context)
    copy.ClearField("source")
    return copy.SerializeToString()
