"""This server among the services: in its own registry, and in those that the operator names."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import structlog

from crucible.v1 import registry_pb2
from crucible_server.config import DiscoveryConfig
from crucible_server.errors import ServiceError
from crucible_server.policy.principals import Caller
from crucible_server.registry.registry import SERVERS, Registry, Status
from crucible_server.store import ServiceRecord, StoreError

SERVICE_TYPE = "ScriptEngine"
_STOP_SECONDS = 2.0
_ITSELF = Caller(tenant=SERVERS, principal="")

log = structlog.get_logger()


def reachable(address: str) -> str:
    """The `HOST:PORT` to reach a server by that listens at an address; by the machine's name when that is any."""
    host, _, port = address.rpartition(":")
    try:
        is_any = ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        is_any = False
    return f"{socket.gethostname()}:{port}" if is_any else address


class RemoteRegistry(Protocol):
    """The registry of another server. All methods raise OSError when it does not answer or refuses."""

    async def renew(self, info: registry_pb2.ServiceInfo, lease: float, status: Status, message: str) -> None:
        """Extends the lease there, in seconds, or registers what is not registered; tells how it is."""

    async def leave(self, service_id: str, reason: str) -> None:
        """Takes the registration back."""

    async def close(self) -> None:
        """Closes the connection."""


class Membership:
    """Registers this server and renews that; takes it back in the end."""

    def __init__(
        self,
        registry: Registry,
        config: DiscoveryConfig,
        info: registry_pb2.ServiceInfo,
        remotes: Mapping[str, RemoteRegistry],
    ) -> None:
        """`remotes` are the registries of `config.endpoints`."""
        self._registry = registry
        self._config = config
        self._info = info
        self._remotes = remotes
        self._record: ServiceRecord | None = None
        self._status: tuple[Status, str] = (Status.SERVICE_STATUS_HEALTHY, "this server")
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._silent: set[str] = set()

    async def start(self) -> None:
        """Registers here, and there as soon as they answer. Raises StoreError."""
        await self._join()
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(self._repeat("this server", self._renew_here, first=False)))
        for endpoint, remote in self._remotes.items():
            self._tasks.append(loop.create_task(self._repeat(endpoint, self._renewal(remote))))

    async def set_status(self, status: Status, message: str) -> None:
        """Notes how this server is, here and soon there; the engine tells of it."""
        self._status = (status, message)
        self._changed.set()
        self._changed = asyncio.Event()
        if self._record is not None:
            await self._registry.set_status(self._record, status, message, tells=False)

    async def stop(self) -> None:
        """Takes all registrations back, as far as somebody answers."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._record is None:
            return
        reason = "the server was stopped"
        for endpoint, remote in self._remotes.items():
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_STOP_SECONDS):
                    if endpoint not in self._silent:
                        await remote.leave(self._info.service_id, reason)
            await remote.close()
        with contextlib.suppress(StoreError, ServiceError):
            await self._registry.unregister(_ITSELF, self._info.service_id, reason)

    async def _join(self) -> None:
        now = time.time_ns()
        lease_ns = int(self._config.lease * 1e9)
        self._record = ServiceRecord(
            tenant=SERVERS,
            service_id=self._info.service_id,
            service_type=self._info.service_type,
            principal="",
            register_time=now,
            expire_time=now + lease_ns,
            lease_ns=lease_ns,
            status=self._status[0],
            status_message=self._status[1],
            info=self._info.SerializeToString(deterministic=True),
            health_check=b"",
        )
        await self._registry.put(self._record)

    async def _renew_here(self) -> None:
        try:
            await self._registry.heartbeat(_ITSELF, self._info.service_id)
        except ServiceError:
            # It was held up for longer than its lease.
            await self._join()

    def _renewal(self, remote: RemoteRegistry) -> Callable[[], Awaitable[None]]:
        async def renew() -> None:
            async with asyncio.timeout(self._config.refresh_interval):
                await remote.renew(self._info, self._config.lease, *self._status)

        return renew

    async def _repeat(self, name: str, renew: Callable[[], Awaitable[None]], *, first: bool = True) -> None:
        changed = self._changed
        if not first:
            await self._pause(changed)
        while True:
            changed = self._changed
            try:
                await renew()
                if name in self._silent:
                    self._silent.discard(name)
                    log.info("registry_answers", endpoint=name)
            except (OSError, TimeoutError, StoreError) as error:
                # Once for each time that it falls silent.
                if name not in self._silent:
                    log.warning("registry_silent", endpoint=name, reason=str(error) or "no answer")
                self._silent.add(name)
            except Exception:
                log.exception("registry_not_renewed", endpoint=name)
            await self._pause(changed)

    async def _pause(self, changed: asyncio.Event) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._config.refresh_interval):
                await changed.wait()
