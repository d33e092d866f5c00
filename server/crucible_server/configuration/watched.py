"""Files that may change under a running server, looked at from time to time.

Looking costs a few microseconds a second and works where notifications do not: on network file systems, under bind
mounts, and where a whole folder is exchanged by a link, as orchestrators do.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_Signature = tuple[tuple[int, int, int, int] | None, ...]


class WatchedFiles:
    """Tells that some files have changed and come to rest: one that is still being written is left alone."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._taken = self._last = self._signature()

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that are looked at."""
        return self._files

    def take(self, files: Sequence[Path]) -> None:
        """These files are known as they are now; to be called before they are read."""
        self._files = tuple(files)
        self._taken = self._last = self._signature()

    def have_changed(self) -> bool:
        """Whether they are other than they were taken for, and the same as at the last look."""
        now, before = self._signature(), self._last
        self._last = now
        return now == before and now != self._taken

    def _signature(self) -> _Signature:
        return tuple(_signature(file) for file in self._files)


def _signature(file: Path) -> tuple[int, int, int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
