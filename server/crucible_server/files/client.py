"""Gives the broker what scripts may ask for, and starts another when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Collection
from pathlib import Path

import structlog

from crucible.vm.v1 import broker_pb2
from crucible_server.config.files import FilesConfig
from crucible_server.config.isolation import FILE_LAYERS
from crucible_server.errors import ServiceError, unavailable
from crucible_server.files.allowance import FileAllowance, FileRefusedError
from crucible_server.files.broker import PROTOCOL_VERSION, Broker, BrokerLostError
from crucible_server.layers import Layer, check_required, mark_required

_RESTART_WAIT = 5.0
_MAX_BACKOFF = 5.0
# Around the data of a reply, and for each entry of a listing besides its name.
_FRAME_SLACK = 64 * 1024
_ENTRY_BYTES = 300
_MAX_MESSAGE = 500
_MAX_PATH = 4096

log = structlog.get_logger()


class Files:
    """The files of this server. Shared by all executions."""

    def __init__(self, vm_path: Path, config: FilesConfig, require: Collection[str] = ()) -> None:
        """`require` names layers, of which those of the broker have to be in force."""
        self._vm_path = vm_path
        self._require = frozenset(require)
        self.config = config
        self._names = {name: number for number, name in enumerate(config.roots)}
        self._slots = asyncio.Semaphore(config.max_concurrent_calls)
        self._max_frame_bytes = _FRAME_SLACK + max(int(config.max_read_bytes), config.max_list_entries * _ENTRY_BYTES)
        self._broker: Broker | None = None
        self._available = asyncio.Event()
        self._restarting: asyncio.Task[None] | None = None
        self._is_started = False
        self._is_stopped = False
        self.layers: list[Layer] = []
        """What confines the broker, and what the machine could not give."""
        self.failure = ""
        """Why there is no broker just now; empty when there is one."""
        self.restarts = 0
        """Brokers that died and were replaced."""

    @property
    def pid(self) -> int:
        """Process id of the broker; 0 when there is none."""
        return self._broker.pid if self._broker is not None and not self._broker.dead else 0

    async def start(self) -> None:
        """Starts the broker. Raises ServiceError when it cannot be had, or cannot be confined as is required."""
        await self._start_broker()
        self._is_started = True

    async def _start_broker(self) -> None:
        broker = Broker(self._vm_path, self._max_frame_bytes, self._on_death)
        self._broker = broker
        ready = await broker.start(self._setup())
        if broker.dead:
            raise unavailable("the file broker ended as soon as it was ready")
        mark_required(ready.layers, self._require)
        try:
            check_required(ready.layers)
        except ServiceError:
            broker.kill()
            raise
        self.layers = list(ready.layers)
        self.failure = ""
        self._available.set()

    def _setup(self) -> broker_pb2.BrokerSetup:
        config = self.config
        setup = broker_pb2.BrokerSetup(
            protocol_version=PROTOCOL_VERSION,
            max_file_bytes=config.max_file_bytes,
            max_read_bytes=config.max_read_bytes,
            max_list_entries=config.max_list_entries,
            uid=config.uid or 0,
            gid=config.gid or config.uid or 0,
        )
        for name, root in config.roots.items():
            setup.roots.add(name=name, path=str(root.path), is_writable=root.access == "write")
        return setup

    def _on_death(self, broker: Broker) -> None:
        if broker is not self._broker:
            return
        self._available.clear()
        if self._is_stopped or not self._is_started:
            return
        self.failure = "the file broker died and is being restarted"
        log.error("broker_died", pid=broker.pid)
        if self._restarting is None or self._restarting.done():
            self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        backoff = 0.05
        while not self._is_stopped:
            if self._broker is not None:
                # Where a disk hangs, a process cannot be killed either: another one would only hang beside it.
                await self._broker.gone()
            started = time.monotonic()
            try:
                await self._start_broker()
            except ServiceError as error:
                self.failure = error.message
                log.error("broker_restart_failed", error=error.message, again_in_seconds=backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                continue
            self.restarts += 1
            log.info("broker_restarted", pid=self.pid, seconds=round(time.monotonic() - started, 3))
            return

    async def stop(self) -> None:
        """Ends the broker and waits until it is gone."""
        self._is_stopped = True
        self._available.set()
        if self._restarting is not None:
            self._restarting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._restarting
        if self._broker is not None:
            await self._broker.stop()

    # -- what calls need

    def at(self, path: str, *, to_write: bool = False) -> broker_pb2.FilePath:
        """A script's path as the broker takes it. Raises FileRefusedError unless the root is there and allows it."""
        if len(path) > _MAX_PATH:
            raise FileRefusedError(f"expected a path of at most {_MAX_PATH} characters, got {len(path)}")
        name, _, rest = path.partition("/")
        number = self._names.get(name)
        if number is None:
            raise FileRefusedError(
                f"expected a path such as ROOT/relative/path with a root of {', '.join(self._names)}, got {shown(path)}"
            )
        if to_write and self.config.roots[name].access != "write":
            raise FileRefusedError(
                f"{shown(path)}: the root `{name}` is read-only; its operator would have to give it "
                '`access = "write"` in engine.files.roots'
            )
        return broker_pb2.FilePath(root=number, path=rest)

    async def ask(
        self, allowance: FileAllowance, where: str, request: broker_pb2.BrokerRequest, expected: str
    ) -> broker_pb2.BrokerReply:
        """The broker's reply, whose outcome is `expected`. `where` is the path that messages name.

        Raises FileRefusedError, MissingError for what is not there.
        """
        async with allowance.slots:
            await allowance.room()
            await self._slots.acquire()
            try:
                broker = await self._living_broker()
                # Only what is really sent counts.
                moved = len(request.write.data)
                allowance.require(moved)
                allowance.bytes_moved += moved
                future = broker.send(request)
            except BaseException:
                self._slots.release()
                raise
            # Not when the script goes away: what it has asked for is still being done.
            future.add_done_callback(lambda _: self._slots.release())
            try:
                # A broker that is stuck is no use to anybody: the next one may be better off.
                async with asyncio.timeout(self.config.call_timeout):
                    reply = await asyncio.shield(future)
            except TimeoutError:
                log.error("broker_stalled", pid=broker.pid, seconds=self.config.call_timeout)
                broker.kill()
                raise FileRefusedError(
                    f"{where}: the file broker did not answer within {self.config.call_timeout:g} s (the server's "
                    "call_timeout) and was ended; what was asked for may be done or not"
                ) from None
            except BrokerLostError:
                raise FileRefusedError(
                    f"{where}: the file broker died while it was at this, which may be done or not; try again"
                ) from None
        outcome = reply.WhichOneof("outcome")
        if outcome == "failure":
            message = f"{where}: {reply.failure.message[:_MAX_MESSAGE]}"
            raise MissingError(message) if reply.failure.is_missing else FileRefusedError(message)
        if outcome != expected:
            broker.kill()
            log.error("broker_protocol", error=f"expected {expected}, got {outcome}")
            raise FileRefusedError(f"{where}: the file broker answered something else and was ended; try again")
        return reply

    async def _living_broker(self) -> Broker:
        if not self._available.is_set():
            try:
                await asyncio.wait_for(self._available.wait(), _RESTART_WAIT)
            except TimeoutError:
                raise FileRefusedError("files are not available now: the file broker is down; try again") from None
        if self._is_stopped or self._broker is None:
            raise FileRefusedError("the server is shutting down")
        return self._broker


class MissingError(FileRefusedError):
    """There is nothing of this name."""


def layers_without(require: Collection[str]) -> list[Layer]:
    """Where scripts have no files: the layers of the broker that are required all the same."""
    detail = "there is no file broker, as scripts have no files (allow_file_access in [engine.files])"
    return [Layer(name=name, required=True, detail=detail) for name in FILE_LAYERS if name in require]


def shown(path: str) -> str:
    """A script's path for a message: cut, and with nothing that a terminal would act on."""
    return path if len(path) <= 80 and path.isprintable() and path else repr(path[:80])
