"""A server whose scripts have files: a root to write, a root to read, and a place outside that nobody may touch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import crucible
from crucible.vm.v1 import broker_pb2
from crucible_server.config import ServerConfig
from tests.servers import RunningServer, children_of

SECRET = b"SECRET: nobody outside may read this"
CALLS = ("read", "read_bytes", "exists", "metadata", "list", "create_dir", "remove")
SOURCE = """
use crucible::fs;
pub async fn main(call, a, b, c) {
    let answer = match call {
%s
        "read_part" => fs::read_part(a, b, c).await,
        "write" => fs::write(a, b).await,
        "append" => fs::append(a, b).await,
        "rename" => fs::rename(a, b).await,
        "copy" => fs::copy(a, b).await,
    };
    match answer { Ok(value) => #{ ok: value }, Err(message) => #{ err: message } }
}
""" % "\n".join(f'        "{call}" => fs::{call}(a).await,' for call in CALLS)  # noqa: UP031 - it is full of braces
VM = ServerConfig().vm_path


class RefusedError(Exception):
    """The `Err` of a function, with its message."""


@dataclass
class Disk:
    """A context manager: the server runs inside. Everything lies below `base`, which must be empty or new."""

    base: Path
    settings: dict[str, Any] = field(default_factory=dict)
    """Of [engine.files], besides the roots."""
    user: int | None = None
    """User to run the server as, when the tests run as root."""

    def __post_init__(self) -> None:
        self.root, self.read_only, self.outside = (self.base / name for name in ("root", "read-only", "outside"))
        for folder in (self.root, self.read_only, self.outside):
            folder.mkdir(parents=True, exist_ok=True)
        (self.outside / "secret").write_bytes(SECRET)
        (self.read_only / "known").write_text("read me")
        self.server = RunningServer(self.base / "data", self.environment(), user=self.user)

    def environment(self) -> dict[str, str]:
        """The server's settings as variables."""
        roots = {
            "data": {"path": str(self.root), "access": "write"},
            "fixed": {"path": str(self.read_only)},
        }
        settings = {"allow_file_access": "true", "roots": json.dumps(roots), **self.settings}
        return {f"CRUCIBLE_ENGINE__FILES__{name.upper()}": str(value) for name, value in settings.items()}

    def __enter__(self) -> Self:
        self.server.start()
        self.client = crucible.Client(self.server.address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.server.__exit__(kind, error, trace)

    def do(self, call: str, *arguments: Any) -> Any:
        """What a function of `crucible::fs` returned; raises RefusedError with the message of its `Err`."""
        padded = [*arguments, None, None][:3]
        value = self.client.run(SOURCE, level="production", args=dict(zip("abc", padded, strict=True)) | {"call": call})
        if "err" in value.value:
            message = value.value["err"]
            assert str(self.base) not in message, "a path of the host in a message for scripts"
            raise RefusedError(message)
        return value.value["ok"]

    def refusal(self, call: str, *arguments: Any) -> str:
        """The message of the `Err`; fails when there was none."""
        try:
            value = self.do(call, *arguments)
        except RefusedError as error:
            return str(error)
        raise AssertionError(f"{call}{arguments!r} was done: {value!r}")

    def run(self, source: str, **args: Any) -> crucible.Result:
        """Runs a script of its own in Production."""
        return self.client.run(source, level="production", args=args)

    def broker_pid(self) -> int:
        """Process id of the broker; 0 when there is none that lives."""
        for pid in children_of(self.server.pid):
            # One that is replaced may be gone by now.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name, _, rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
                if name.endswith("(crucible-files") and rest.split()[0] not in "ZX":
                    return pid
        return 0

    def kill_broker(self) -> int:
        """kill -9; the process id that it had."""
        pid = self.broker_pid()
        assert pid, "there is no broker"
        os.kill(pid, signal.SIGKILL)
        # Or it could be taken for the next one.
        wait_until(lambda: self.broker_pid() != pid)
        return pid

    def outside_is_untouched(self) -> bool:
        """Whether the place outside is as it was made."""
        return os.listdir(self.outside) == ["secret"] and (self.outside / "secret").read_bytes() == SECRET


class RawBroker:
    """A broker without a server: frames as a test likes them."""

    def __init__(self, *roots: tuple[Path, bool], **bounds: int) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        ours.settimeout(30)
        self.process = subprocess.Popen(
            [VM, "broker", "--control-fd", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={},
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._sent = 0
        sizes: Any = {"max_file_bytes": 1 << 20, "max_read_bytes": 1 << 20, "max_list_entries": 100} | bounds
        setup = broker_pb2.BrokerSetup(protocol_version=1, **sizes)
        for number, (path, is_writable) in enumerate(roots):
            setup.roots.add(name=f"r{number}", path=str(path), is_writable=is_writable)
        self.setup = setup

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()

    def ask(self, **request: Any) -> broker_pb2.BrokerReply:
        """Sends one request and waits for its reply."""
        self._sent += 1
        self.send_bytes(broker_pb2.BrokerRequest(request_id=self._sent, **request).SerializeToString())
        reply = self.receive()
        assert reply.request_id == self._sent
        return reply

    def send_bytes(self, data: bytes) -> None:
        """Sends a frame of any content."""
        self.socket.sendall(struct.pack("<I", len(data)) + data)

    def receive(self) -> broker_pb2.BrokerReply:
        """The next reply; raises EOFError when there is none any more."""
        header = self._exactly(4)
        return broker_pb2.BrokerReply.FromString(self._exactly(struct.unpack("<I", header)[0]))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data


def at(path: str, root: int = 0) -> broker_pb2.FilePath:
    """A place below a root."""
    return broker_pb2.FilePath(root=root, path=path)


def wait_until(what: Any, seconds: float = 20.0) -> None:
    """Waits until a function says yes."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)
