"""The process of a zygote: the one that was started, or where it has a process namespace the one that it goes on in."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def pid_of(pidfd: int) -> int:
    """The process id that a pidfd stands for, as this process sees it; 0 when that process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
            if line.startswith("Pid:"):
                return max(0, int(line.split()[1]))
    return 0


class ZygoteProcess:
    """Knows which process it is, kills it, and reaps it and the one that was started."""

    def __init__(self, started: subprocess.Popen[bytes]) -> None:
        self._started = started
        self._pidfd = -1
        self._has_entered = False
        self.pid = started.pid
        """Its process id as this process sees it."""

    def enter(self, pidfd: int) -> None:
        """It goes on as the process of this pidfd, which this object then owns."""
        self._pidfd, self._has_entered = pidfd, True
        self.pid = pid_of(pidfd)

    @property
    def has_entered(self) -> bool:
        """Whether it goes on in another process than the one that was started."""
        return self._has_entered

    def is_single(self) -> bool:
        """Whether there is one process only, any other being reaped."""
        return not self._has_entered or self._started.poll() is not None

    def kill(self) -> None:
        """kill -9, of both where there are two; no error when they are gone."""
        if self._started.poll() is None:
            self._started.send_signal(signal.SIGKILL)
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def reap(self) -> bool:
        """Whether all of it is gone and reaped. Does not wait."""
        if self._started.poll() is None:
            return False
        if not self._has_entered:
            self._reap_untold()
        elif self._pidfd >= 0:
            with contextlib.suppress(ChildProcessError):
                if os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG) is None:
                    return False
            os.close(self._pidfd)
            self._pidfd = -1
        return True

    def _reap_untold(self) -> None:
        # It may have ended between being forked and telling: a child of this process, known by the session that the one
        # which was started had begun.
        for pid in _children_in_session(self._started.pid):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _children_in_session(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name in brackets may contain anything.
            _, parent, _, its_session, *_ = path.read_text().rpartition(")")[2].split()
            if (int(parent), int(its_session)) == (os.getpid(), session):
                found.append(int(path.parent.name))
    return found
