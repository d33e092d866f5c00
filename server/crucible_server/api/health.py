"""grpc.health.v1: the health of the server and of each of its services, as the monitor sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from crucible_server.engine.health import DEGRADED, HEALTHY, UNHEALTHY
from crucible_server.engine.monitor import Assessment

_Answer = health_pb2.HealthCheckResponse


class HealthMirror:
    """Serves Check and Watch. The server as a whole, whose name is empty, is as its script service."""

    def __init__(self, engine_services: Sequence[str], store_services: Sequence[str]) -> None:
        """The first need interpreter and store, the others the store alone."""
        self._engine_services = (health.OVERALL_HEALTH, *engine_services)
        self._store_services = tuple(store_services)
        self._servicer = HealthServicer()
        self._last: tuple[bool, bool] | None = None
        self._task: asyncio.Task[None] | None = None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers grpc.health.v1."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def follow(self, assessment: Assessment) -> None:
        """Says how every service is, in the order of the calls; whoever watches is told of what is another."""
        is_well = assessment.status in (HEALTHY, DEGRADED)
        has_store = not any(each.status == UNHEALTHY and each.concerns_store for each in assessment.reasons)
        if (is_well, has_store) != self._last:
            self._last = (is_well, has_store)
            self._task = asyncio.get_running_loop().create_task(self._say(self._task, is_well, has_store))

    async def settle(self) -> None:
        """Waits until what was followed is said."""
        if self._task is not None:
            await self._task

    async def _say(self, before: asyncio.Task[None] | None, is_well: bool, has_store: bool) -> None:
        if before is not None:
            await before
        for names, serves in ((self._engine_services, is_well), (self._store_services, has_store)):
            for name in names:
                await self._servicer.set(name, _Answer.SERVING if serves else _Answer.NOT_SERVING)
