"""What the server and its interpreter processes use, read from /proc."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path

_WINDOW_SECONDS = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Resources:
    """Memory now, and processor time over the last ten seconds; `sample` is to be called about once a second."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()

    def sample(self, zygotes: list[int]) -> None:
        """Notes the processor time that this process and these used so far."""
        now = time.monotonic()
        used = time.process_time() + sum(_processor_seconds(pid) for pid in zygotes)
        # Another zygote starts to count anew.
        if self._samples and used < self._samples[-1][1]:
            self._samples.clear()
        self._samples.append((now, used))
        while now - self._samples[0][0] > _WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def processor_percent(self) -> float:
        """Of one processor, of the server, its zygotes and the children that have ended."""
        if len(self._samples) < 2:
            return 0.0
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return 100.0 * (after - before) / (ended - began)


def memory_bytes(zygotes: Iterable[int], children: Iterable[int]) -> int:
    """Resident memory of this process, these zygotes and children; pages that they share count once."""
    total = _resident(os.getpid()) + sum(_resident(pid) for pid in zygotes)
    return total + sum(_private(pid) for pid in children)


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _private(pid: int) -> int:
    # What a child has changed since it was forked; the rest is the zygote's.
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def _processor_seconds(pid: int) -> float:
    """User and system time of a process and of its children that were reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / _TICKS


def process_state(pid: int) -> str:
    """The kernel's letter for what a process does, such as `S` for sleeping and `T` for stopped; empty without one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def most_processes(pid: int) -> int | None:
    """How many processes the user of this one may have, by its soft RLIMIT_NPROC; None without a bound."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
        (soft,) = [line.split()[2] for line in lines if line.startswith("Max processes")]
        return int(soft)
    except (OSError, ValueError):
        return None
