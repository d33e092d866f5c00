"""Profiles as pprof reads them."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from crucible.vm.v1 import pprof_pb2

GO_CACHE = Path(__file__).resolve().parents[2] / "build" / "go"
PPROF_TIMEOUT = 500.0
"""Seconds for one call; the first one builds pprof."""


def read(profile: bytes) -> pprof_pb2.PprofProfile:
    """What a profile holds."""
    return pprof_pb2.PprofProfile.FromString(gzip.decompress(profile))


def total(profile: pprof_pb2.PprofProfile, value: int) -> int:
    """The sum of one kind of value."""
    return sum(sample.value[value] for sample in profile.sample)


def pprof(file: Path, *arguments: str) -> str:
    """What `go tool pprof` prints."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("there is no Go to read the profile with")
    done = subprocess.run(
        [go, "tool", "pprof", *arguments, str(file)],
        capture_output=True,
        text=True,
        timeout=PPROF_TIMEOUT,
        # What Go builds pprof into is kept: it takes half a minute, and several on a busy machine.
        env={**os.environ, "PPROF_TMPDIR": str(file.parent), "HOME": str(file.parent), "GOCACHE": str(GO_CACHE)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
