"""The check that notices generated code which no longer fits the contract."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REFLECTION = "server/crucible_server/api/reflection.binpb"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the repository with all that the Python and reflection targets read and write."""
    shutil.copytree(ROOT / "proto", tmp_path / "proto", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "clients/python", tmp_path / "clients/python", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / REFLECTION).parent.mkdir(parents=True)
    shutil.copyfile(ROOT / REFLECTION, tmp_path / REFLECTION)
    return tmp_path


def generate(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    words = ("--only", "python,reflection", *words)
    return subprocess.run(
        [sys.executable, root / "proto/generate.py", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_is_committed_is_fresh(copy: Path) -> None:
    done = generate(copy, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_proto_makes_its_code_stale_until_it_is_regenerated(copy: Path) -> None:
    proto = copy / "proto/crucible/v1/value.proto"
    text = proto.read_text("utf-8")
    proto.write_text(text.replace("message NullValue {}", "message NullValue {\n  bool set = 1;\n}"), "utf-8")
    before = (copy / REFLECTION).read_bytes()
    stale = generate(copy, "--check")
    assert stale.returncode == 1
    assert REFLECTION in stale.stderr
    assert "clients/python/crucible/v1/value_pb2.py" in stale.stderr
    assert "clients/python/crucible/v1/error_pb2.py" not in stale.stderr
    assert (copy / REFLECTION).read_bytes() == before
    assert generate(copy).returncode == 0
    assert generate(copy, "--check").returncode == 0


def test_code_of_a_proto_that_is_gone_is_removed(copy: Path) -> None:
    leftover = copy / "clients/python/crucible/v1/gone_pb2.py"
    leftover.write_text("", "utf-8")
    assert "gone_pb2.py" in generate(copy, "--check").stderr
    assert generate(copy).returncode == 0
    assert not leftover.exists()


def test_a_proto_that_is_wrong_changes_nothing_and_is_named(copy: Path) -> None:
    proto = copy / "proto/crucible/v1/value.proto"
    proto.write_text(proto.read_text("utf-8") + "message {", "utf-8")
    done = generate(copy)
    assert done.returncode == 1
    assert "crucible/v1/value.proto" in done.stderr
    assert (copy / REFLECTION).read_bytes() == (ROOT / REFLECTION).read_bytes()


def test_an_unknown_target_is_refused(copy: Path) -> None:
    done = subprocess.run(
        [sys.executable, copy / "proto/generate.py", "--only", "cobol"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "expected some of python, reflection, rust, go, typescript" in done.stderr
