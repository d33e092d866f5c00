"""Events and the registry, from start to stop."""

from __future__ import annotations

import asyncio
import contextlib

import grpc

from crucible.v1 import registry_pb2
from crucible_server import __version__
from crucible_server.api.event_service import SERVICE as EVENT_SERVICE
from crucible_server.api.event_service import EventService
from crucible_server.api.registry_service import SERVICE as REGISTRY_SERVICE
from crucible_server.api.registry_service import RegistryService
from crucible_server.api.remote_registry import GrpcRegistry
from crucible_server.api.script_service import SERVICE as SCRIPT_SERVICE
from crucible_server.config import HealthCheckConfig, ServerConfig
from crucible_server.configuration import Configuration, ConfigurationChange
from crucible_server.engine import story
from crucible_server.engine.engine import Engine
from crucible_server.engine.monitor import Assessment, Monitor
from crucible_server.engine.service import Status, status_word
from crucible_server.events.emission import Emission
from crucible_server.events.feed import Feed
from crucible_server.events.retention import EventRetention
from crucible_server.events.subscriptions import Subscriptions
from crucible_server.registry.health import HealthChecks, Probe
from crucible_server.registry.membership import SERVICE_TYPE, Membership, reachable
from crucible_server.registry.probes import Probes
from crucible_server.registry.registry import Registry
from crucible_server.store import Store, StoreError

SERVICES = (EVENT_SERVICE, REGISTRY_SERVICE)


class OperatingSide:
    """What tells of the server and of the services around it. Its parts are stopped in the reverse of their order."""

    def __init__(
        self, config: ServerConfig, store: Store, engine: Engine, configuration: Configuration, monitor: Monitor
    ) -> None:
        self._config = config
        self._engine = engine
        self._monitor = monitor
        self._store = store
        self._configuration = configuration
        self._feed = Feed(store)
        self._subscriptions = Subscriptions(self._feed, config.events)
        self._retention = EventRetention(store, config.events)
        discovery, health_check = config.engine.discovery, config.engine.health_check
        self._probes = Probes(health_check, _grpc_probe)
        self._registry = Registry(store, engine.events, discovery, health_check, self._probes.require)
        self._health_checks = HealthChecks(self._registry, health_check, self._probes)
        self._membership: Membership | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        configuration.told = lambda change: story.configured(engine.events, change)
        configuration.on_change.append(self._configured)
        monitor.on_change.append(self._health_changed)

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers its services."""
        emission = Emission(self._store, self._config.events)
        EventService(self._store, emission, self._subscriptions).add_to(server)
        RegistryService(self._registry).add_to(server)

    async def follow(self) -> None:
        """Follows what is stored; to be called before anything happens. Raises StoreError."""
        await self._feed.start()
        self._subscriptions.start()
        self._retention.start()
        await self._registry.start()

    async def join(self, address: str) -> None:
        """Makes the server known, which listens at `address`. Raises StoreError."""
        self._health_checks.start()
        remotes = {each: GrpcRegistry(each) for each in self._config.engine.discovery.endpoints}
        self._membership = Membership(self._registry, self._config.engine.discovery, self._info(address), remotes)
        await self._membership.start()
        await self._note_status(self._monitor.current.status)

    def apply(self, config: ServerConfig) -> None:
        """Takes up how services are checked from now on."""
        self._config = config
        self._probes.apply(config.engine.health_check)
        self._registry.health_check = config.engine.health_check
        self._health_checks.resize(config.engine.health_check.max_concurrent)

    def _configured(self, change: ConfigurationChange) -> None:
        # What calls have changed is told where it is stored, by the server that was called.
        if change.cause == "file":
            self._engine.events.post(*story.configured(self._engine.events, change))

    def _health_changed(self, now: Assessment, before: Status) -> None:
        engine = self._engine
        engine.events.post(story.status_changed(engine.events, engine.service_id, before, now.status, now.message))
        task = asyncio.get_running_loop().create_task(self._note_status(now.status))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _note_status(self, status: Status) -> None:
        if self._membership is not None:
            with contextlib.suppress(StoreError):
                await self._membership.set_status(status, f"the server is {status_word(status)}")

    @property
    def events_seen(self) -> int:
        """Events that were stored since the start."""
        return self._feed.seen

    @property
    def subscriptions_open(self) -> int:
        """Subscriptions at this server."""
        return len(self._subscriptions)

    @property
    def subscription_lag(self) -> int:
        """Events that the slowest subscription has still to look at."""
        return self._subscriptions.lag

    @property
    def services(self) -> dict[int, int]:
        """How many services there are of each status."""
        return self._registry.counts

    @property
    def configuration_version(self) -> int:
        """The version in force."""
        return self._configuration.version

    @property
    def store_reconnects(self) -> int:
        """Connections to the database that were lost."""
        return self._store.reconnects

    async def leave(self) -> None:
        """Takes the server back, and ends the calls of those who follow and watch."""
        if self._membership is not None:
            await self._membership.stop()
        await self._health_checks.stop()
        await self._registry.stop()
        await self._subscriptions.stop()

    async def stop(self) -> None:
        """Follows no longer; to be called when nothing happens any more."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._retention.stop()
        await self._feed.stop()

    def _info(self, address: str) -> registry_pb2.ServiceInfo:
        """The server as it tells of itself to those who look for one."""
        endpoint = self._config.engine.discovery.advertise or reachable(address)
        return registry_pb2.ServiceInfo(
            service_id=self._engine.service_id,
            service_type=SERVICE_TYPE,
            version=__version__,
            endpoint=endpoint,
            health_check_url=f"grpc://{endpoint}/{SCRIPT_SERVICE}",
            metadata={
                "security_level": self._config.engine.security_level,
                "rune_version": self._engine.interpreter.ready.rune_version,
                "max_concurrent_executions": str(self._config.max_concurrent_executions),
            },
        )


def _grpc_probe(config: HealthCheckConfig) -> Probe:
    # Only when a service wants it: it loads what dials.
    from crucible_server.api.grpc_probe import GrpcProbe

    return GrpcProbe(config)
