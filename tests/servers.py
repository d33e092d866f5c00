"""Real servers for tests: `crucible serve` in a process of its own, on a free loopback port."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

START_TIMEOUT = 60.0
STOP_TIMEOUT = 60.0
store_url_of: Callable[[Path], str] | None = None
"""Where the store of a server with this data folder is, when it is not in the folder: see `--store`."""


@dataclass
class RunningServer:
    """One `crucible serve`. A context manager that stops it; `kill` and `terminate` end it earlier."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables such as CRUCIBLE_GRACE_PERIOD."""
    user: int | None = None
    """User and group to run as, when the tests run as root."""
    wrapper: Sequence[str] = ()
    """A program that prepares something and then executes the command that follows."""
    listen: str = "127.0.0.1:0"
    words: tuple[str, ...] = ()
    """Further words of the command line, such as `--config`."""
    address: str = ""
    process: subprocess.Popen[str] | None = None
    log: list[str] = field(default_factory=list)
    _reader: threading.Thread = field(default_factory=threading.Thread, repr=False)

    def start(self) -> RunningServer:
        """Starts it and waits until it is ready."""
        self.address = ""
        kept = {k: v for k, v in os.environ.items() if k == "CRUCIBLE_VM" or not k.startswith("CRUCIBLE_")}
        python, switch = sys.executable, as_user(self.user)
        if store_url_of is not None:
            kept["CRUCIBLE_STORE_URL"] = store_url_of(self.data_dir)
        if self.user is not None:
            python = python_of(self.user)
            kept["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self.process = subprocess.Popen(
            [
                *self.wrapper,
                python,
                "-m",
                "crucible_server",
                "serve",
                "--listen",
                self.listen,
                "--data-dir",
                str(self.data_dir),
                *self.words,
            ],
            env={**kept, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **switch,
        )
        ready = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(self.process, ready), daemon=True)
        self._reader.start()
        if not ready.wait(START_TIMEOUT) or not self.address:
            self.kill()
            raise AssertionError("the server did not become ready:\n" + "".join(self.log))
        return self

    def _read(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.log.append(line)
                if match := re.search(r"ready at (\S+)", line):
                    self.address = match[1]
                    ready.set()
        ready.set()

    @property
    def pid(self) -> int:
        """Process id of the server."""
        assert self.process is not None
        return self.process.pid

    def zygote_pid(self) -> int:
        """Process id of its zygote."""
        (pid,) = [pid for pid in children_of(self.pid) if _name(pid) not in ("", "crucible-files")]
        return pid

    def terminate(self) -> int:
        """Sends SIGTERM and waits; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_TIMEOUT)
        self._reader.join(STOP_TIMEOUT)
        return code

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT)
            self._reader.join(STOP_TIMEOUT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill()
                raise


def _name(pid: int) -> str:
    """Of a process; empty when it has just gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def own_address() -> str:
    """An address of this machine that is not loopback; skips the test where there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # Nothing is sent: this only asks for the route.
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def as_user(user: int | None) -> dict[str, Any]:
    """Arguments for subprocess that start a program as this user and group; nothing for None."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": ()}


def python_of(user: int) -> str:
    """A Python of this version that the user may execute: the one of the tests may lie in root's home."""
    for python in (sys.executable, f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"):
        try:
            subprocess.run([python, "-c", ""], check=True, capture_output=True, **as_user(user))
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    pytest.skip(f"there is no Python {sys.version_info.major}.{sys.version_info.minor} that user {user} may execute")


def children_of(pid: int) -> list[int]:
    """Process ids of the direct children of a process, zombies included."""
    found: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in brackets may contain anything; the parent is the second field after it.
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(status.parent.name))
    return found
