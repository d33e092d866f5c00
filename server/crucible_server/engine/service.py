"""What the engine consists of, and its life from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

import structlog

from crucible.v1 import server_info_pb2
from crucible_server.engine import results
from crucible_server.engine.admission import Admission
from crucible_server.engine.cache import UnitCache
from crucible_server.engine.catalog import Catalog
from crucible_server.engine.compiler import Compiler
from crucible_server.engine.crashes import CrashLimit
from crucible_server.engine.elsewhere import Elsewhere
from crucible_server.engine.execution import Execution
from crucible_server.engine.figures import Figures
from crucible_server.engine.history import History
from crucible_server.engine.host_calls import HostCalls
from crucible_server.engine.identity import UnitSeal
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.isolation import DEVELOPMENT, bounds_of_tree, isolation_of_tree, log_missing
from crucible_server.engine.job import Ending, Kind
from crucible_server.engine.renewal import RenewalClock
from crucible_server.engine.scripts import Scripts
from crucible_server.engine.settings import EngineSettings
from crucible_server.engine.spares import SpareTarget
from crucible_server.engine.upkeep import Upkeep
from crucible_server.errors import ServiceError, unavailable
from crucible_server.events.journal import Journal
from crucible_server.files.client import Files, layers_without
from crucible_server.layers import check_required
from crucible_server.store import Store

Status = server_info_pb2.ServiceStatus
_COMPILERS_PER_PROCESSOR = 2

log = structlog.get_logger()


class Service:
    """What the engine consists of. Whoever inherits runs executions, as tasks among `_tasks`."""

    def __init__(self, settings: EngineSettings, store: Store, seal: UnitSeal) -> None:
        self._settings = settings
        self.store = store
        self.instance_id = store.instance_id
        self.events = Journal(store, f"server/{self.instance_id}")
        most = _COMPILERS_PER_PROCESSOR * len(os.sched_getaffinity(0))
        self._max_compilers = most
        self._isolation = isolation_of_tree(settings.isolation, settings.require_isolation, **self._tree(settings))
        self.interpreter = Interpreter(
            settings.vm_path,
            SpareTarget(settings.spare_children, settings.max_spare_children),
            settings.spare_limits,
            load=lambda: len(self._live),
            isolation=self._isolation,
            renewal=RenewalClock(settings.isolation.zygote_renewal_crashes, settings.isolation.zygote_renewal_interval),
        )
        self.development = Interpreter(
            settings.vm_path, SpareTarget(0, 0), settings.spare_limits, isolation=DEVELOPMENT
        )
        """Runs scripts outside the jail, where the operator allowed it; compiles nothing."""
        cache = UnitCache(settings.cache_entries, settings.cache_bytes)
        self.compilers = Admission("compilers", most, settings.max_queued_executions)
        self.crashes = CrashLimit(settings.max_crashes_per_minute)
        self.scripts = Scripts(
            Compiler(self.interpreter, self.compilers, self.crashes),
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
        has_files = settings.files.allow_file_access
        self.files = Files(settings.vm_path, settings.files, settings.require_isolation) if has_files else None
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
        self.interpreters = (self.interpreter, self.development)
        """Both, whose figures are told together."""
        self.upkeep = Upkeep(store, self.scripts, self.interpreters, settings.retention, self.events)
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
        self._isolation.widen(*bounds_of_tree(**self._tree(settings)))
        self.interpreter.resize(settings.spare_children, settings.max_spare_children, settings.spare_limits)
        self.host_calls.apply(settings.http)
        self.upkeep.retention = settings.retention

    def _tree(self, settings: EngineSettings) -> dict[str, int]:
        compilers = self._max_compilers
        return {
            "jobs": settings.max_concurrent_executions + compilers,
            "spares": settings.max_spare_children,
            "memory": settings.max_executions_memory + compilers * settings.spare_limits.heap_bytes,
        }

    @property
    def forks(self) -> int:
        """Children that both interpreters have forked, spares included."""
        return sum(each.forks for each in self.interpreters)

    @property
    def restarts(self) -> int:
        """Zygotes of both that died and were replaced."""
        return sum(each.restarts for each in self.interpreters)

    @property
    def zygote_pids(self) -> list[int]:
        """Zygotes of both."""
        return [pid for each in self.interpreters for pid in each.zygote_pids]

    @property
    def child_pids(self) -> list[int]:
        """Children of both."""
        return [pid for each in self.interpreters for pid in each.child_pids]

    async def start(self) -> None:
        """Starts the interpreter and settles what an earlier run left unfinished.

        Raises ServiceError when something cannot be started, or isolation that is required cannot be had.
        """
        if self.files is None:
            check_required(layers_without(self._settings.require_isolation))
        await self.interpreter.start()
        self.store.on_lapse(self._lapsed)
        self.store.listen(self._elsewhere.heard)
        if self._settings.allow_development:
            await self._start_development()
        if self.files is not None:
            await self.files.start()
            log_missing(self.files.layers)
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


def status_word(status: Status) -> str:
    """A status as people say it."""
    return Status.Name(status).removeprefix("SERVICE_STATUS_").lower()
