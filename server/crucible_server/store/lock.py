"""One server for one database: an advisory lock on a file beside it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from .errors import StoreError, StoreErrorKind


class FileLock:
    """Held from construction to `release` or the death of the process, whichever comes first.

    Raises StoreError when another process holds it (with that process's id) or the file cannot be made.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                StoreErrorKind.READ_ONLY,
                f"The lock file {self._path} cannot be opened: {error.strerror}. Give this user write access "
                "to its folder, or set `store_url` to another place.",
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreError(
                StoreErrorKind.LOCKED,
                f"The store {database} is in use by another server, process {holder}. Stop that server, or "
                "give this one a store of its own with `store_url` or `data_dir`.",
            ) from error
        # Only for the message above: a full disk is told of by what needs the room.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode("ascii"), 0)

    def release(self) -> None:
        """Gives the lock up. The file stays: deleting it would let two servers lock two files of one name."""
        os.ftruncate(self._fd, 0)
        os.close(self._fd)
