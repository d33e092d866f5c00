"""Whether this machine can keep what the configuration promises; said at the start, not found out under load."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

from crucible_server.config import ServerConfig
from crucible_server.config.models import machine_memory

# A child's socket and pidfd, and the connection of its caller.
_FILES_PER_EXECUTION = 3
# The store, the listening sockets, watchers, and the libraries' own.
_OTHER_FILES = 64


def raise_file_limit() -> None:
    """Takes as many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def files_for(processes: int) -> int:
    """Open files that a server with so many children takes."""
    return _OTHER_FILES + _FILES_PER_EXECUTION * processes


def is_enough(limit: int, wanted: int) -> bool:
    """Whether a limit of this process, such as getrlimit gives it, leaves room for what is wanted."""
    return limit == resource.RLIM_INFINITY or limit >= wanted


def shortages(config: ServerConfig) -> list[str]:
    """What cannot be kept, each in a sentence that says what to do."""
    found = []
    memory = machine_memory()
    if config.max_executions_memory > memory:
        found.append(
            f"max_executions_memory is {config.max_executions_memory} bytes, but this machine or its control group "
            f"has {memory}: executions may be killed for want of memory before the limit is reached; lower it"
        )
    processes = config.max_concurrent_executions + config.max_spare_children
    files = files_for(processes)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if not is_enough(allowed, files):
        found.append(
            f"max_concurrent_executions is {config.max_concurrent_executions}, which takes up to {files} open files, "
            f"but this process may have {allowed}: raise it (`ulimit -Hn`, LimitNOFILE=), or lower the number"
        )
    most = _most_processes()
    if most is not None and processes > most:
        found.append(
            f"max_concurrent_executions is {config.max_concurrent_executions}, with spares {processes} processes, but "
            f"this control group or user may have {most}: raise that (TasksMax=, `ulimit -u`), or lower the number"
        )
    return found


def _most_processes() -> int | None:
    limits = []
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    # The kernel does not hold root to it.
    if os.geteuid() != 0 and soft != resource.RLIM_INFINITY:
        limits.append(soft)
    # "max" is no number.
    with contextlib.suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/pids.max").read_text()))
    return min(limits) if limits else None
