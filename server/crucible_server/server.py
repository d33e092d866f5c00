"""The server: store, engine and gRPC, from start to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import grpc
import structlog
from grpc_health.v1 import health

from crucible.vm.v1 import zygote_pb2
from crucible_server import __version__
from crucible_server.api import config_service
from crucible_server.api.config_service import ConfigService
from crucible_server.api.health import HealthMirror
from crucible_server.api.records import Presenter, Terms
from crucible_server.api.reflection import add_reflection
from crucible_server.api.script_service import SERVICE, ScriptService
from crucible_server.api.tracing import TracingInterceptor
from crucible_server.capacity import raise_file_limit, shortages
from crucible_server.config import ServerConfig, Sources
from crucible_server.configuration import Configuration
from crucible_server.engine import bounds
from crucible_server.engine.engine import Engine
from crucible_server.engine.health import DEGRADED, Reason
from crucible_server.engine.keys import open_seal
from crucible_server.engine.monitor import Monitor
from crucible_server.engine.settings import EngineSettings
from crucible_server.engine.storage import open_store
from crucible_server.engine.upkeep import Retention
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.events.refusals import Refusals
from crucible_server.operating import SERVICES, OperatingSide
from crucible_server.policy.grants import Grants
from crucible_server.store import Store
from crucible_server.telemetry.telemetry import Telemetry

# For answers on their way; whoever watches the health would keep a longer one waiting to its end.
_DRAIN_EXTRA = 1.0
_KEEPALIVE = (
    # Agreed with the clients: a dead peer is noticed within half a minute, a busy one is not suspected.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)

log = structlog.get_logger()


class Server:
    """One server. `start`, then `stop`; a stopped one is not started again."""

    def __init__(self, config: ServerConfig, sources: Sources | None = None, *, leave_overlay: bool = False) -> None:
        """`config` was read from `sources`, to be read again when they change; without any it stays as it is.

        With `leave_overlay` what calls of ConfigService have set is left aside.
        """
        self.configuration = Configuration(config, sources, leave_overlay=leave_overlay)
        self._store: Store | None = None
        self._engine: Engine | None = None
        self._monitor: Monitor | None = None
        self._health: HealthMirror | None = None
        self._grpc: grpc.aio.Server | None = None
        self._operating: OperatingSide | None = None
        self._telemetry: Telemetry | None = None
        self._closed = asyncio.Event()
        self.address = ""
        """Host and port that it listens on, once started."""

    @property
    def engine(self) -> Engine:
        """The engine, once started."""
        assert self._engine is not None
        return self._engine

    async def start(self) -> None:
        """Opens the store, starts the interpreter, listens.

        Raises ServiceError or StoreError, each saying what to do; nothing is left behind then.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop(grace=0)
            raise

    async def _start(self) -> None:
        config = self.configuration.config
        raise_file_limit()
        for shortage in shortages(config):
            log.warning("limit_cannot_be_kept", reason=shortage)
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._store = await open_store(config)
        await self.configuration.open(self._store)
        config = self.configuration.config
        seal = await open_seal(config, self._store)
        grants = Grants(config)
        self._engine = engine = Engine(_engine_settings(config, grants), self._store, seal)
        tracing = TracingInterceptor()
        tracing.note_error = Refusals(engine.events).note
        server = grpc.aio.server(
            interceptors=(tracing,),
            options=(
                *_KEEPALIVE,
                ("grpc.max_receive_message_length", config.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # Two servers on one port would share its calls silently.
                ("grpc.so_reuseport", 0),
            ),
        )
        checks = config.engine.health_check
        self._monitor = monitor = Monitor(engine, checks.interval, checks.timeout)
        monitor.sources.append(self._configuration_reasons)
        self._health = HealthMirror([SERVICE], [*SERVICES, config_service.SERVICE])
        self._health.add_to(server)
        monitor.on_look.append(self._health.follow)
        presenter = Presenter(__version__, time.time_ns(), _terms(config, grants))
        scripts = ScriptService(engine, grants, presenter, monitor, config.grace_period)
        scripts.add_to(server)
        ConfigService(self.configuration).add_to(server)
        self._operating = operating = OperatingSide(config, self._store, engine, self.configuration, monitor)
        operating.add_to(server)
        add_reflection(server, [SERVICE, *SERVICES, config_service.SERVICE, health.SERVICE_NAME])
        try:
            port = server.add_insecure_port(config.listen)
        except RuntimeError as error:
            raise ServiceError(
                ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
                f"cannot listen on {config.listen}: is another server there? Choose another with --listen",
            ) from error
        host = config.listen.rpartition(":")[0]
        self.address = f"{host}:{port}"

        def apply(config: ServerConfig) -> None:
            grants.apply(config)
            engine.apply(_engine_settings(config, grants))
            presenter.terms = _terms(config, grants)
            scripts.default_grace = config.grace_period
            checks = config.engine.health_check
            monitor.resize(checks.interval, checks.timeout)
            operating.apply(config)

        self.configuration.checks.append(_check)
        self.configuration.appliers.append(apply)
        engine.on_status = monitor.status_changed
        await operating.follow()
        await engine.start()
        self._telemetry = tracing.telemetry = Telemetry(config.telemetry, engine, monitor, operating)
        grants.set_available([module.name for module in engine.interpreter.ready.modules])
        if engine.no_development:
            grants.refuse_development(engine.no_development)
        monitor.start()
        self.configuration.start()
        self._grpc = server
        await server.start()
        await operating.join(self.address)
        log.info("server_ready", address=self.address, zygote_pid=engine.interpreter.zygote_pid)

    def _configuration_reasons(self) -> Iterator[Reason]:
        if self.configuration.file_problem:
            yield Reason(
                "configuration_refused",
                DEGRADED,
                "the configuration file has changed and is not valid, so the former one is in force: "
                f"{self.configuration.file_problem}",
                "the configuration file has changed and is not valid, so the former one is in force",
            )
        if self.configuration.revision_problem:
            yield Reason(
                "configuration_behind",
                DEGRADED,
                "what was set at another server of this database is not in force here: "
                f"{self.configuration.revision_problem}",
                "what was set at another server of this database is not in force here",
            )

    async def stop(self, grace: float | None = None) -> None:
        """Takes nothing new, lets what runs finish for `grace` seconds, ends the rest, leaves no process."""
        seconds = self.configuration.config.grace_period if grace is None else grace
        try:
            await self.configuration.stop()
            if self._engine is not None and self._store is not None:
                await self._engine.stop(seconds)
            if self._operating is not None:
                await self._operating.leave()
            if self._grpc is not None:
                await self._grpc.stop(_DRAIN_EXTRA if seconds else 0)
            if self._monitor is not None:
                await self._monitor.stop()
            if self._health is not None:
                await self._health.settle()
            if self._operating is not None:
                await self._operating.stop()
            if self._store is not None:
                await self._store.close()
            if self._telemetry is not None:
                await self._telemetry.stop()
        finally:
            # What fails here is told by whoever called; nobody should wait for ever besides.
            self._closed.set()

    async def wait_closed(self) -> None:
        """Returns once `stop` is done."""
        await self._closed.wait()


def _check(config: ServerConfig) -> None:
    """Raises whatever taking up this configuration would."""
    grants = Grants(config)
    _engine_settings(config, grants)
    _terms(config, grants)


def _retention(config: ServerConfig) -> Retention:
    return Retention(
        executions_ns=int(config.execution_retention * 1e9),
        max_executions=config.max_stored_executions,
        scripts_ns=int(config.script_retention * 1e9),
        max_scripts=config.max_stored_scripts,
    )


def _engine_settings(config: ServerConfig, grants: Grants) -> EngineSettings:
    script_engine = config.engine
    return EngineSettings(
        vm_path=config.vm_path,
        spare_children=config.spare_children,
        max_spare_children=config.max_spare_children,
        spare_limits=zygote_pb2.ChildLimits(heap_bytes=bounds.widest_heap(grants.jailed_limits())),
        max_concurrent_executions=config.max_concurrent_executions,
        max_queued_executions=config.max_queued_executions,
        max_executions_memory=config.max_executions_memory,
        max_crashes_per_minute=config.max_crashes_per_minute,
        is_caching=script_engine.enable_caching,
        cache_entries=script_engine.max_cache_size,
        cache_bytes=script_engine.max_cache_bytes,
        retention=_retention(config),
        http=script_engine.http,
        isolation=config.isolation,
        require_isolation=config.require_isolation,
        allow_development=config.allow_development,
        files=script_engine.files,
        traced_origins=config.telemetry.propagate_to,
    )


def _terms(config: ServerConfig, grants: Grants) -> Terms:
    return Terms(
        max_request_bytes=config.max_request_bytes,
        retention=_retention(config),
        max_concurrent_executions=config.max_concurrent_executions,
        max_queued_executions=config.max_queued_executions,
        max_executions_memory=config.max_executions_memory,
        default_level=grants.default_level,
    )
