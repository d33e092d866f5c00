"""By what a server that shares its database is known, also after a restart."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import socket
from pathlib import Path

_ID = re.compile(r"[0-9a-f]{32}")


class Identity:
    """An id in a file that is locked for this process; without the file, or while another has it, a new one.

    A server that comes back under its id has not to wait for its own lease: it knows that what it left is lost.
    """

    def __init__(self, path: Path | None) -> None:
        self._fd = -1
        self.server_id = secrets.token_hex(16)
        self.instance_id = secrets.token_hex(8)
        self.host = socket.gethostname()
        self.process = os.getpid()
        if path is not None:
            # Whatever is wrong with the file, a new id serves; only that the lease has to run out then.
            with contextlib.suppress(OSError):
                self._read(path)

    @property
    def is_kept(self) -> bool:
        """The id is that of the file, and nobody else on this machine can have it."""
        return self._fd >= 0

    def renew(self) -> None:
        """Takes a new id: another server goes by the one of the file, which must have been copied."""
        self.release()
        self.server_id = secrets.token_hex(16)

    def release(self) -> None:
        """Gives the file up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self, path: Path) -> None:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = os.pread(handle, 64, 0).decode("ascii", "replace").strip()
            if _ID.fullmatch(text):
                self.server_id = text
            else:
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{self.server_id}\n".encode("ascii"), 0)
        except OSError:
            os.close(handle)
            raise
        self._fd = handle
