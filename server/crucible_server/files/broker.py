"""One broker process: started, asked, and gone.

A frame is four bytes of length, little endian, then one message of `crucible.vm.v1`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError

from crucible.vm.v1 import broker_pb2
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.vm_process import start_vm

PROTOCOL_VERSION = 1
_HEADER = struct.Struct("<I")
_READY_TIMEOUT = 10.0
_STOP_STEPS, _STOP_STEP = 200, 0.01
_READ_BUFFER = 1024 * 1024

log = structlog.get_logger()


class BrokerLostError(Exception):
    """The broker died before it answered."""


class Broker:
    """Not restarted: when it is gone, `on_death` is called once and the object is of no more use."""

    def __init__(self, vm_path: Path, max_frame_bytes: int, on_death: Callable[[Broker], None]) -> None:
        self._vm_path = vm_path
        self._max_frame_bytes = max_frame_bytes
        self._on_death = on_death
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[broker_pb2.BrokerReply]] = {}
        self._next_id = 1
        self.dead = False

    @property
    def pid(self) -> int:
        """Its process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    async def start(self, setup: broker_pb2.BrokerSetup) -> broker_pb2.BrokerReady:
        """Starts the process and waits until it is confined to its roots.

        Raises ServiceError (CONFIGURATION_ERROR), with what it said, when it cannot be.
        """
        try:
            self._process, control = start_vm(self._vm_path, "broker", socket.SOCK_STREAM)
        except OSError as error:
            raise _cannot_start(str(error)) from error
        reader, self._writer = await asyncio.open_connection(sock=control, limit=_READ_BUFFER)
        self._receiving = asyncio.get_running_loop().create_task(self._receive(reader))
        try:
            async with asyncio.timeout(_READY_TIMEOUT):
                reply = await self.ask(broker_pb2.BrokerRequest(setup=setup))
        except (BrokerLostError, TimeoutError) as error:
            self.kill()
            reason = "it ended" if isinstance(error, BrokerLostError) else f"not ready within {_READY_TIMEOUT:g} s"
            raise _cannot_start(f"{reason}; see its log") from None
        if reply.WhichOneof("outcome") == "failure":
            self.kill()
            raise _cannot_start(reply.failure.message)
        if reply.ready.protocol_version != PROTOCOL_VERSION:
            self.kill()
            raise _cannot_start(
                f"expected frames of version {PROTOCOL_VERSION}, got {reply.ready.protocol_version}; "
                "install server and crucible-vm of one version"
            )
        return reply.ready

    async def ask(self, request: broker_pb2.BrokerRequest) -> broker_pb2.BrokerReply:
        """The reply to a request. Raises BrokerLostError when there is none.

        One whose caller is cancelled is done all the same; nobody learns how it ended.
        """
        return await asyncio.shield(self.send(request))

    def send(self, request: broker_pb2.BrokerRequest) -> asyncio.Future[broker_pb2.BrokerReply]:
        """Sends a request; the future has its reply, or BrokerLostError."""
        reply: asyncio.Future[broker_pb2.BrokerReply] = asyncio.get_running_loop().create_future()
        # Nobody may be waiting any more.
        reply.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self.dead or self._writer is None:
            reply.set_exception(BrokerLostError())
            return reply
        request.request_id = self._next_id
        self._waiting[self._next_id] = reply
        self._next_id += 1
        data = request.SerializeToString()
        self._writer.write(_HEADER.pack(len(data)) + data)
        return reply

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                (size,) = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                if size > self._max_frame_bytes:
                    raise DecodeError(f"expected at most {self._max_frame_bytes} bytes, got {size}")
                reply = broker_pb2.BrokerReply.FromString(await reader.readexactly(size))
                waiting = self._waiting.pop(reply.request_id, None)
                if waiting is None or reply.WhichOneof("outcome") is None:
                    raise DecodeError(f"a reply to no request, or an empty one: {reply.request_id}")
                if not waiting.done():
                    waiting.set_result(reply)
        except (asyncio.IncompleteReadError, OSError):
            pass
        except DecodeError as error:
            log.error("broker_protocol", error=str(error))
        finally:
            self.kill()

    def kill(self) -> None:
        """Kills the process, if it still lives."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._died()

    async def gone(self) -> None:
        """Waits until a process that was killed is no more."""
        # Nothing says when it can be reaped: its socket closes a moment before.
        while self._process is not None and self._process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(_STOP_STEP)

    async def stop(self) -> None:
        """Closes the socket, lets it finish what it has begun, and waits until it is gone."""
        process = self._process
        if self._writer is not None:
            self._writer.close()
        if process is not None:
            for _ in range(_STOP_STEPS):
                if process.poll() is not None:
                    break
                await asyncio.sleep(_STOP_STEP)
        self.kill()
        # One that a disk holds back ends when the disk does.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.gone(), _STOP_STEPS * _STOP_STEP)
        if self._receiving is not None:
            self._receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._receiving

    def _died(self) -> None:
        if self.dead:
            return
        self.dead = True
        if self._writer is not None:
            self._writer.close()
        waiting, self._waiting = list(self._waiting.values()), {}
        for reply in waiting:
            if not reply.done():
                reply.set_exception(BrokerLostError())
        self._on_death(self)


def _cannot_start(why: str) -> ServiceError:
    return ServiceError(
        ErrorKind.ERROR_KIND_CONFIGURATION_ERROR, f"engine.files: the file broker could not be started: {why}"
    )
