"""`crucible store` and `crucible doctor` on PostgreSQL."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import crucible as client_library
from tests.postgresql import GUARDED, PASSWORD, PostgresServer
from tests.servers import RunningServer

from .conftest import Crucible
from .test_store import fill

WRONG = "s3cret-but-wrong"


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """A database whose owner has to give a password."""
    with contextlib.closing(postgres.connect("postgres")) as connection:
        connection.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'")
        name = postgres.create()
        connection.execute(f"ALTER DATABASE {name} OWNER TO {GUARDED}")
        yield postgres.url(name, GUARDED)
        postgres.drop(name)
        connection.execute(f"DROP ROLE {GUARDED}")


@pytest.fixture
def settings(url: str, tmp_path: Path) -> Mapping[str, str]:
    """What names the database, with the password in a file."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return {"CRUCIBLE_STORE_URL": url, "CRUCIBLE_STORE_PASSWORD_FILE": str(file)}


def findings(crucible: Crucible, data: Path, settings: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What `doctor` says of the store: status and detail by name."""
    done = crucible("doctor", "--data-dir", data, "--json", settings=settings)
    assert PASSWORD not in done.stdout + done.stderr
    assert WRONG not in done.stdout + done.stderr
    document = json.loads(done.stdout)
    found = document["findings"] if isinstance(document, dict) else document
    return {each["name"]: (each["status"], each["detail"]) for each in found if each["group"] == "store"}


def test_a_store_is_looked_after(crucible: Crucible, settings: Mapping[str, str], tmp_path: Path) -> None:
    data, backup = tmp_path / "data", tmp_path / "backup"
    assert findings(crucible, data, settings)["schema"][1].startswith("empty")
    with RunningServer(data, settings) as running:
        fill(running.address)
        done = crucible("store", "check", "--data-dir", data, "--json", settings=settings)
        report = json.loads(done.stdout)
        assert (done.returncode, report["sound"], report["scripts"], report["executions"]) == (0, True, 1, 1)
        assert report["events"] > 2
        assert report["services"] == 1
        assert report["seals_checked"]
        done = crucible("store", "backup", backup, "--data-dir", data, settings=settings)
        assert (done.returncode, done.stderr) == (0, "")
        for words in (("restore", backup), ("reseal",)):
            done = crucible("store", *words, "--data-dir", data, settings=settings)
            assert done.returncode == 3
            assert f"process {running.pid} on" in done.stderr
        found = findings(crucible, data, settings)
        assert f"process {running.pid} on" in found["in use"][1]
        assert (found["schema"][0], found["key"][0]) == ("ok", "ok")
        assert "PostgreSQL 15" in found["place"][1]
        # As the tests have it, which no operator should.
        assert found["durability"][0] == "warning"
    with RunningServer(data, settings) as running, client_library.Client(running.address) as client:
        client.run("pub fn main() { 1 }", execution_id="later")
    done = crucible("store", "restore", backup, "--data-dir", data, settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the schema crucible_before_restore_" in done.stdout
    assert crucible("store", "reseal", "--data-dir", data, settings=settings).returncode == 0
    with RunningServer(data, settings) as running, client_library.Client(running.address) as client:
        assert client.run(name="kept").value == 5
        with pytest.raises(client_library.ExecutionNotFound):
            client.get_execution("later")
    # What was in PostgreSQL goes on in a file.
    moved = tmp_path / "moved"
    assert crucible("store", "restore", backup, "--data-dir", moved).returncode == 0
    by_key = {"CRUCIBLE_UNIT_KEY_FILE": str(data / "unit.key")}
    with RunningServer(moved, by_key) as running, client_library.Client(running.address) as client:
        assert client.get_execution("kept").state == "SUCCEEDED"


def test_a_wrong_password_is_told_and_not_shown(
    crucible: Crucible, settings: Mapping[str, str], tmp_path: Path
) -> None:
    wrong = {"CRUCIBLE_STORE_URL": settings["CRUCIBLE_STORE_URL"], "CRUCIBLE_STORE_PASSWORD": WRONG}
    data = tmp_path / "data"
    for words in (("store", "check"), ("store", "backup", tmp_path / "b"), ("serve", "--listen", "127.0.0.1:0")):
        done = crucible(*words, "--data-dir", data, settings=wrong)
        assert done.returncode in (2, 3)
        assert "refuses the user or the password" in done.stderr + done.stdout
        assert WRONG not in done.stderr + done.stdout
    status, detail = findings(crucible, data, wrong)["place"]
    assert status == "error"
    assert "refuses the user or the password" in detail
    in_url = {"CRUCIBLE_STORE_URL": settings["CRUCIBLE_STORE_URL"].replace("@", f":{WRONG}@")}
    done = crucible("store", "check", "--data-dir", data, settings=in_url)
    assert "holds a password" in done.stderr
    assert WRONG not in done.stderr + done.stdout
