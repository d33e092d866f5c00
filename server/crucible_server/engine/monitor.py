"""Looks from time to time how the service is, and tells when that is no longer as it was."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from crucible_server.engine.engine import Engine
from crucible_server.engine.health import DEGRADED, HEALTHY, UNHEALTHY, Reason, of_life, reasons
from crucible_server.engine.service import Status, status_word

_TICK_SECONDS = 0.5
_WORST = {UNHEALTHY: 0, DEGRADED: 1}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Assessment:
    """How the service is."""

    status: Status
    message: str
    """In one sentence."""
    reasons: tuple[Reason, ...]
    """All that is wrong, the worst first."""
    since_ns: int
    """When the status became this, in nanoseconds since 1970."""
    reasons_since: dict[str, int] = field(default_factory=dict)
    """When each reason came up, by its code."""


HealthSink = Callable[[Assessment, Status], None]
"""Who is told when the status changes, with what it was before, such as the events of the server."""


class Monitor:
    """The health of the service, kept up to date; it costs some microseconds twice a second."""

    def __init__(self, engine: Engine, interval: float, timeout: float) -> None:
        """The store is probed every `interval` seconds; zygote and store may take `timeout` to answer."""
        self._engine = engine
        self._interval = interval
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self.sources: list[Callable[[], Iterable[Reason]]] = []
        """Others that know of something wrong."""
        self.on_change: list[HealthSink] = []
        self.on_look: list[Callable[[Assessment], None]] = []
        """Told after every look, whether something changed or not."""
        self.current = self._look(None)

    def resize(self, interval: float, timeout: float) -> None:
        """Other times from now on."""
        self._interval = interval
        self._timeout = timeout

    def start(self) -> None:
        """Looks from now on."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Looks no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def probe(self) -> Assessment:
        """Writes to the store, and looks once it has answered, or has not in time."""
        await asyncio.wait((self._engine.upkeep.probe(),), timeout=self._timeout)
        return self.refresh()

    def status_changed(self, _: Status) -> None:
        """The engine has begun or ceased to take work."""
        self.refresh()

    def refresh(self) -> Assessment:
        """Looks now; tells of what changed."""
        before, now = self.current, self._look(self.current)
        self.current = now
        if now.status != before.status:
            write = log.warning if now.status in _WORST else log.info
            write(
                "health_changed",
                status=status_word(now.status),
                before=status_word(before.status),
                reasons=[each.message for each in now.reasons],
            )
            for tell in self.on_change:
                tell(now, before.status)
        else:
            for each in now.reasons:
                if each.code not in before.reasons_since:
                    log.warning("health_reason", code=each.code, reason=each.message)
        for look in self.on_look:
            look(now)
        return now

    def _look(self, before: Assessment | None) -> Assessment:
        now = time.time_ns()
        life = of_life(self._engine)
        found = [life] if life else list(reasons(self._engine, self._timeout))
        if life is None:
            for source in self.sources:
                found += source()
        # In order of weight; those of one weight stay as they came.
        found.sort(key=lambda each: _WORST.get(each.status, 2))
        status = found[0].status if found else HEALTHY
        message = found[0].message if found else "the service works"
        earlier = before.reasons_since if before else {}
        since = before.since_ns if before and before.status == status else now
        return Assessment(
            status, message, tuple(found), since, {each.code: earlier.get(each.code, now) for each in found}
        )

    async def _run(self) -> None:
        probed = time.monotonic()
        probe: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                try:
                    # Beside the looks: a database that is locked is waited for.
                    if time.monotonic() - probed >= self._interval:
                        probed = time.monotonic()
                        probe = self._engine.upkeep.probe()
                    self.refresh()
                except Exception:
                    log.exception("health_failed")
        finally:
            if probe is not None:
                await asyncio.wait((probe,))
