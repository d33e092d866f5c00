"""Deletes events that are too old, or too many."""

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

log = structlog.get_logger()


class EventRetention:
    """A task that sweeps from time to time."""

    def __init__(self, store: Store, config: EventsConfig) -> None:
        self._store = store
        self._retention_ns = int(config.retention * 1e9)
        self._keep = config.max_stored
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
        while count := await self._store.expire_events(time.time_ns() - self._retention_ns, self._keep):
            total += count
            await asyncio.sleep(_PAUSE_SECONDS)
        return total

    async def _run(self) -> None:
        while True:
            try:
                if await self._store.is_sweeper() and (count := await self.sweep()):
                    log.debug("events_deleted", count=count)
            except StoreError as error:
                log.warning("events_not_swept", reason=error.message)
            except Exception:
                log.exception("events_not_swept")
            await asyncio.sleep(self._pause)
