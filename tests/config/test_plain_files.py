"""Files of the operator's are read without waiting, and only when they are files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from crucible_server.config.plain_files import NoPlainFileError, read_plain


def test_what_is_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_plain(file, 5) == b"12345"
    link = tmp_path / "link"
    link.symlink_to("file")
    assert read_plain(link, 5) == b"12345"
    with pytest.raises(NoPlainFileError) as caught:
        read_plain(file, 4)
    assert caught.value.strerror == "expected at most 4 bytes, got more"
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "absent", 5)


def test_what_is_no_file_leaves_nothing_open(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/zero")):
        with pytest.raises(NoPlainFileError) as caught:
            read_plain(path, 5)
        assert "expected a regular file" in str(caught.value.strerror)
        assert str(path.resolve()) not in opened()


def opened() -> set[str]:
    """What this process has open; other threads of it open and close what they need."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{number}"))
    return found
