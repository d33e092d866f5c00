"""What the tests of the engine see from outside: processes, descriptors, memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from tests.servers import RunningServer, children_of

T = TypeVar("T")

LOOP = 'pub fn main() { println!("up"); loop {} }'
STEPS = """
pub fn main(steps) {
    for step in 0..steps {
        println!("step {step}");
        let n = 0;
        while n < 200000 { n += 1; }
    }
    steps
}
"""
"""Takes some hundredths of a second for each step, and says so."""

PATIENCE = 30.0
"""Seconds after which a test gives up waiting for something that has no bound of its own."""
PROMPT = 5.0
"""Seconds within which a child has to be gone. It takes milliseconds; the rest is for a machine that is busy."""


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> float:
    """Waits for a condition and returns the seconds that it took; AssertionError when it does not come true."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, f"after {seconds:g} s: {what}"
        time.sleep(0.005)
    return time.monotonic() - started


def wait_logged(server: RunningServer, *words: str) -> None:
    """Waits for a line of the log with all these words: it is read beside answers of calls, which may come first."""
    wait_until(lambda: any(all(word in line for word in words) for line in server.log), f"not logged: {words}")


def exists(pid: int) -> bool:
    """Whether there is such a process, be it a zombie."""
    return Path(f"/proc/{pid}").exists()


def wait_gone(pids: Iterable[int], seconds: float = PROMPT) -> float:
    """Waits until processes have ended and are reaped; the seconds that it took."""
    left = list(pids)
    try:
        return wait_until(lambda: not any(map(exists, left)), f"expected {left} to be gone", seconds)
    except AssertionError as error:
        states = {pid: status_of(pid)["State"] for pid in left if exists(pid)}
        raise AssertionError(f"{error}, but these exist: {states}") from None


def child_started_by(server: RunningServer, start: Callable[[], T]) -> tuple[T, int]:
    """Calls `start`, and returns what it gave and the new child of the zygote. For a server without spares."""
    zygote = server.zygote_pid()
    before = set(children_of(zygote))
    started = start()
    wait_until(lambda: set(children_of(zygote)) - before, "no child appeared")
    (pid,) = set(children_of(zygote)) - before
    return started, pid


@contextmanager
def standing_still(pids: Iterable[int]) -> Iterator[None]:
    """Processes that get no further meanwhile, so that what is seen of them is not over before it is looked at."""
    held = list(pids)
    try:
        for pid in held:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in held:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status by its names."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def descriptors_of(pid: int) -> dict[str, str]:
    """Open descriptors and what they lead to."""
    folder = Path(f"/proc/{pid}/fd")
    try:
        return {entry.name: os.readlink(entry) for entry in folder.iterdir()}
    except PermissionError:
        pytest.skip("only root may look into a process that is not dumpable")


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(status_of(pid)["VmRSS"].split()[0]) * 1024


def zombies_of(pid: int) -> list[int]:
    """Children of a process that nobody has reaped."""
    return [child for child in children_of(pid) if exists(child) and _is_zombie(child)]


def _is_zombie(pid: int) -> bool:
    try:
        return status_of(pid)["State"].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):
        return False
