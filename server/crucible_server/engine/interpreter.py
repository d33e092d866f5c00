"""Children on demand: a zygote that is replaced when it dies, and spares that wait ready-forked and jailed."""

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
from crucible_server.engine.child import Child
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

log = structlog.get_logger()


class Interpreter:
    """Gives out children. No child is given out twice."""

    def __init__(
        self,
        vm_path: Path,
        spares: SpareTarget,
        spare_limits: zygote_pb2.ChildLimits,
        load: Callable[[], int] = lambda: 0,
    ) -> None:
        """`load` tells how many jobs there are, those included that wait or are being concluded."""
        self._vm_path = vm_path
        self._target = spares
        self._spare_limits = spare_limits
        self._spares: deque[Child] = deque()
        self._zygote: Zygote | None = None
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
    def child_pids(self) -> list[int]:
        """Process ids of all children, spares included."""
        return self._zygote.child_pids if self._zygote else []

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
        """How long the zygote has owed an answer; 0 when it owes none."""
        return self._zygote.unanswered_seconds if self._zygote else 0.0

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
        """Starts the first zygote. Raises ServiceError when it cannot be had."""
        await self._start_zygote()

    async def _start_zygote(self) -> None:
        zygote = Zygote(self._vm_path, self._on_death)
        self._zygote = zygote
        self.ready = await zygote.start()
        self._refill()
        if zygote.dead:
            # Nobody else restarts it: until this returns, whoever starts it answers for it.
            raise unavailable("the interpreter ended as soon as it was ready")
        self._available.set()

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
                self._drawn(child)
                return child
        child = zygote.spawn(limits)
        self.forks += 1
        self.spare_misses += 1
        self._drawn(child)
        return child

    def _fits_spare(self, limits: zygote_pb2.ChildLimits) -> bool:
        widest = self._spare_limits.heap_bytes
        return not widest or 0 < limits.heap_bytes <= widest

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

    def _job_ended(self, _child: Child) -> None:
        self.busy -= 1
        # While there is work for every processor, making a spare costs more than it saves. Whoever waits for this job
        # comes first in any case.
        loop = asyncio.get_running_loop()
        is_crowded = loop.time() - self._crowded_at < _CROWDED_SECONDS
        if self._load() <= self._processors and not is_crowded:
            loop.call_soon(self._refill)

    def _refill(self) -> None:
        zygote = self._zygote
        if zygote is None or self._stopped:
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
            log.warning("spare_ended", pid=child.pid)
            asyncio.get_running_loop().call_later(0.1, self._refill)

    def _on_death(self, zygote: Zygote) -> None:
        if zygote is not self._zygote:
            return
        self._available.clear()
        self._spares.clear()
        if self._stopped or (self._restarting is not None and not self._restarting.done()):
            return
        if not self.ready.protocol_version:
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
        if self._restarting is not None:
            self._restarting.cancel()
        if self._zygote is not None:
            await self._zygote.stop()
