"""What has to be done from time to time: retention, ends that could not be stored, spares, probes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from crucible_server.engine import results, story
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.resources import Resources
from crucible_server.engine.scripts import Scripts
from crucible_server.events.journal import EventSink
from crucible_server.store import EventDraft, ExecutionEnd, Store, StoreError, StoreErrorKind

_TICK_SECONDS = 1.0
_FLUSH_TICKS = 5
_SETTLE_TICKS = 5
_SWEEP_TICKS = 60
# Scripts deleted at a time: one transaction, so that byte code in memory goes with what went in the store.
_SCRIPTS = 20
# Between batches of deletions, so that writes of calls come in between.
_PAUSE_SECONDS = 0.02

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long, and how many: the smaller of both decides. Scripts with a name are always kept."""

    executions_ns: int
    max_executions: int
    scripts_ns: int
    max_scripts: int


class Upkeep:
    """A task that ticks once a second. What fails is logged and tried again."""

    def __init__(
        self,
        store: Store,
        scripts: Scripts,
        interpreters: Sequence[Interpreter],
        retention: Retention,
        events: EventSink,
    ) -> None:
        self._store = store
        self._events = events
        self._scripts = scripts
        self._interpreters = interpreters
        self.retention = retention
        """What `sweep` goes by; another one holds from the next sweep on."""
        self._unstored: list[tuple[ExecutionEnd, Sequence[EventDraft]]] = []
        self._task: asyncio.Task[None] | None = None
        self.resources = Resources()
        self.store_failure = ""
        """What the store said when it was last written to for a probe; empty when it works."""
        self.refusal = ""
        """What the store said to the latest execution that it would not take."""
        self.refused_at = float("-inf")
        """When that was, on the monotonic clock in seconds."""
        self._probe: asyncio.Task[None] | None = None
        self._probed_at = 0.0

    async def start(self) -> None:
        """Settles what servers that are gone have left, cleans up once, then goes on in the background."""
        await self.settle()
        dropped = await self._store.drop_units_of_other_toolchains(self._scripts.compiler.toolchain.name)
        if dropped:
            log.info("units_dropped", count=dropped, reason="compiled by another toolchain")
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends the task and tries a last time to store what is left."""
        if self._task is None:
            return
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None
        await self._store_ends()
        for end, _ in self._unstored:
            log.error("execution_end_lost", execution_id=end.execution_id, reason=self.store_failure)
        with contextlib.suppress(StoreError):
            self._scripts.flush_uses()

    def store_later(self, end: ExecutionEnd, events: Sequence[EventDraft]) -> None:
        """Keeps trying to store the end of an execution that the store would not take."""
        log.error("execution_end_not_stored", execution_id=end.execution_id)
        self._unstored.append((end, events))

    def refused(self, error: StoreError) -> None:
        """Notes that the store would not take the record of an execution."""
        self.refusal = error.message
        self.refused_at = time.monotonic()

    @property
    def probe_seconds(self) -> float:
        """How long the store has been at a probe; 0 when it is at none."""
        is_waiting = self._probe is not None and not self._probe.done()
        return time.monotonic() - self._probed_at if is_waiting else 0.0

    def probe(self) -> asyncio.Task[None]:
        """Writes to the store and reads back, and notes what it says; one at a time, which all who ask share."""
        if self._probe is None or self._probe.done():
            self._probed_at = time.monotonic()
            self._probe = asyncio.get_running_loop().create_task(self._ask_store())
        return self._probe

    async def _ask_store(self) -> None:
        try:
            await self._store.check()
            self.store_failure = ""
        except StoreError as error:
            if not self.store_failure:
                log.error("store_failed", reason=error.message)
            self.store_failure = error.message

    async def settle(self) -> None:
        """Records the executions that servers have left unfinished as interrupted. Raises StoreError."""
        now = time.time_ns()
        interrupted = await self._store.interrupt_unfinished(
            now,
            results.interrupted,
            now + self.retention.executions_ns,
            lambda record: story.interrupted(self._events, record),
        )
        if interrupted:
            log.warning("executions_interrupted", count=interrupted)

    async def sweep(self) -> None:
        """Deletes what is older than its retention, and what is too many. Raises StoreError."""
        store, kept = self._store, self.retention
        now = time.time_ns()
        executions = await _batches(lambda: store.expire_executions(now))
        if store.execution_count > kept.max_executions:
            executions += await _batches(lambda: store.trim_executions(kept.max_executions))
        forget = self._scripts.forget_units
        with self._scripts.sweeping():
            await _batches(lambda: _forgotten(store.expire_scripts(now - kept.scripts_ns, _SCRIPTS), forget))
            if store.script_count > kept.max_scripts:
                await _batches(lambda: _forgotten(store.trim_scripts(kept.max_scripts, _SCRIPTS), forget))
        if executions:
            log.info("executions_deleted", count=executions)

    async def _run(self) -> None:
        ticks = sweep_at = 0
        while True:
            try:
                self.resources.sample([pid for each in self._interpreters for pid in each.zygote_pids])
                for interpreter in self._interpreters:
                    interpreter.trim_spares()
                await self._store_ends()
                if ticks % _FLUSH_TICKS == 0:
                    self._scripts.flush_uses()
                if self._store.is_shared and ticks % _SETTLE_TICKS == 0:
                    await self.settle()
                if ticks >= sweep_at:
                    # The one that does it may be gone soon, or has just been this server's earlier run.
                    sweep_at = ticks + _SETTLE_TICKS
                    if await self._store.may_sweep():
                        sweep_at = ticks + _SWEEP_TICKS
                        await self.sweep()
            except StoreError as error:
                log.warning("upkeep_failed", reason=error.message)
            except Exception:
                log.exception("upkeep_failed")
            ticks += 1
            await asyncio.sleep(_TICK_SECONDS)

    async def _store_ends(self) -> None:
        while self._unstored:
            end, events = self._unstored[0]
            try:
                await self._store.finish_execution(end, events)
            except StoreError as error:
                # One that was deleted meanwhile needs no end.
                if error.kind is not StoreErrorKind.CONFLICT:
                    self.store_failure = error.message
                    return
            else:
                log.info("execution_end_stored", execution_id=end.execution_id)
                self.refused_at = float("-inf")
            self._unstored.pop(0)


async def _batches(delete: Callable[[], Awaitable[int]]) -> int:
    """Deletes batch after batch until there is nothing left; how many went in all."""
    total = 0
    while count := await delete():
        total += count
        await asyncio.sleep(_PAUSE_SECONDS)
    return total


async def _forgotten(deleted: Awaitable[list[str]], forget: Callable[[list[str]], None]) -> int:
    unit_keys = await deleted
    if unit_keys:
        forget(unit_keys)
    return len(unit_keys)
