"""What this process may use: descriptors, processes, stack, memory, processors; and whether the clock is right."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from crucible_server.capacity import files_for, is_enough
from crucible_server.cli.findings.finding import Finding, Status, read
from crucible_server.cli.tables import size
from crucible_server.config.models import MEMORY_BOUNDS

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig

GROUP = "machine"

_LITTLE_MEMORY = 256 * 1024 * 1024
_WANTED_STACK = 64 * 1024 * 1024
# Nothing of Crucible is older, so neither can now be.
_BUILT = 1_790_000_000
_TIME_ERROR = 5
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


def look(config: ServerConfig | None) -> Iterator[Finding]:
    """Findings on the machine, measured by the configuration where there is one."""
    executions = config.max_concurrent_executions if config else 64
    yield _descriptors(executions)
    yield _processes(executions)
    yield _stack()
    yield _memory()
    yield _processors()
    yield _container()
    yield _clock()


def _descriptors(executions: int) -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_for(executions)
    detail = f"{_limit(soft)} (at most {_limit(hard)}); {executions} executions at once take about {wanted}"
    if is_enough(soft, wanted):
        return Finding(GROUP, "open files", Status.OK, detail)
    return Finding(
        GROUP,
        "open files",
        Status.WARNING,
        detail,
        f"raise it (`ulimit -n {wanted}`, LimitNOFILE= in systemd), or lower max_concurrent_executions",
    )


def _processes(executions: int) -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() == 0:
        return Finding(GROUP, "processes", Status.OK, f"{_limit(soft)}; does not hold for root")
    wanted = executions + 32
    detail = f"{_limit(soft)} for this user; {executions} executions at once take about {wanted}"
    if is_enough(soft, wanted):
        return Finding(GROUP, "processes", Status.OK, detail)
    return Finding(
        GROUP,
        "processes",
        Status.WARNING,
        detail,
        f"raise it (`ulimit -u {wanted}`, TasksMax= in systemd), or lower max_concurrent_executions",
    )


def _stack() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    detail = f"{_limit(soft, is_size=True)} (at most {_limit(hard, is_size=True)}); scripts want {size(_WANTED_STACK)}"
    if is_enough(hard, _WANTED_STACK):
        return Finding(GROUP, "stack", Status.OK, detail)
    return Finding(
        GROUP,
        "stack",
        Status.WARNING,
        f"{detail}: deeply nested scripts end early",
        "raise the hard limit (`ulimit -Hs`, LimitSTACK= in systemd)",
    )


def _memory() -> Finding:
    facts = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines() if ":" in line)
    available = _kibibytes(facts.get("MemAvailable", ""))
    total = _kibibytes(facts.get("MemTotal", ""))
    detail = f"{size(available)} available of {size(total)}"
    for file in MEMORY_BOUNDS:
        bound = read(file)
        if bound.isdecimal() and int(bound) < total:
            detail += f"; the control group allows {size(int(bound))}"
            available = min(available, int(bound))
    if available >= _LITTLE_MEMORY:
        return Finding(GROUP, "memory", Status.OK, detail)
    return Finding(
        GROUP,
        "memory",
        Status.WARNING,
        detail,
        "free some: an execution of level safe may take 50 MiB, one of level production 100 MiB",
    )


def _processors() -> Finding:
    count = len(os.sched_getaffinity(0))
    detail = f"{count} for this process"
    quota = read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdecimal():
        share = int(quota[0]) / int(quota[1])
        detail += f"; the control group allows {share:.1f}"
        if share < 1:
            return Finding(GROUP, "processors", Status.WARNING, detail, "grant at least one (CPUQuota=, --cpus)")
    return Finding(GROUP, "processors", Status.OK, detail)


def _container() -> Finding:
    mark = next((path for path in _CONTAINER_MARKS if Path(path).exists()), None)
    detail = f"yes ({mark}): its own seccomp profile and limits hold besides" if mark else "no sign of one"
    return Finding(GROUP, "container", Status.OK, detail)


def _clock() -> Finding:
    now = time.time()
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    if now < _BUILT:
        return Finding(
            GROUP,
            "clock",
            Status.ERROR,
            f"{shown}, which is before this version was made: what is stored now would look expired",
            "set the clock, and keep it right by chrony or systemd-timesyncd",
        )
    # With all modes zero, adjtimex only reads; 256 bytes are more than the structure takes anywhere.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.create_string_buffer(256)) == _TIME_ERROR:
        return Finding(
            GROUP,
            "clock",
            Status.WARNING,
            f"{shown}; the kernel knows of nothing that keeps it right",
            "run chrony or systemd-timesyncd, unless the host of this machine sees to it",
        )
    return Finding(GROUP, "clock", Status.OK, f"{shown}, kept right")


def _limit(value: int, *, is_size: bool = False) -> str:
    if value == resource.RLIM_INFINITY:
        return "unlimited"
    return size(value) if is_size else str(value)


def _kibibytes(text: str) -> int:
    number = text.replace("kB", "").strip()
    return int(number) * 1024 if number.isdecimal() else 0
