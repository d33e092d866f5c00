"""Starts a real zygote and speaks its control protocol, as little as the tests of `vm/` need."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from crucible.vm.v1 import child_pb2, zygote_pb2

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 30.0
"""Seconds after which something that should have happened did not."""


def binary() -> Path:
    """The built crucible-vm: $CRUCIBLE_VM_BINARY, or the newest under `vm/target`."""
    named = os.environ.get("CRUCIBLE_VM_BINARY")
    if named:
        return Path(named)
    built = [REPOSITORY / "vm" / "target" / profile / "crucible-vm" for profile in ("release", "debug")]
    found = [path for path in built if path.exists()]
    if not found:
        raise FileNotFoundError(f"expected a built crucible-vm at one of {built}: run `make build`")
    return max(found, key=lambda path: path.stat().st_mtime)


def pid_of(pidfd: int) -> int:
    """The process id that a pidfd stands for, in the namespace of this process."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


@dataclass
class Process:
    """A zygote's process: the one that was started, or the one that it told to go on in."""

    started: subprocess.Popen[bytes]
    pidfd: int = -1
    pid: int = 0

    def __post_init__(self) -> None:
        self.pid = self.pid or self.started.pid

    @property
    def stderr(self) -> IO[bytes] | None:
        """Its standard error, when it was asked for."""
        return self.started.stderr

    def entered(self, pidfd: int) -> None:
        """It goes on in another process."""
        self.pidfd, self.pid = pidfd, pid_of(pidfd)

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal to whichever it is."""
        if self.pidfd >= 0:
            signal.pidfd_send_signal(self.pidfd, number)
        else:
            self.started.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = PATIENCE) -> int:
        """Reaps it; its exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        code = self.started.wait(timeout)
        if self.pidfd < 0:
            return code
        assert code == 0, "the process that was started has nothing left to do"
        if not select.select([self.pidfd], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired("crucible-vm", timeout)
        ended = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert ended is not None
        os.close(self.pidfd)
        self.pidfd = -1
        self.code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        self.started.returncode = self.code
        return self.code


@dataclass
class Child:
    """A child as the server sees it: its id, process id, stream socket and pidfd."""

    child_id: int
    pid: int
    stream: socket.socket
    pidfd: int

    def start(self, start: child_pb2.Start) -> None:
        """Sends the Start frame."""
        data = child_pb2.ServerFrame(start=start).SerializeToString()
        self.stream.sendall(len(data).to_bytes(4, "little") + data)

    def frames(self) -> Iterator[child_pb2.ChildFrame]:
        """Yields what the child says, until it closes its end."""
        self.stream.settimeout(PATIENCE)
        with self.stream.makefile("rb") as reader:
            while header := reader.read(4):
                yield child_pb2.ChildFrame.FromString(reader.read(int.from_bytes(header, "little")))

    def kill(self) -> None:
        """Kills it as the server does."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Closes both descriptors; once more does nothing."""
        self.stream.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


@dataclass
class Zygote:
    """A running zygote. Events that a caller did not wait for are kept for later."""

    process: Process
    control: socket.socket
    ready: zygote_pb2.Ready = field(default_factory=zygote_pb2.Ready)
    next_id: int = 1
    spawned: dict[int, Child] = field(default_factory=dict)
    failed: dict[int, zygote_pb2.SpawnFailed] = field(default_factory=dict)
    exited: dict[int, zygote_pb2.Exited] = field(default_factory=dict)
    living: dict[int, Child] = field(default_factory=dict)
    pongs: list[int] = field(default_factory=list)

    def request(self, request: zygote_pb2.ZygoteRequest) -> None:
        """Sends one request."""
        self.control.send(request.SerializeToString())

    def receive(self, timeout: float = PATIENCE) -> None:
        """Files one event. Raises TimeoutError, or EOFError when the zygote is gone."""
        self.control.settimeout(timeout)
        data, ancillary, _, _ = self.control.recvmsg(1 << 16, socket.CMSG_SPACE(8))
        if not data:
            raise EOFError("the zygote closed its control socket")
        descriptors = array.array("i")
        for _, _, payload in ancillary:
            descriptors.frombytes(payload)
        event = zygote_pb2.ZygoteEvent.FromString(data)
        match event.WhichOneof("event"):
            case "entered":
                (pidfd,) = descriptors
                self.process.entered(pidfd)
            case "ready":
                self.ready = event.ready
            case "pong":
                self.pongs.append(event.pong.number)
            case "spawned":
                stream, pidfd = descriptors
                child = Child(event.spawned.child_id, pid_of(pidfd), socket.socket(fileno=stream), pidfd)
                self.spawned[child.child_id] = self.living[child.child_id] = child
            case "spawn_failed":
                self.failed[event.spawn_failed.child_id] = event.spawn_failed
            case "exited":
                self.exited[event.exited.child_id] = event.exited
            case unknown:
                raise ValueError(f"expected an event of the zygote, got {unknown}")

    def ask_for_child(self, limits: zygote_pb2.ChildLimits | None = None, *, is_spare: bool = False) -> int:
        """Asks for a child and returns its id without waiting."""
        child_id, self.next_id = self.next_id, self.next_id + 1
        spawn = zygote_pb2.Spawn(child_id=child_id, limits=limits or zygote_pb2.ChildLimits(), is_spare=is_spare)
        self.request(zygote_pb2.ZygoteRequest(spawn=spawn))
        return child_id

    def spawn(self, limits: zygote_pb2.ChildLimits | None = None, *, is_spare: bool = False) -> Child:
        """Asks for a child and waits for it. Raises RuntimeError when it could not be forked."""
        child_id = self.ask_for_child(limits, is_spare=is_spare)
        while child_id not in self.spawned:
            if child_id in self.failed:
                raise RuntimeError(self.failed[child_id].message)
            self.receive()
        return self.spawned.pop(child_id)

    def assign(self, child: Child, limits: zygote_pb2.ChildLimits) -> None:
        """Bounds a spare."""
        self.request(zygote_pb2.ZygoteRequest(assign=zygote_pb2.Assign(child_id=child.child_id, limits=limits)))

    def catch_up(self) -> None:
        """Waits until it has handled what it was sent, which a child's frames on a socket of its own may overtake."""
        self.pongs.clear()
        self.request(zygote_pb2.ZygoteRequest(ping=zygote_pb2.Ping(number=1)))
        while not self.pongs:
            self.receive()

    def wait(self, child_id: int) -> zygote_pb2.Exited:
        """Waits until the child has been reaped, and closes what is left of it."""
        while child_id not in self.exited:
            self.receive()
        if child := self.living.pop(child_id, None):
            child.close()
        return self.exited.pop(child_id)


@contextmanager
def running_zygote(
    stderr: int | None = None, open_files: int | None = None, flags: Sequence[str] = ()
) -> Iterator[Zygote]:
    """A zygote that has said Ready; gone, with its children, afterwards. It may open so many files."""
    limited = ["sh", "-c", f'ulimit -n {open_files}; exec "$0" "$@"'] if open_files else []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            started = subprocess.Popen(
                [*limited, str(binary()), "zygote", "--control-fd", str(theirs.fileno()), *flags],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=stderr,
            )
        process = Process(started)
        zygote = Zygote(process, ours)
        try:
            while not zygote.ready.protocol_version:
                zygote.receive()
            if process.pidfd >= 0:
                # Its only child is the one that goes on.
                started.wait(PATIENCE)
            yield zygote
        finally:
            ours.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
            finally:
                for child in zygote.living.values():
                    child.close()
                if process.stderr:
                    process.stderr.close()


def status(pid: int) -> dict[str, str]:
    """`/proc/PID/status` by name. Raises FileNotFoundError when there is no such process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process, zombies included."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def until(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Waits until `condition()` is true. Raises TimeoutError."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{condition} did not become true in {timeout} s")
        time.sleep(0.005)


def is_dead(child: Child, timeout: float = PATIENCE) -> bool:
    """Whether the child ends within so many seconds, seen by its pidfd."""
    return bool(select.select([child.pidfd], [], [], timeout)[0])
