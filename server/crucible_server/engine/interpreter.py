"""Children on demand: a zygote that is replaced when it dies or has served long enough, and spares that wait forked and
jailed."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from crucible.vm.v1 import zygote_pb2
from crucible_server.config import IsolationConfig
from crucible_server.engine.child import Child
from crucible_server.engine.isolation import Isolation, Surroundings
from crucible_server.engine.renewal import RenewalClock
from crucible_server.engine.resources import process_state
from crucible_server.engine.spares import SpareTarget
from crucible_server.engine.zygote import Zygote
from crucible_server.errors import ServiceError, unavailable

_RESTART_WAIT = 5.0
_MAX_BACKOFF = 5.0
_REFILL_DELAY = 0.005
# A lull of callers that are many is not the end of the load.
_CROWDED_SECONDS = 0.05
_MAX_TRIES = 5
_LOOK_SECONDS = 1.0
_LAST_LOOKS = 100
_LAST_LOOK_SECONDS = 0.01

log = structlog.get_logger()


class Interpreter:
    """Gives out children. No child is given out twice."""

    def __init__(
        self,
        vm_path: Path,
        spares: SpareTarget,
        spare_limits: zygote_pb2.ChildLimits,
        load: Callable[[], int] = lambda: 0,
        isolation: Surroundings | None = None,
        renewal: RenewalClock | None = None,
    ) -> None:
        """`load` tells how many jobs there are, those included that wait or are being concluded."""
        defaults = IsolationConfig()
        self._isolation = isolation or Isolation(defaults)
        self._renewal = renewal or RenewalClock(defaults.zygote_renewal_crashes, defaults.zygote_renewal_interval)
        self._vm_path = vm_path
        self._target = spares
        self._spare_limits = spare_limits
        self._spares: deque[Child] = deque()
        self._zygote: Zygote | None = None
        self._all: set[Zygote] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._available = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None
        self._stopped = False
        self._load = load
        self._processors = len(os.sched_getaffinity(0))
        self._refill_timer: asyncio.TimerHandle | None = None
        self._last_draw = 0.0
        self._crowded_at = float("-inf")
        self.ready = zygote_pb2.Ready()
        """What the zygote said of itself: versions, layers, modules."""
        self.restarts = 0
        """Zygotes that died and were replaced."""
        self.renewals = 0
        """Zygotes that another took over from while they worked."""
        self.restart_times: deque[float] = deque(maxlen=3)
        """When the latest of them were, on the monotonic clock in seconds."""
        self.busy = 0
        """Children that have a job."""
        self.spare_hits = 0
        """Jobs that found a spare."""
        self.spare_misses = 0
        """Jobs for which a child was forked."""
        self.forks = 0
        """Children that zygotes were asked for, spares included."""

    @property
    def alive(self) -> bool:
        """Whether a zygote is there to fork."""
        return self._zygote is not None and not self._zygote.dead

    @property
    def zygote_pid(self) -> int:
        """Process id of the zygote; 0 when there is none."""
        return self._zygote.pid if self._zygote else 0

    @property
    def zygote_pids(self) -> list[int]:
        """Process ids of all zygotes: besides the present one those whose last children still run."""
        return [zygote.pid for zygote in list(self._all) if not zygote.dead and zygote.pid]

    @property
    def child_pids(self) -> list[int]:
        """Process ids of all children, spares included."""
        return [pid for zygote in list(self._all) for pid in zygote.child_pids]

    @property
    def spare_count(self) -> int:
        """Spares that are ready."""
        return len(self._spares)

    @property
    def spares_ready(self) -> bool:
        """Whether as many spares as wanted wait for a job."""
        wanted = self._target.wanted(asyncio.get_running_loop().time())
        return len(self._spares) >= wanted and all(child.spawned.done() for child in self._spares)

    @property
    def unanswered_seconds(self) -> float:
        """How long the zygote has owed an answer, in whole looks; 0 when it owes none."""
        return self._zygote.unanswered * _LOOK_SECONDS if self._zygote else 0.0

    @property
    def is_stopped(self) -> bool:
        """Whether the kernel has stopped the zygote, as after SIGSTOP or under a debugger."""
        return self.alive and process_state(self.zygote_pid) in ("T", "t")

    def resize(self, spares: int, max_spares: int, spare_limits: zygote_pb2.ChildLimits) -> None:
        """Other spares from now on. Those that could not become what they are for are ended."""
        self._target.resize(spares, max_spares)
        if spare_limits != self._spare_limits:
            self._spare_limits = spare_limits
            while self._spares:
                child = self._spares.pop()
                child.on_end = None
                child.kill()
        self.trim_spares()
        self._refill()

    async def start(self) -> None:
        """Starts the first zygote. Raises ServiceError when it, or isolation that is required, cannot be had."""
        await self._start_zygote()
        self._look()

    async def _start_zygote(self) -> None:
        self._take_over(*await self._launch())
        self._refill()
        if not self.alive:
            # Nobody else restarts it: until this returns, whoever starts it answers for it.
            raise unavailable("the interpreter ended as soon as it was ready")
        self._available.set()

    async def _launch(self) -> tuple[Zygote, zygote_pb2.Ready]:
        """A zygote that is ready, and what it said of itself. Raises ServiceError."""
        isolation = self._isolation
        isolation.open()
        zygote = Zygote(self._vm_path, self._on_death, isolation.flags, isolation.add)
        self._all.add(zygote)
        try:
            return zygote, isolation.completed(await zygote.start())
        except BaseException:
            zygote.is_retired = True
            zygote.kill()
            raise

    def _take_over(self, zygote: Zygote, ready: zygote_pb2.Ready) -> None:
        self._zygote, self.ready = zygote, ready
        self._renewal.began(time.monotonic())

    def _look(self) -> None:
        """Once a second: sees whether zygotes work, ends those that are done, renews the one that is due."""
        for zygote in list(self._all):
            zygote.check()
            if zygote is not self._zygote and zygote.is_ready and not zygote.child_count:
                zygote.retire()
            if zygote.is_gone:
                self._all.discard(zygote)
        self._renew_if_due()
        if not self._stopped:
            self._look_timer = asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look)

    def _renew_if_due(self) -> None:
        if self._stopped or not self.alive or (self._renewing is not None and not self._renewing.done()):
            return
        if reason := self._renewal.due(time.monotonic()):
            self._renewing = asyncio.get_running_loop().create_task(self._renew(reason))

    async def _renew(self, reason: str) -> None:
        """Another zygote takes over; the one before keeps its children to their end."""
        before = self._zygote
        try:
            zygote, ready = await self._launch()
        except ServiceError as error:
            self._renewal.failed(time.monotonic())
            log.error("zygote_renewal_failed", reason=reason, error=str(error))
            return
        if self._zygote is not before or not self.alive:
            # It died meanwhile, and is being replaced already.
            zygote.retire()
            return
        self._take_over(zygote, ready)
        self.renewals += 1
        spares, self._spares = self._spares, deque()
        for child in spares:
            child.on_end = None
            child.kill()
        self._refill()
        log.info("zygote_renewed", reason=reason, pid=zygote.pid, former_pid=before.pid if before else 0)

    async def take(self, limits: zygote_pb2.ChildLimits) -> Child:
        """A child with these limits whose clock runs: a spare if there is one that may become it, else a new one.

        Raises ServiceError when none can be had.
        """
        tries = 0
        while True:
            child = self._draw(limits, await self._living_zygote())
            try:
                if not child.spawned.done():
                    await child.spawned
                return child
            except ServiceError:
                tries += 1
                # It went with its zygote before any job reached it, so another may have the job.
                if not child.zygote_lost or tries >= _MAX_TRIES:
                    raise

    async def _living_zygote(self) -> Zygote:
        if not self.alive and not self._stopped:
            try:
                await asyncio.wait_for(self._available.wait(), _RESTART_WAIT)
            except TimeoutError:
                raise unavailable("the interpreter is down and is being restarted; try again") from None
        if self._stopped:
            raise unavailable("the server is shutting down and runs nothing more")
        assert self._zygote is not None
        return self._zygote

    def _draw(self, limits: zygote_pb2.ChildLimits, zygote: Zygote) -> Child:
        if self._fits_spare(limits):
            while self._spares:
                child = self._spares.popleft()
                if child.ended.done() or child.exited is not None:
                    continue
                zygote.assign(child, limits)
                self.spare_hits += 1
                child.was_spare = True
                self._drawn(child)
                return child
        child = zygote.spawn(limits)
        self.forks += 1
        self.spare_misses += 1
        self._drawn(child)
        return child

    def _fits_spare(self, limits: zygote_pb2.ChildLimits) -> bool:
        # A job without a bound could not see whether its other limits hold already.
        return 0 < limits.heap_bytes <= self._spare_limits.heap_bytes

    def _drawn(self, child: Child) -> None:
        # Refilled not at once: the zygote that forks a spare cannot tell meanwhile that this child has ended, which for
        # a short job is what its caller waits for.
        child.on_end = self._job_ended
        loop = asyncio.get_running_loop()
        self.busy += 1
        self._last_draw = loop.time()
        if self.busy > self._processors:
            self._crowded_at = self._last_draw
        self._target.drawn(self._last_draw, self.busy)
        if self._refill_timer is None:
            self._refill_timer = loop.call_later(_REFILL_DELAY, self._refill_when_calm)

    def _refill_when_calm(self) -> None:
        loop = asyncio.get_running_loop()
        calm_at = self._last_draw + _REFILL_DELAY
        if loop.time() < calm_at:
            self._refill_timer = loop.call_at(calm_at, self._refill_when_calm)
        else:
            self._refill_timer = None
            self._refill()

    def _job_ended(self, child: Child) -> None:
        self.busy -= 1
        if child.crashed:
            self._crashed()
        # While there is work for every processor, making a spare costs more than it saves. Whoever waits for this job
        # comes first in any case.
        loop = asyncio.get_running_loop()
        is_crowded = loop.time() - self._crowded_at < _CROWDED_SECONDS
        if self._load() <= self._processors and not is_crowded:
            loop.call_soon(self._refill)

    def _crashed(self) -> None:
        self._renewal.crashes += 1
        self._renew_if_due()

    def _refill(self) -> None:
        zygote = self._zygote
        # No job would fit one without a bound.
        if zygote is None or self._stopped or not self._spare_limits.heap_bytes:
            return
        wanted = self._target.wanted(asyncio.get_running_loop().time())
        for _ in range(wanted - len(self._spares)):
            if zygote.dead:
                return
            self.forks += 1
            child = zygote.spawn(self._spare_limits, is_spare=True)
            child.on_end = self._spare_ended
            self._spares.append(child)
            child.spawned.add_done_callback(partial(self._spare_spawned, child))

    def trim_spares(self) -> None:
        """Ends the spares that the load no longer asks for."""
        wanted = self._target.wanted(asyncio.get_running_loop().time())
        while len(self._spares) > wanted:
            child = self._spares.pop()
            child.on_end = None
            child.kill()

    def _spare_spawned(self, child: Child, done: asyncio.Future[None]) -> None:
        if (done.cancelled() or done.exception() is not None) and child in self._spares:
            self._spares.remove(child)

    def _spare_ended(self, child: Child) -> None:
        if child in self._spares:
            self._spares.remove(child)
            if self._stopped or child.zygote_lost:
                return
            log.warning("spare_ended", child_id=child.child_id, crashed=child.crashed)
            if child.crashed:
                self._crashed()
            asyncio.get_running_loop().call_later(0.1, self._refill)

    def _on_death(self, zygote: Zygote) -> None:
        if zygote is not self._zygote:
            if zygote.is_ready and not zygote.is_retired and not self._stopped:
                log.error("zygote_died", pid=zygote.pid, was="keeping its last children")
            return
        self._available.clear()
        self._spares.clear()
        if self._stopped or (self._restarting is not None and not self._restarting.done()):
            return
        log.error("zygote_died", pid=zygote.pid)
        self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        backoff = 0.05
        while not self._stopped:
            started = time.monotonic()
            try:
                await self._start_zygote()
            except ServiceError as error:
                log.error("zygote_restart_failed", error=str(error), again_in_seconds=backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            self.restarts += 1
            self.restart_times.append(time.monotonic())
            log.info("zygote_restarted", pid=self.zygote_pid, seconds=round(time.monotonic() - started, 3))
            return

    async def stop(self) -> None:
        """Ends the zygote and every child, and waits until they are gone."""
        self._stopped = True
        # Whoever waits for a zygote, or comes now, is told that there will be none.
        self._available.set()
        if self._look_timer is not None:
            self._look_timer.cancel()
        for task in (self._restarting, self._renewing):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await asyncio.gather(*(zygote.stop() for zygote in self._all))
        self._all.clear()
        for _ in range(_LAST_LOOKS):
            if self._isolation.close():
                break
            await asyncio.sleep(_LAST_LOOK_SECONDS)
