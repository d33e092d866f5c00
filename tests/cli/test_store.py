"""`crucible store`."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

import crucible as client_library
from tests.servers import RunningServer

from .conftest import Crucible

SOURCE = 'pub fn main() { println!("kept"); 5 }'


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a server that has been stopped; tests copy it."""
    folder = tmp_path_factory.mktemp("filled")
    with RunningServer(folder) as running:
        fill(running.address)
    return folder


def fill(address: str) -> None:
    """Stores a script under a name, and an execution."""
    with client_library.Client(address) as client:
        client.compile(SOURCE, name="kept")
        client.run(name="kept", execution_id="kept")


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A copy of that data."""
    return Path(shutil.copytree(filled, tmp_path / "data"))


class TestCheck:
    """Reads all of it."""

    def test_sound(self, crucible: Crucible, data: Path) -> None:
        done = crucible("store", "check", "--data-dir", data)
        assert (done.returncode, done.stderr) == (0, "")
        facts = dict(line.split(None, 1) for line in done.stdout.splitlines())
        assert (facts["scripts"], facts["executions"], facts["problems"]) == ("1", "1", "none")
        assert int(facts["events"]) > 2
        assert (facts["services"], facts["configuration"]) == ("0", "0 changes by calls")

    def test_json_while_a_server_runs(self, crucible: Crucible, tmp_path: Path) -> None:
        with RunningServer(tmp_path) as running:
            fill(running.address)
            crucible("config", "set", "engine.max_cache_size=500", "--server", running.address)
            done = crucible("store", "check", "--data-dir", tmp_path, "--json")
        report = json.loads(done.stdout)
        assert (done.returncode, report["sound"], report["problems"]) == (0, True, [])
        assert (report["scripts"], report["executions"], report["seals_checked"]) == (1, 1, True)
        # The service is the server itself.
        assert (report["services"], report["config_revisions"]) == (1, 1)
        assert report["events"] > 3

    def test_lost_event(self, crucible: Crucible, data: Path) -> None:
        with sqlite3.connect(data / "crucible.db") as connection:
            assert connection.execute("DELETE FROM events WHERE sequence = 2").rowcount == 1
        connection.close()
        done = crucible("store", "check", "--data-dir", data, "--json")
        report = json.loads(done.stdout)
        assert (done.returncode, report["sound"]) == (3, False)
        assert report["problems"] == ["Event 3: event 2 should come before it, and is not there."]

    def test_without_the_key(self, crucible: Crucible, data: Path) -> None:
        (data / "unit.key").unlink()
        done = crucible("store", "check", "--data-dir", data)
        assert done.returncode == 0
        assert "for want of the key" in done.stdout
        assert not (data / "unit.key").exists()

    def test_forged_byte_code(self, crucible: Crucible, data: Path) -> None:
        with sqlite3.connect(data / "crucible.db") as connection:
            assert connection.execute("UPDATE units SET unit = unit || x'00'").rowcount == 1
        connection.close()
        done = crucible("store", "check", "--data-dir", data, "--json")
        report = json.loads(done.stdout)
        assert (done.returncode, report["sound"]) == (3, False)
        assert len(report["problems"]) == 1

    def test_changed_source(self, crucible: Crucible, data: Path) -> None:
        with sqlite3.connect(data / "crucible.db") as connection:
            assert (
                connection.execute("UPDATE scripts SET source = CAST(replace(source, 'kept', 'KEPT') AS BLOB)").rowcount
                == 1
            )
        connection.close()
        done = crucible("store", "check", "--data-dir", data)
        assert done.returncode == 3
        assert "damaged" in done.stderr

    def test_no_store(self, crucible: Crucible, tmp_path: Path) -> None:
        done = crucible("store", "check", "--data-dir", tmp_path)
        assert done.returncode == 3
        assert str(tmp_path) in done.stderr
        assert not list(tmp_path.iterdir())


class TestBackupAndRestore:
    """A copy, and back again."""

    def test_round_trip(self, crucible: Crucible, data: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy.db"
        done = crucible("store", "backup", copy, "--data-dir", data)
        assert (done.returncode, done.stderr) == (0, "")
        assert copy.stat().st_mode & 0o777 == 0o600
        with RunningServer(data) as running, client_library.Client(running.address) as client:
            client.run(SOURCE, execution_id="later")
        done = crucible("store", "restore", copy, "--data-dir", data, "--json")
        assert done.returncode == 0, done.stderr
        assert Path(json.loads(done.stdout)["kept"]).is_file()
        with RunningServer(data) as running:
            shown = crucible("executions", "list", "--ids", "--server", running.address)
            assert shown.stdout == "kept\n"
            assert crucible("executions", "watch", "kept", "--server", running.address).stdout == "kept\n5\n"

    def test_backup_while_a_server_runs(self, crucible: Crucible, tmp_path: Path) -> None:
        copy = tmp_path / "copy.db"
        with RunningServer(tmp_path / "data") as running:
            fill(running.address)
            done = crucible("store", "backup", copy, "--data-dir", tmp_path / "data", "--json")
            assert json.loads(done.stdout) == {"backup": str(copy), "bytes": copy.stat().st_size}
            done = crucible("store", "restore", copy, "--data-dir", tmp_path / "data")
            assert done.returncode == 3
            assert "in use" in done.stderr

    def test_an_existing_file_is_not_overwritten(self, crucible: Crucible, data: Path, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.write_text("mine", "ascii")
        done = crucible("store", "backup", precious, "--data-dir", data)
        assert done.returncode == 2
        assert "exists" in done.stderr
        assert precious.read_text("ascii") == "mine"

    def test_what_is_no_backup(self, crucible: Crucible, data: Path, tmp_path: Path) -> None:
        (tmp_path / "noise").write_bytes(b"noise" * 1000)
        for name in ("noise", "absent"):
            done = crucible("store", "restore", tmp_path / name, "--data-dir", data)
            assert done.returncode == 3
            assert name in done.stderr
            assert "Traceback" not in done.stderr
        assert crucible("store", "check", "--data-dir", data).returncode == 0


class TestReseal:
    """A lost key costs the byte code, and nothing else."""

    def test_a_lost_key(self, crucible: Crucible, data: Path) -> None:
        (data / "unit.key").unlink()
        refused = crucible("serve", "--data-dir", data, "--listen", "127.0.0.1:0")
        assert refused.returncode == 3
        assert "crucible store reseal" in refused.stderr
        done = crucible("store", "reseal", "--data-dir", data, "--json")
        assert (done.returncode, json.loads(done.stdout)) == (0, {"dropped_units": 1})
        with RunningServer(data) as running, client_library.Client(running.address) as client:
            assert client.run(name="kept").value == 5

    def test_no_store(self, crucible: Crucible, tmp_path: Path) -> None:
        done = crucible("store", "reseal", "--data-dir", tmp_path)
        assert done.returncode == 2
        assert not list(tmp_path.iterdir())


def test_bad_configuration(crucible: Crucible, tmp_path: Path) -> None:
    (tmp_path / "crucible.toml").write_text("data_dri = 'x'\n", "ascii")
    done = crucible("store", "check", "--config", tmp_path / "crucible.toml")
    assert done.returncode == 2
    assert "data_dir" in done.stderr
