"""Deletes events that are too old, too many, or hold too much."""

from __future__ import annotations

import asyncio
import contextlib
import time

import structlog

from crucible_server.config import EventsConfig
from crucible_server.store import Store, StoreError

_SWEEP_SECONDS = 10.0
# Between batches of deletions, so that writes of calls come in between.
_PAUSE_SECONDS = 0.005
# Where much of the room is taken it is looked for more often, and what came too much since is the less.
_NARROW, _NARROW_SECONDS = 0.8, 1.0
# How many events are measured at once.
_MEASURE = 20_000

log = structlog.get_logger()


class EventRetention:
    """A task that sweeps from time to time."""

    def __init__(self, store: Store, config: EventsConfig) -> None:
        self._store = store
        self._retention_ns = int(config.retention * 1e9)
        self._keep = config.max_stored
        self._max_bytes = int(config.max_stored_bytes)
        self._sizes = _Sizes(store)
        # A short retention is kept to within a tenth of itself, as far as that makes sense.
        self._pause = min(_SWEEP_SECONDS, max(config.retention / 10, 0.1))
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends the task."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> int:
        """Deletes what is to go; how many. Raises StoreError."""
        total = 0
        await self._sizes.measure()
        while True:
            excess = max(self._sizes.bytes - self._max_bytes, 0)
            count, freed = await self._store.expire_events(time.time_ns() - self._retention_ns, self._keep, excess)
            if not count:
                return total
            total += count
            self._sizes.deleted(count, freed)
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _run(self) -> None:
        while True:
            try:
                if await self._store.is_sweeper() and (count := await self.sweep()):
                    log.debug("events_deleted", count=count)
            except StoreError as error:
                log.warning("events_not_swept", reason=error.message)
            except Exception:
                log.exception("events_not_swept")
            is_narrow = self._sizes.bytes > _NARROW * self._max_bytes
            await asyncio.sleep(min(self._pause, _NARROW_SECONDS) if is_narrow else self._pause)


class _Sizes:
    """What all stored events hold, told from what came and went since it was measured last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.bytes = 0
        # Measured are the events from the one to the other.
        self._oldest = self._newest = 0

    async def measure(self) -> None:
        """Adds what came; measures anew when somebody else has deleted. Raises StoreError."""
        bounds = await self._store.event_bounds()
        if self._oldest != bounds.oldest:
            self.bytes, self._oldest, self._newest = 0, bounds.oldest, bounds.oldest - 1
        while self._newest < bounds.newest:
            up_to = min(self._newest + _MEASURE, bounds.newest)
            self.bytes += await self._store.event_bytes(self._newest, up_to)
            self._newest = up_to
            await asyncio.sleep(_PAUSE_SECONDS)

    def deleted(self, count: int, size: int) -> None:
        """So many of the oldest are gone."""
        self._oldest += count
        self._newest = max(self._newest, self._oldest - 1)
        self.bytes = max(self.bytes - size, 0)
