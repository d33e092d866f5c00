"""Starts crucible-vm, as the zygote or as the file broker."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import structlog

log = structlog.get_logger()


def start_vm(
    vm_path: Path, role: str, kind: socket.SocketKind, flags: Sequence[str] = ()
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts `crucible-vm ROLE`; returns the process and our end of its control socket, which does not block.

    Does not wait: the process says by that socket when it is ready. It dies with the thread that starts it. Raises
    OSError when it cannot be executed.
    """
    # PR_SET_PDEATHSIG fires when the parent's *thread* ends: another thread would take the process with it.
    if threading.current_thread() is not threading.main_thread():
        log.warning(f"{role}_started_off_main_thread", thread=threading.current_thread().name)
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with theirs:
        try:
            ours.setblocking(False)
            process = subprocess.Popen(
                [vm_path, role, "--control-fd", str(theirs.fileno()), *flags],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={},
            )
        except OSError:
            ours.close()
            raise
    return process, ours
