"""`crucible doctor`: what it finds, and that it leaves everything as it was."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

import crucible as client_library
from crucible_server.config.isolation import LAYERS
from crucible_server.engine.cgroup_mounts import hierarchies
from tests.servers import RunningServer

from .conftest import TIMEOUT, Crucible, command, environment


def examine(crucible: Crucible, folder: Path, **settings: str) -> tuple[int, dict[tuple[str, str], dict[str, Any]]]:
    """The exit code, and the findings by group and name."""
    done = crucible("doctor", "--data-dir", folder, "--json", settings={"CRUCIBLE_LISTEN": "127.0.0.1:0", **settings})
    assert done.stderr == ""
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    findings = {(finding["group"], finding["name"]): finding for finding in document["findings"]}
    assert len(findings) == len(document["findings"])
    for finding in document["findings"]:
        # Whatever is not well comes with advice.
        assert finding["advice"] or finding["status"] == "ok", finding
    return done.returncode, findings


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """The data of a server that has been stopped."""
    folder = tmp_path / "data"
    with RunningServer(folder) as running, client_library.Client(running.address) as client:
        client.run("pub fn main() { 1 }")
    return folder


def test_this_machine_can(crucible: Crucible, tmp_path: Path) -> None:
    code, findings = examine(crucible, tmp_path)
    assert code == 0
    assert not list(tmp_path.iterdir())
    for place in (
        ("configuration", "settings"),
        ("toolchain", "crucible-vm"),
        ("isolation", "seccomp"),
        ("kernel", "seccomp"),
        ("kernel", "pidfd"),
        ("kernel", "close_range"),
        ("files", "access"),
        ("store", "place"),
        ("store", "key"),
        ("address", "listen"),
    ):
        assert findings[place]["status"] == "ok", findings[place]
    assert ("machine", "memory") in findings


def test_every_layer_of_isolation_is_named(crucible: Crucible, tmp_path: Path) -> None:
    before = groups_of_the_dead()
    _, findings = examine(crucible, tmp_path)
    assert {name for group, name in findings if group == "isolation"} == set(LAYERS)
    # Looked at, and none made.
    assert groups_of_the_dead() <= before


def groups_of_the_dead() -> set[Path]:
    """Control groups of processes that have ended; those that run may be servers of others."""
    found = (path for each in hierarchies() for path in each.folder.glob("crucible-*"))
    return {path for path in found if not Path("/proc", path.name.split("-")[2]).exists()}


@pytest.mark.parametrize("layer", ["landlock", "cgroup"])
def test_a_layer_that_is_missing(crucible: Crucible, tmp_path: Path, layer: str) -> None:
    settings = {f"CRUCIBLE_ISOLATION__{layer.upper()}": "false"}
    code, findings = examine(crucible, tmp_path, **settings)
    finding = findings["isolation", layer]
    assert (code, finding["status"], finding["detail"]) == (0, "warning", "turned off by the operator")
    code, findings = examine(crucible, tmp_path, CRUCIBLE_REQUIRE_ISOLATION=f'["{layer}"]', **settings)
    assert (code, findings["isolation", layer]["status"]) == (3, "error")
    assert "require_isolation" in findings["isolation", layer]["advice"]


def test_files_of_scripts(crucible: Crucible, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    roots = json.dumps({"shared": {"path": str(tmp_path / "root"), "access": "write"}})
    settings = {"CRUCIBLE_ENGINE__FILES__ALLOW_FILE_ACCESS": "true", "CRUCIBLE_ENGINE__FILES__ROOTS": roots}
    code, findings = examine(crucible, tmp_path / "data", **settings)
    assert code == 0
    assert findings["files", "access"]["detail"] == f"scripts of Production have shared (write) {tmp_path / 'root'}"
    for name in ("broker", "file_broker"):
        assert findings["files", name]["status"] == "ok"
    assert findings["files", "file_broker_uid"]["status"] == ("warning" if os.geteuid() == 0 else "ok")
    assert not list((tmp_path / "root").iterdir())
    (tmp_path / "root").chmod(0o500)
    code, findings = examine(crucible, tmp_path / "data", **settings)
    assert code == 3
    assert "cannot write the root `shared`" in findings["files", "broker"]["detail"]


def test_layers_of_the_file_broker_that_are_required(crucible: Crucible, tmp_path: Path) -> None:
    required = {"CRUCIBLE_REQUIRE_ISOLATION": '["file_broker_uid"]'}
    code, findings = examine(crucible, tmp_path / "data", **required)
    assert (code, findings["files", "file_broker_uid"]["status"]) == (3, "error")
    assert "there is no file broker" in findings["files", "file_broker_uid"]["detail"]
    (tmp_path / "root").mkdir()
    roots = json.dumps({"shared": {"path": str(tmp_path / "root")}})
    settings = {"CRUCIBLE_ENGINE__FILES__ALLOW_FILE_ACCESS": "true", "CRUCIBLE_ENGINE__FILES__ROOTS": roots}
    code, findings = examine(crucible, tmp_path / "data", **required, **settings)
    expected = (3, "error") if os.geteuid() == 0 else (0, "ok")
    assert (code, findings["files", "file_broker_uid"]["status"]) == expected
    assert findings["files", "broker"]["status"] == "ok"
    if code:
        assert "require_isolation" in findings["files", "file_broker_uid"]["advice"]


def test_text(crucible: Crucible, tmp_path: Path) -> None:
    done = crucible("doctor", "--data-dir", tmp_path, settings={"CRUCIBLE_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 0
    assert "isolation\n" in done.stdout
    assert done.stdout.rstrip().endswith("0 error")


def test_a_folder_that_is_not_there_is_not_made(crucible: Crucible, tmp_path: Path) -> None:
    code, _ = examine(crucible, tmp_path / "a" / "b")
    assert code == 0
    assert not list(tmp_path.iterdir())


def test_a_store_stays_as_it_was(crucible: Crucible, used: Path) -> None:
    before = snapshot(used)
    code, findings = examine(crucible, used)
    assert code == 0
    assert findings["store", "in use"]["detail"] == "by no server"
    assert snapshot(used) == before


def test_a_store_whose_server_was_killed_stays_as_it_was(crucible: Crucible, tmp_path: Path) -> None:
    with RunningServer(tmp_path) as running, client_library.Client(running.address) as client:
        client.run("pub fn main() { 1 }")
        running.kill()
    before = snapshot(tmp_path)
    assert before["crucible.db-wal"][1]
    code, findings = examine(crucible, tmp_path)
    assert code == 0
    assert findings["store", "schema"]["status"] == "ok"
    after = snapshot(tmp_path)
    # SQLite may rebuild its index of the log, which holds nothing of its own.
    assert {name: after[name] for name in after if not name.endswith("-shm")} == {
        name: before[name] for name in before if not name.endswith("-shm")
    }


def test_a_running_server(crucible: Crucible, tmp_path: Path) -> None:
    with RunningServer(tmp_path) as running:
        code, findings = examine(crucible, tmp_path, CRUCIBLE_LISTEN=running.address)
        assert code == 0
        assert "a server answers" in findings["address", "listen"]["detail"]
        assert str(running.pid) in findings["store", "in use"]["detail"]


def test_a_taken_port(crucible: Crucible, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, findings = examine(crucible, tmp_path, CRUCIBLE_LISTEN=address)
    assert code == 3
    assert "no Crucible server answers" in findings["address", "listen"]["detail"]


@pytest.mark.parametrize(
    ("program", "said"),
    [(None, "no such file"), ("", "may not be executed"), ("#!/bin/sh\necho broken >&2\nexit 1\n", "broken")],
    ids=["missing", "not executable", "broken"],
)
def test_an_interpreter_that_does_not_start(crucible: Crucible, tmp_path: Path, program: str | None, said: str) -> None:
    path = tmp_path / "crucible-vm"
    if program is not None:
        path.write_text(program, "ascii")
        path.chmod(0o755 if program else 0o644)
    code, findings = examine(crucible, tmp_path / "data", CRUCIBLE_VM=str(path))
    assert code == 3
    finding = findings["toolchain", "crucible-vm"]
    assert finding["status"] == "error"
    assert said in finding["detail"]
    # The others are looked at all the same.
    assert findings["kernel", "seccomp"]["status"] == "ok"


def test_wrong_settings(crucible: Crucible, tmp_path: Path) -> None:
    code, findings = examine(crucible, tmp_path, CRUCIBLE_SPARE_CHILDREN="-1")
    assert code == 3
    assert "spare_children" in findings["configuration", "settings"]["detail"]
    assert findings["kernel", "seccomp"]["status"] == "ok"


def test_narrow_limits(tmp_path: Path) -> None:
    words = command(["doctor", "--data-dir", tmp_path, "--json"])
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 100; ulimit -s 16384; exec "$@"', "sh", *words],
        env={**environment(), "CRUCIBLE_LISTEN": "127.0.0.1:0"},
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert (findings["open files"]["status"], findings["stack"]["status"]) == ("warning", "warning")
    assert "ulimit -n" in findings["open files"]["advice"]
    assert findings["native_stack"]["status"] == "warning"


class TestStore:
    """What may be wrong with it."""

    def test_newer_schema(self, crucible: Crucible, used: Path) -> None:
        with sqlite3.connect(used / "crucible.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        code, findings = examine(crucible, used)
        assert code == 3
        assert "9999" in findings["store", "schema"]["detail"]

    def test_no_database(self, crucible: Crucible, tmp_path: Path) -> None:
        (tmp_path / "crucible.db").write_bytes(b"noise" * 1000)
        (tmp_path / "crucible.db").chmod(0o600)
        code, findings = examine(crucible, tmp_path)
        assert code == 3
        assert findings["store", "schema"]["status"] == "error"

    def test_readable_by_others(self, crucible: Crucible, used: Path) -> None:
        (used / "crucible.db").chmod(0o644)
        code, findings = examine(crucible, used)
        assert (code, findings["store", "place"]["status"]) == (0, "warning")

    def test_missing_key(self, crucible: Crucible, used: Path) -> None:
        (used / "unit.key").unlink()
        code, findings = examine(crucible, used)
        assert code == 3
        assert "crucible store reseal" in findings["store", "key"]["advice"]
        assert not (used / "unit.key").exists()

    def test_key_of_another_store(self, crucible: Crucible, used: Path) -> None:
        (used / "unit.key").write_bytes(bytes(32))
        code, findings = examine(crucible, used)
        assert code == 3
        assert "not the one" in findings["store", "key"]["detail"]

    @pytest.mark.parametrize(("mode", "size", "said"), [(0o644, 32, "others may read it"), (0o600, 5, "found 5")])
    def test_unusable_key(self, crucible: Crucible, used: Path, mode: int, size: int, said: str) -> None:
        (used / "unit.key").write_bytes(bytes(size))
        (used / "unit.key").chmod(mode)
        code, findings = examine(crucible, used)
        assert code == 3
        assert said in findings["store", "key"]["detail"]
