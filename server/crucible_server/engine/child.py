"""The server's end of one child process: its frames, its death.

A child is not trusted: the first frame that does not fit kills it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from google.protobuf.message import DecodeError

from crucible.vm.v1 import child_pb2, zygote_pb2
from crucible_server.engine.zygote_process import pid_of
from crucible_server.errors import ServiceError, unavailable

_READ_SIZE = 128 * 1024
_HEADER = struct.Struct("<I")
_MAX_UNSENT_FRAMES = 128
"""Far more than a child can have waiting that reads what it asked for."""

# Reserved exit codes of crucible-vm (vm/src/exit.rs): a panic, an overflow of the native stack, an invalid access.
_CRASH_CODES = frozenset({103, 104, 107})


class FrameError(Exception):
    """A frame that does not fit the protocol."""


class FrameReceiver(Protocol):
    """Whoever runs a job in a child."""

    def on_frame(self, frame: child_pb2.ChildFrame) -> bool:
        """Takes the next frame; True when it is the last one. Raises FrameError when it does not fit."""


class Child:
    """One child process, from the request to fork it until it was reaped.

    `spawned` is set when it exists, `ended` when its socket is at its end *and* the zygote has reaped it: only then is
    what it said final. `exited` is None when the zygote died before it could tell.
    """

    def __init__(self, child_id: int) -> None:
        loop = asyncio.get_running_loop()
        self.child_id = child_id
        self.spawned: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.exited: zygote_pb2.Exited | None = None
        self.zygote_lost = False
        self.was_spare = False
        """It waited for its job."""
        self.violation: str = ""
        """Why the server killed it for a frame that did not fit; empty when it did not."""
        self.max_frame_bytes = 16 * 1024 * 1024
        self.on_end: Callable[[Child], None] | None = None
        self._socket: socket.socket | None = None
        self._pid = 0
        self._pidfd = -1
        self._is_forked = False
        self._receiver: FrameReceiver | None = None
        self._incoming = bytearray()
        self._outgoing: list[memoryview] = []
        self._drained: asyncio.Future[None] | None = None
        self._sequence = 0
        self._at_eof = False
        self._killed = False
        self._is_writing = False
        self._is_reading = False
        self._has_concluded = False
        # A future that nobody awaits must not complain when the zygote dies.
        self.spawned.add_done_callback(lambda f: f.cancelled() or f.exception())

    @property
    def pid(self) -> int:
        """Its process id as this process sees it, and not as the zygote does; 0 when it has none (any more).
        Asks the kernel the first time."""
        if not self._pid and self._pidfd >= 0:
            self._pid = pid_of(self._pidfd)
        return self._pid

    @property
    def crashed(self) -> bool:
        """Whether it ended as hostile code or a bug ends it: by a fatal signal or code, or a frame that did not fit."""
        if self.violation:
            return True
        exited = self.exited
        if exited is None:
            return False
        # SIGKILL is what server, zygote, operator and a machine short of memory use.
        is_fatal = exited.signal not in (0, signal.SIGKILL, signal.SIGXCPU)
        return is_fatal or exited.exit_code in _CRASH_CODES

    def attach(self, stream: socket.socket, pidfd: int) -> None:
        """Takes over the descriptors that came with Spawned."""
        stream.setblocking(False)
        self._socket, self._pidfd, self._is_forked = stream, pidfd, True
        self._read(True)
        if self._killed:
            self.kill()
        self.spawned.set_result(None)

    def start(self, start: child_pb2.Start, receiver: FrameReceiver) -> None:
        """Hands over the one job of this child."""
        self._receiver = receiver
        self.send(child_pb2.ServerFrame(start=start))

    def send(self, frame: child_pb2.ServerFrame) -> None:
        """Queues a frame. A child that is gone gets nothing, which is no error."""
        if self._socket is None:
            return
        if len(self._outgoing) >= _MAX_UNSENT_FRAMES:
            self._violated(f"more than {_MAX_UNSENT_FRAMES} frames that it does not read")
            return
        data = frame.SerializeToString()
        self._outgoing.append(memoryview(_HEADER.pack(len(data)) + data))
        if len(self._outgoing) == 1:
            self._flush()

    async def drained(self) -> None:
        """Waits until it has taken what it was sent, or is gone."""
        while self._outgoing:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)

    def _wake(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def kill(self) -> None:
        """Kills the process at once, if it still lives; one that is being forked is killed when it appears."""
        self._killed = True
        if self._pidfd >= 0 and self.exited is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def reaped(self, exited: zygote_pb2.Exited) -> None:
        """The zygote has reaped it."""
        self.exited = exited
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        if not self.spawned.done():
            self.spawned.set_exception(unavailable("the interpreter process ended before it could start"))
            # Without a socket nothing else would say so.
            self._at_eof = True
        # What it wrote is all there by now; the event loop need not be asked.
        while not self._at_eof and self._receive():
            pass
        if not self._at_eof and self._socket is not None:
            self._read(True)
        self._finish()

    def failed(self, error: ServiceError) -> None:
        """It was never forked."""
        self._at_eof = True
        if not self.spawned.done():
            self.spawned.set_exception(error)
        self._finish()

    def lost(self) -> None:
        """The zygote is gone, and this child with it."""
        self.zygote_lost = True
        self.kill()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1
        self._close()
        if not self.spawned.done():
            self.spawned.set_exception(unavailable("the interpreter was restarted; try again"))
        self._finish()

    def _flush(self) -> None:
        if self._socket is None:
            return
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing[0])
            except BlockingIOError:
                self._write(True)
                return
            except OSError:
                # It is gone; the reason comes with EOF and Exited.
                self._outgoing.clear()
                break
            if sent < len(self._outgoing[0]):
                self._outgoing[0] = self._outgoing[0][sent:]
            else:
                self._outgoing.pop(0)
        self._write(False)
        self._wake()

    # Each change of what is watched is a system call: only real changes are made.

    def _write(self, wanted: bool) -> None:
        assert self._socket is not None
        if wanted != self._is_writing:
            self._is_writing = wanted
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_writer(self._socket.fileno(), self._flush)
            else:
                loop.remove_writer(self._socket.fileno())

    def _read(self, wanted: bool) -> None:
        assert self._socket is not None
        if wanted != self._is_reading:
            self._is_reading = wanted
            loop = asyncio.get_running_loop()
            if wanted:
                loop.add_reader(self._socket.fileno(), self._on_readable)
            else:
                loop.remove_reader(self._socket.fileno())

    def _on_readable(self) -> None:
        self._receive()
        self._finish()

    def _receive(self) -> bool:
        """Reads once; False when there was nothing to read."""
        assert self._socket is not None
        try:
            data = self._socket.recv(_READ_SIZE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            # One that was killed may well have been cut off in a frame; one that has concluded has nothing more to say.
            if self._has_concluded and self._incoming and not self.violation:
                self.violation = f"{len(self._incoming)} bytes after its last frame"
            self._close()
            return True
        self._incoming += data
        try:
            if self._take_frames():
                # The rest is the zygote's word that it is gone; anything that comes before is found then.
                self._has_concluded = True
                self._read(False)
        except (FrameError, DecodeError) as error:
            self._violated(str(error) or "undecodable frame")
        return True

    def _violated(self, what: str) -> None:
        self.violation = what
        self.kill()
        self._close()

    def _take_frames(self) -> bool:
        position = 0
        is_last = False
        incoming = self._incoming
        while len(incoming) - position >= _HEADER.size:
            (size,) = _HEADER.unpack_from(incoming, position)
            if size > self.max_frame_bytes:
                raise FrameError(f"expected a frame of at most {self.max_frame_bytes} bytes, got {size}")
            end = position + _HEADER.size + size
            if len(incoming) < end:
                break
            frame = child_pb2.ChildFrame.FromString(bytes(incoming[position + _HEADER.size : end]))
            position = end
            self._sequence += 1
            if frame.sequence != self._sequence:
                raise FrameError(f"expected frame {self._sequence}, got {frame.sequence}")
            if self._receiver is None:
                raise FrameError("a frame before the job")
            is_last = self._receiver.on_frame(frame)
            # What it is answered may be one frame too many that it does not read: nothing after that counts.
            if self._at_eof:
                return False
        del incoming[:position]
        return is_last

    def _close(self) -> None:
        self._at_eof = True
        if self._socket is not None:
            self._read(False)
            self._write(False)
            self._socket.close()
            self._socket = None
        self._outgoing.clear()
        self._wake()

    def _finish(self) -> None:
        is_over = self._at_eof and (self.exited is not None or self.zygote_lost or not self._is_forked)
        if is_over and not self.ended.done():
            self.ended.set_result(None)
            if self.on_end is not None:
                self.on_end(self)
