"""Asks registered services how they are."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from crucible.v1 import registry_pb2
from crucible_server.config import HealthCheckConfig
from crucible_server.registry.infos import HealthUrl
from crucible_server.registry.registry import Registry, Status
from crucible_server.store import ServiceRecord, StoreError

_RETRY_SECONDS = 1.0
# Who checks may be gone: another of the servers that share the registry goes on.
_TAKE_OVER_SECONDS = 5.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking once."""

    is_well: bool
    message: str
    """In one sentence, fit for everybody who finds the service: nothing of what was answered."""


Probe = Callable[[HealthUrl, float], Awaitable[Answer]]
"""Asks once, within so many seconds. Raises nothing that a service could bring about."""

_Key = tuple[str, str, int]


class HealthChecks:
    """A task for each service that is checked."""

    def __init__(self, registry: Registry, config: HealthCheckConfig, probe: Probe) -> None:
        self._registry = registry
        self._probe = probe
        self._most = config.max_concurrent
        self._slots = asyncio.Semaphore(self._most)
        self._tasks: dict[_Key, asyncio.Task[None]] = {}
        self._look = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def resize(self, max_concurrent: int) -> None:
        """So many checks at once, of those that begin from now on."""
        if max_concurrent != self._most:
            self._most, self._slots = max_concurrent, asyncio.Semaphore(max_concurrent)

    def start(self) -> None:
        """Begins to check what is registered, and what will be."""
        self._registry.on_change = self._look.set
        self._look.set()
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Ends all checks."""
        self._registry.on_change = lambda: None
        tasks = [*self._tasks.values(), *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TAKE_OVER_SECONDS):
                    await self._look.wait()
            self._look.clear()
            try:
                records = await self._registry.services_to_check()
            except StoreError as error:
                log.warning("services_not_read", reason=error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                self._look.set()
                continue
            wanted = {(each.tenant, each.service_id, each.register_time): each for each in records if each.health_check}
            for key in self._tasks.keys() - wanted.keys():
                self._tasks.pop(key).cancel()
            for key in wanted.keys() - self._tasks.keys():
                self._tasks[key] = asyncio.get_running_loop().create_task(self._check(wanted[key]))

    async def _check(self, record: ServiceRecord) -> None:
        check = registry_pb2.HealthCheckConfig.FromString(record.health_check)
        url = HealthUrl.parse(registry_pb2.ServiceInfo.FromString(record.info).health_check_url)
        interval, timeout = check.interval.ToNanoseconds() / 1e9, check.timeout.ToNanoseconds() / 1e9
        status: int = record.status
        well = ill = 0
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                async with self._slots:
                    answer = await self._probe(url, timeout)
                well, ill = (well + 1, 0) if answer.is_well else (0, ill + 1)
                new: int = status
                if well >= check.success_threshold:
                    new = Status.SERVICE_STATUS_HEALTHY
                elif ill >= check.failure_threshold:
                    new = Status.SERVICE_STATUS_UNHEALTHY
                if new != status:
                    before = dataclasses.replace(record, status=status)
                    await self._registry.set_status(before, new, answer.message)
                    status = new
            except StoreError as error:
                log.warning("health_not_noted", service_id=record.service_id, reason=error.message)
            except Exception:
                log.exception("health_check_failed", service_id=record.service_id)
            due = max(due + interval, loop.time())
            await asyncio.sleep(due - loop.time())
