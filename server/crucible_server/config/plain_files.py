"""Small files of the operator's, read without ever waiting for one."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class NoPlainFileError(OSError):
    """Something of that name that is no regular file, or too large a one. `strerror` says which."""


def read_plain(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most `most`. Raises OSError, NoPlainFileError among them.

    Opening a pipe would wait for whoever writes to it, and reading a device might never end.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoPlainFileError(0, "expected a regular file, got a pipe, a folder, a device or the like")
        content = stream.read(most + 1)
    if len(content) > most:
        raise NoPlainFileError(0, f"expected at most {most:,} bytes, got more")
    return content
