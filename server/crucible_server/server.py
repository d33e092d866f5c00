"""The server: store, engine and gRPC, from start to stop."""

from __future__ import annotations

import asyncio
import time

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from crucible.vm.v1 import zygote_pb2
from crucible_server import __version__
from crucible_server.api.records import Presenter
from crucible_server.api.reflection import add_reflection
from crucible_server.api.script_service import SERVICE, ScriptService
from crucible_server.api.tracing import TracingInterceptor
from crucible_server.capacity import raise_file_limit, shortages
from crucible_server.config import ServerConfig
from crucible_server.engine import bounds
from crucible_server.engine.engine import Engine, EngineSettings, Status
from crucible_server.engine.keys import open_seal
from crucible_server.engine.storage import open_store
from crucible_server.engine.upkeep import Retention
from crucible_server.errors import ErrorKind, ServiceError
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

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._store: Store | None = None
        self._engine: Engine | None = None
        self._grpc: grpc.aio.Server | None = None
        self._health: HealthServicer | None = None
        self._operating: OperatingSide | None = None
        self._telemetry: Telemetry | None = None
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
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
        config = self._config
        script_engine = config.engine
        raise_file_limit()
        for shortage in shortages(config):
            log.warning("limit_cannot_be_kept", reason=shortage)
        config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._store = await open_store(config)
        seal = await open_seal(config, self._store)
        retention = Retention(
            executions_ns=int(config.execution_retention * 1e9),
            max_executions=config.max_stored_executions,
            scripts_ns=int(config.script_retention * 1e9),
            max_scripts=config.max_stored_scripts,
        )
        grants = Grants(config)
        settings = EngineSettings(
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
            retention=retention,
            http=script_engine.http,
            isolation=config.isolation,
            require_isolation=config.require_isolation,
            allow_development=config.allow_development,
            files=script_engine.files,
            traced_origins=config.telemetry.propagate_to,
        )
        self._engine = engine = Engine(settings, self._store, seal)
        tracing = TracingInterceptor()
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
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        presenter = Presenter(
            version=__version__,
            start_time_ns=time.time_ns(),
            max_request_bytes=config.max_request_bytes,
            retention=retention,
            max_concurrent_executions=config.max_concurrent_executions,
            max_queued_executions=config.max_queued_executions,
            max_executions_memory=config.max_executions_memory,
            default_level=grants.default_level,
        )
        ScriptService(engine, grants, presenter, config.grace_period).add_to(server)
        self._operating = OperatingSide(config, self._store, engine)
        self._operating.add_to(server)
        add_reflection(server, [SERVICE, *SERVICES, health.SERVICE_NAME])
        try:
            port = server.add_insecure_port(config.listen)
        except RuntimeError as error:
            raise ServiceError(
                ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
                f"cannot listen on {config.listen}: is another server there? Choose another with --listen",
            ) from error
        host = config.listen.rpartition(":")[0]
        self.address = f"{host}:{port}"
        engine.on_status = self._status_changed
        await self._operating.follow()
        await engine.start()
        self._telemetry = tracing.telemetry = Telemetry(config.telemetry, engine)
        grants.set_available([module.name for module in engine.interpreter.ready.modules])
        if engine.no_development:
            grants.refuse_development(engine.no_development)
        self._grpc = server
        await server.start()
        await self._operating.join(self.address)
        log.info("server_ready", address=self.address, zygote_pid=engine.interpreter.zygote_pid)

    def _status_changed(self, status: Status) -> None:
        task = asyncio.get_running_loop().create_task(self._publish(status))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, status: Status) -> None:
        assert self._health is not None
        serving = health_pb2.HealthCheckResponse.SERVING
        if status != Status.SERVICE_STATUS_HEALTHY:
            serving = health_pb2.HealthCheckResponse.NOT_SERVING
        for name in (health.OVERALL_HEALTH, SERVICE, *SERVICES):
            await self._health.set(name, serving)
        if self._operating is not None:
            await self._operating.set_status(status)

    async def stop(self, grace: float | None = None) -> None:
        """Takes nothing new, lets what runs finish for `grace` seconds, ends the rest, leaves no process."""
        seconds = self._config.grace_period if grace is None else grace
        try:
            if self._engine is not None and self._store is not None:
                await self._engine.stop(seconds)
            if self._operating is not None:
                await self._operating.leave()
            if self._grpc is not None:
                await self._grpc.stop(_DRAIN_EXTRA if seconds else 0)
            if self._tasks:
                await asyncio.wait(self._tasks)
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
