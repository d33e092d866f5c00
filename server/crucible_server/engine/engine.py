"""The engine: owns scripts, executions and the interpreter, from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from crucible.v1 import execution_pb2, security_pb2, server_info_pb2
from crucible.vm.v1 import zygote_pb2
from crucible_server.config import FilesConfig, HttpConfig, IsolationConfig
from crucible_server.engine import bounds, results, story
from crucible_server.engine.admission import Admission, Ticket
from crucible_server.engine.cache import UnitCache
from crucible_server.engine.catalog import Catalog
from crucible_server.engine.crashes import CrashLimit
from crucible_server.engine.elsewhere import Elsewhere, cancellation
from crucible_server.engine.execution import Execution, bind
from crucible_server.engine.figures import Figures
from crucible_server.engine.history import History, execution_not_found
from crucible_server.engine.host_calls import HostCalls
from crucible_server.engine.identity import UnitSeal, request_hash
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.isolation import DEVELOPMENT, isolation_of_tree
from crucible_server.engine.job import Ending, Kind
from crucible_server.engine.output import Output, OutputChunk, StoredOutput
from crucible_server.engine.renewal import RenewalClock
from crucible_server.engine.results import State
from crucible_server.engine.scripts import Scripts
from crucible_server.engine.spares import SpareTarget
from crucible_server.engine.upkeep import Retention, Upkeep
from crucible_server.errors import ErrorKind, ServiceError, invalid, unavailable
from crucible_server.events.journal import Journal
from crucible_server.files.client import Files
from crucible_server.policy.grants import Grant
from crucible_server.policy.principals import Caller
from crucible_server.store import ExecutionRecord, Store, StoreError
from crucible_server.telemetry.place import recorder, span

Level = security_pb2.SecurityLevel
Status = server_info_pb2.ServiceStatus
_EXECUTION_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")
_COMPILERS_PER_PROCESSOR = 2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the engine is told at its start."""

    vm_path: Path
    spare_children: int
    max_spare_children: int
    spare_limits: zygote_pb2.ChildLimits
    max_concurrent_executions: int
    max_queued_executions: int
    max_executions_memory: int
    max_crashes_per_minute: int
    is_caching: bool
    cache_entries: int
    cache_bytes: int
    retention: Retention
    http: HttpConfig
    isolation: IsolationConfig
    require_isolation: tuple[str, ...]
    allow_development: bool
    files: FilesConfig = field(default_factory=FilesConfig)
    traced_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """An execution as an observer sees it: its record, and while it lives the execution itself."""

    record: ExecutionRecord
    live: Execution | None


class Engine:
    """Runs executions as tasks of its own; callers observe them."""

    def __init__(self, settings: EngineSettings, store: Store, seal: UnitSeal) -> None:
        self._settings = settings
        self.store = store
        self.instance_id = store.instance_id
        self.events = Journal(store, f"server/{self.instance_id}")
        most = _COMPILERS_PER_PROCESSOR * len(os.sched_getaffinity(0))
        self.interpreter = Interpreter(
            settings.vm_path,
            SpareTarget(settings.spare_children, settings.max_spare_children),
            settings.spare_limits,
            load=lambda: len(self._live),
            isolation=isolation_of_tree(
                settings.isolation,
                settings.require_isolation,
                jobs=settings.max_concurrent_executions + most,
                spares=settings.max_spare_children,
                memory=settings.max_executions_memory + most * settings.spare_limits.heap_bytes,
            ),
            renewal=RenewalClock(settings.isolation.zygote_renewal_crashes, settings.isolation.zygote_renewal_interval),
        )
        self.development = Interpreter(
            settings.vm_path, SpareTarget(0, 0), settings.spare_limits, isolation=DEVELOPMENT
        )
        """Runs scripts outside the jail, where the operator allowed it; compiles nothing."""
        cache = UnitCache(settings.cache_entries, settings.cache_bytes)
        self._max_compilers = most
        self.compilers = Admission("compilers", most, settings.max_queued_executions)
        self.crashes = CrashLimit(settings.max_crashes_per_minute)
        self.scripts = Scripts(
            self.interpreter,
            self.compilers,
            self.crashes,
            store,
            seal,
            cache,
            self.events,
            is_caching=settings.is_caching,
        )
        self.catalog = Catalog(store, self.scripts)
        self.admission = Admission(
            "executions",
            settings.max_concurrent_executions,
            settings.max_queued_executions,
            settings.max_executions_memory,
        )
        self.files = Files(settings.vm_path, settings.files) if settings.files.allow_file_access else None
        """The files of scripts; None when the operator allows none."""
        self.host_calls = HostCalls(settings.http, self.files, settings.traced_origins)
        self.figures = Figures()
        self.status: Status = Status.SERVICE_STATUS_STARTING
        self.no_development = ""
        """Why this machine cannot give Development although it was allowed; empty otherwise."""
        self.on_status: Callable[[Status], None] = lambda _: None
        self._live: dict[tuple[str, str], Execution] = {}
        self.history = History(store, self._live)
        self._elsewhere = Elsewhere(store, self.scripts, self._live)
        self.upkeep = Upkeep(store, self.scripts, self.interpreter, settings.retention, self.events)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._resumptions = 0
        self._closing = False

    @property
    def service_id(self) -> str:
        """What this run of the server is called among services."""
        return f"crucible-{self.instance_id}"

    @property
    def active(self) -> int:
        """Executions that live, queued ones included."""
        return len(self._live)

    @property
    def isolation_layers(self) -> list[server_info_pb2.IsolationLayer]:
        """What confines scripts, what acts for them, and what there is outside of the jail."""
        files = self.files.layers if self.files is not None else ()
        outside = list(self.development.ready.layers)
        if self.no_development:
            outside.append(server_info_pb2.IsolationLayer(name="development", detail=self.no_development))
        return [*self.interpreter.ready.layers, *files, *outside]

    def apply(self, settings: EngineSettings) -> None:
        """Takes up what can change while it runs; what has begun keeps what it began with."""
        self._settings = settings
        self.scripts.is_caching = settings.is_caching
        self.scripts.resize_cache(settings.cache_entries, settings.cache_bytes)
        self.compilers.resize(self._max_compilers, settings.max_queued_executions)
        self.admission.resize(
            settings.max_concurrent_executions, settings.max_queued_executions, settings.max_executions_memory
        )
        self.crashes.resize(settings.max_crashes_per_minute)
        self.interpreter.resize(settings.spare_children, settings.max_spare_children, settings.spare_limits)
        self.host_calls.apply(settings.http)
        self.upkeep.retention = settings.retention

    # -- life of the service

    async def start(self) -> None:
        """Starts the interpreter and settles what an earlier run left unfinished."""
        await self.interpreter.start()
        self.store.on_lapse(self._lapsed)
        self.store.listen(self._elsewhere.heard)
        if self._settings.allow_development:
            await self._start_development()
        if self.files is not None:
            await self.files.start()
            for layer in self.files.layers:
                if not layer.active:
                    log.warning("layer_missing", layer=layer.name, reason=layer.detail)
        await self.upkeep.start()
        self._set_status(Status.SERVICE_STATUS_HEALTHY)

    async def _start_development(self) -> None:
        try:
            await self.development.start()
        except ServiceError as error:
            # The other levels need nothing of it.
            self.no_development = error.message
            await self.development.stop()
            log.error("development_refused", reason=error.message)
        else:
            log.info("development_enabled", zygote_pid=self.development.zygote_pid)

    def resume(self) -> None:
        """Takes executions again after `drain`, and calls off one that still waits.

        Raises ServiceError (UNAVAILABLE) once the engine is being stopped for good.
        """
        if self._closing:
            raise unavailable("the server is shutting down; it cannot be started again by a call")
        if self.status in (Status.SERVICE_STATUS_STOPPED, Status.SERVICE_STATUS_STOPPING):
            self._resumptions += 1
            self._set_status(Status.SERVICE_STATUS_HEALTHY)
            # Whoever drains has to wake up and find that it is called off.
            self._idle.set()
            if self._live:
                self._idle.clear()

    async def drain(self, grace: float) -> int:
        """Takes nothing new, waits `grace` seconds for what runs, ends the rest; returns how many it ended.

        Goes on when its caller is cancelled: half a drain would never come to its end.
        """
        task = asyncio.get_running_loop().create_task(self._drain(grace))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _drain(self, grace: float) -> int:
        if self.status == Status.SERVICE_STATUS_STOPPED:
            return 0
        resumptions = self._resumptions
        self._set_status(Status.SERVICE_STATUS_STOPPING)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()
                await self.scripts.settle()
        if self._resumptions != resumptions:
            return 0
        ended = len(self._live)
        for execution in list(self._live.values()):
            execution.end(Ending(Kind.EXECUTION_ERROR_KIND_INTERRUPTED, results.INTERRUPTED))
        await self._idle.wait()
        if self.status == Status.SERVICE_STATUS_STOPPING:
            self._set_status(Status.SERVICE_STATUS_STOPPED)
        return ended

    async def stop(self, grace: float) -> None:
        """Drains, then ends the interpreter."""
        self._closing = True
        await self.drain(grace)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.upkeep.stop()
        await self.interpreter.stop()
        await self.development.stop()
        if self.files is not None:
            await self.files.stop()
        await self.events.settle()

    def note_refusal(self, caller: Caller, level: int, message: str) -> None:
        """Tells that a request was refused because it asked for what is not permitted."""
        self.events.post(story.refused(self.events, caller, level, message))

    def _lapsed(self) -> None:
        # Others have recorded the end of all that was begun before: going on would only use up the machine.
        given_up = [execution for execution in self._live.values() if execution.begun.done()]
        log.error("lease_lapsed", executions=len(given_up))
        for execution in given_up:
            execution.end(Ending(Kind.EXECUTION_ERROR_KIND_INTERRUPTED, results.LAPSED))

    def _set_status(self, status: Status) -> None:
        self.status = status
        self.on_status(status)

    def require_running(self) -> None:
        """Raises ServiceError (UNAVAILABLE) unless new work is taken."""
        if self.status != Status.SERVICE_STATUS_HEALTHY:
            raise unavailable(f"the server is {status_word(self.status)} and takes no new work")

    # -- executions

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
                began, is_late = time.perf_counter(), not ticket.running
                is_due = is_late and await execution.wait_turn(ticket.turn)
            recorder().queued(time.perf_counter() - began if is_late else 0.0)
            if is_due:
                started = (story.started(self.events, record),)
                self.store.mark_running(record.tenant, record.execution_id, time.time_ns(), started)
                self._hold_back(execution)
            is_development = execution.grant.level == Level.SECURITY_LEVEL_DEVELOPMENT
            interpreter = self.development if is_development else self.interpreter
            await execution.run(interpreter, self.host_calls, self._settings.retention.executions_ns)
            if execution.unstored is not None:
                self.upkeep.store_later(*execution.unstored)
            if execution.is_crash:
                self.crashes.note(record.tenant, record.principal)
            result = execution.finished.result()
            self.figures.ended(result, is_fault=execution.is_fault, is_lost=execution.is_lost)
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

    def _hold_back(self, execution: Execution) -> None:
        # While it waited, those before it may have used up what its principal may crash.
        try:
            self.crashes.check(execution.grant.tenant, execution.grant.principal)
        except ServiceError as error:
            execution.end(Ending(Kind.EXECUTION_ERROR_KIND_CANCELLED, f"not run: {error.message}"))

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


def status_word(status: Status) -> str:
    """A status as people say it."""
    return Status.Name(status).removeprefix("SERVICE_STATUS_").lower()


def _without_source(context: execution_pb2.ExecutionContext) -> bytes:
    if not context.HasField("source"):
        return context.SerializeToString()
    copy = execution_pb2.ExecutionContext()
    copy.CopyFrom(context)
    copy.ClearField("source")
    return copy.SerializeToString()
