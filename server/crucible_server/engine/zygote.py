"""The server's end of the zygote: starts it, asks it for children, and sees whether it still works.

One datagram of the control socket is one message of `crucible.vm.v1`; Spawned carries two descriptors, Entered one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
from google.protobuf.message import DecodeError

from crucible.vm.v1 import zygote_pb2
from crucible_server.engine.child import Child
from crucible_server.engine.shortage import not_forked
from crucible_server.engine.zygote_process import ZygoteProcess
from crucible_server.errors import ErrorKind, ServiceError, unavailable
from crucible_server.vm_process import start_vm

PROTOCOL_VERSION = 1
_MAX_DATAGRAM = 256 * 1024
_READY_TIMEOUT = 10.0
_STOP_SECONDS = 2.0
_REAP_SECONDS = 0.05
_MAX_REASON = 1000
_MAX_UNANSWERED = 5
"""Looks in a row, a second apart, that find a question without an answer."""

log = structlog.get_logger()


class Zygote:
    """One zygote process and the children that it forked.

    Not restarted: when it is gone, `on_death` is called once and the object is of no more use.
    """

    def __init__(
        self,
        vm_path: Path,
        on_death: Callable[[Zygote], None],
        flags: Sequence[str] = (),
        on_process: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`flags` go on its command line. `on_process` gets the id of each process that it is, before it forks."""
        self._vm_path = vm_path
        self._on_death = on_death
        self._flags = tuple(flags)
        self._on_process = on_process
        self._children: dict[int, Child] = {}
        self._next_child_id = 1
        self._control: socket.socket | None = None
        self._process: ZygoteProcess | None = None
        self._ready: asyncio.Future[zygote_pb2.Ready] | None = None
        self._unsent: list[bytes] = []
        self._is_writing = False
        self.is_ready = False
        """Whether it has been ready to fork."""
        self.is_retired = False
        """Whether it was told to end."""
        self.is_gone = False
        """Whether its process has been reaped."""
        self._pings = 0
        self._unanswered = 0
        self.dead = False

    @property
    def pid(self) -> int:
        """The zygote's process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    @property
    def unanswered(self) -> int:
        """Looks in a row, but the last, that have found a question without an answer."""
        return max(self._unanswered - 1, 0)

    @property
    def child_pids(self) -> list[int]:
        """Process ids of its children."""
        # A copy first, in one step: whoever reads metrics does so in another thread.
        return [pid for child in list(self._children.values()) if (pid := child.pid)]

    @property
    def child_count(self) -> int:
        """Its children, those included that are being forked."""
        return len(self._children)

    async def start(self) -> zygote_pb2.Ready:
        """Starts the process and waits until it can fork.

        Raises ServiceError (CONFIGURATION_ERROR) when it cannot be started, speaks another protocol, or finds that this
        machine lacks what it needs.
        """
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        # Whoever gave up waiting has the reason already.
        self._ready.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            started, self._control = start_vm(self._vm_path, "zygote", socket.SOCK_SEQPACKET, self._flags)
        except OSError as error:
            raise _cannot_start(self._vm_path, str(error)) from error
        self._process = ZygoteProcess(started)
        self._on_process(self._process.pid)
        loop.add_reader(self._control.fileno(), self._on_control)
        try:
            ready = await asyncio.wait_for(self._ready, _READY_TIMEOUT)
        except asyncio.CancelledError:
            self.kill()
            raise
        except TimeoutError:
            self.kill()
            raise _cannot_start(self._vm_path, f"not ready within {_READY_TIMEOUT:.0f} s") from None
        if ready.protocol_version != PROTOCOL_VERSION:
            self.kill()
            raise _cannot_start(
                self._vm_path,
                f"expected frames of version {PROTOCOL_VERSION}, got {ready.protocol_version}; "
                "install server and crucible-vm of one version",
            )
        # It has ended long since, or will within microseconds; nothing tells but being reaped.
        while not self._process.is_single():  # noqa: ASYNC110
            await asyncio.sleep(_REAP_SECONDS)
        self.is_ready = True
        return ready

    def check(self) -> None:
        """Asks whether it still works; kills it when it has not answered for some seconds. To be called once a second.

        Looks are counted and not time, so that a server which was stopped itself does not take its zygote for stalled.
        """
        if not self.is_ready:
            return
        if not self.dead:
            # Whatever waits to be read is an answer, too.
            self._on_control()
        if self.dead:
            return
        if self._unanswered >= _MAX_UNANSWERED:
            log.error("zygote_stalled", pid=self.pid, seconds=_MAX_UNANSWERED, children=len(self._children))
            self.kill()
            return
        if not self._unanswered:
            self._pings += 1
            self._send(zygote_pb2.ZygoteRequest(ping=zygote_pb2.Ping(number=self._pings)))
        self._unanswered += 1

    def spawn(self, limits: zygote_pb2.ChildLimits, is_spare: bool = False) -> Child:
        """Asks for a child; a spare is one whose job comes later. Its `spawned` future is set once it exists."""
        if self.dead:
            raise unavailable("the interpreter is being restarted; try again")
        child = Child(self._next_child_id)
        self._next_child_id += 1
        self._children[child.child_id] = child
        self._send(
            zygote_pb2.ZygoteRequest(spawn=zygote_pb2.Spawn(child_id=child.child_id, limits=limits, is_spare=is_spare))
        )
        return child

    def assign(self, child: Child, limits: zygote_pb2.ChildLimits) -> None:
        """Bounds a spare that gets its job now, and starts its clock."""
        self._send(zygote_pb2.ZygoteRequest(assign=zygote_pb2.Assign(child_id=child.child_id, limits=limits)))

    def _send(self, request: zygote_pb2.ZygoteRequest) -> None:
        if self.dead or self._control is None:
            return
        self._unsent.append(request.SerializeToString())
        self._flush()

    def _flush(self) -> None:
        assert self._control is not None
        loop = asyncio.get_running_loop()
        while self._unsent:
            try:
                self._control.send(self._unsent[0])
            except BlockingIOError:
                if not self._is_writing:
                    self._is_writing = True
                    loop.add_writer(self._control.fileno(), self._flush)
                return
            except OSError:
                self._died()
                return
            self._unsent.pop(0)
        if self._is_writing:
            self._is_writing = False
            loop.remove_writer(self._control.fileno())

    def _on_control(self) -> None:
        assert self._control is not None
        # Bounded, so that a burst of exits cannot starve the event loop.
        for _ in range(64):
            try:
                data, ancillary, flags, _ = self._control.recvmsg(
                    _MAX_DATAGRAM, socket.CMSG_SPACE(2 * 4), socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError:
                data, ancillary, flags = b"", [], 0
            fds = [
                int.from_bytes(payload[i : i + 4], "little")
                for level, kind, payload in ancillary
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                for i in range(0, len(payload) - 3, 4)
            ]
            if not data:
                for fd in fds:
                    os.close(fd)
                self.kill()
                return
            try:
                if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
                    raise DecodeError("truncated datagram")
                self._handle(zygote_pb2.ZygoteEvent.FromString(data), fds)
            except DecodeError as error:
                for fd in fds:
                    os.close(fd)
                log.error("zygote_protocol", error=str(error))
                self.kill()
                return

    def _handle(self, event: zygote_pb2.ZygoteEvent, fds: list[int]) -> None:
        self._unanswered = 0
        kind = event.WhichOneof("event")
        if kind == "spawned":
            child = self._children.get(event.spawned.child_id)
            if child is None or len(fds) != 2 or child.spawned.done():
                raise DecodeError("a Spawned for no child that was asked for")
            child.attach(_stream(fds), fds[1])
            return
        if kind == "entered":
            if self._process is None or self._process.has_entered or self.is_ready or len(fds) != 1:
                raise DecodeError("an Entered that does not come first")
            _check_pidfd(fds[0])
            self._process.enter(fds[0])
            self._on_process(self._process.pid)
            return
        if fds:
            raise DecodeError(f"descriptors with {kind}")
        if kind == "exited":
            child = self._children.pop(event.exited.child_id, None)
            if child is not None:
                child.reaped(event.exited)
        elif kind == "spawn_failed":
            child = self._children.get(event.spawn_failed.child_id)
            if child is not None:
                if child.spawned.done():
                    raise DecodeError("a SpawnFailed for a child that was spawned")
                del self._children[child.child_id]
                child.failed(not_forked(event.spawn_failed, self.pid))
        elif kind == "refused":
            if self._ready is not None and not self._ready.done():
                self._ready.set_exception(
                    ServiceError(ErrorKind.ERROR_KIND_CONFIGURATION_ERROR, event.refused.reason[:_MAX_REASON])
                )
        elif kind == "ready":
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(event.ready)
        elif kind == "pong":
            if not 0 < event.pong.number <= self._pings:
                raise DecodeError(f"expected Pong of at most {self._pings}, got {event.pong.number}")
        else:
            raise DecodeError("an event of no known kind")

    def kill(self) -> None:
        """Kills the process; its children go with it."""
        if self._process is not None:
            self._process.kill()
        self._died()

    def retire(self) -> None:
        """Ends it, which has no children left, in its own time."""
        self.is_retired = True
        self._died()

    async def stop(self) -> None:
        """Closes the control socket, which ends the zygote and all its children, and waits until it is gone.

        Signals would not do: process 1 of a namespace gets none but those that cannot be caught.
        """
        self.retire()
        process = self._process
        if process is None:
            return
        patience = time.monotonic() + _STOP_SECONDS
        while not process.reap():
            if time.monotonic() > patience:
                process.kill()
            await asyncio.sleep(0.01)
        self.is_gone = True

    def _died(self) -> None:
        if self.dead:
            return
        self.dead = True
        if self._control is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._control.fileno())
            loop.remove_writer(self._control.fileno())
            self._control.close()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(_cannot_start(self._vm_path, "it ended before it was ready; see its log"))
        children, self._children = list(self._children.values()), {}
        for child in children:
            child.lost()
        self._reap()
        self._on_death(self)

    def _reap(self) -> None:
        # Its socket closes a moment before it can be reaped.
        if self._process is not None and not self._process.reap():
            asyncio.get_running_loop().call_later(_REAP_SECONDS, self._reap)
        else:
            self.is_gone = True


def _stream(fds: list[int]) -> socket.socket:
    """The socket of a child, when these are a socket and a pidfd. Raises DecodeError when they are not."""
    _check_pidfd(fds[1])
    try:
        return socket.socket(fileno=fds[0])
    except OSError as error:
        raise DecodeError(f"expected a socket, got something else: {error}") from None


def _check_pidfd(fd: int) -> None:
    """Raises DecodeError when it is none."""
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, 0)
    except OSError as error:
        raise DecodeError(f"expected a pidfd, got another descriptor: {error}") from None


def _cannot_start(path: Path, why: str) -> ServiceError:
    return ServiceError(
        ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
        f"the interpreter {path} could not be started: {why}",
    )
