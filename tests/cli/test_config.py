"""`crucible config`: files checked, shown and compared; a running server read, changed and watched."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import RunningServer

from .conftest import TIMEOUT, Crucible, command, environment


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file."""
    path = tmp_path / "crucible.toml"
    path.write_text('spare_children = 3\nlog_format = "json"\n[engine]\nhttp.timeout = "20s"\n')
    return path


def test_a_valid_file(crucible: Crucible, file: Path) -> None:
    done = crucible("config", "check", "--config", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: valid\n", "")
    done = crucible("config", "check", "--config", file, "--json")
    assert json.loads(done.stdout) == {"valid": True, "file": str(file), "problems": []}


def test_everything_that_is_wrong(crucible: Crucible, file: Path) -> None:
    file.write_text('spare_childs = 3\n[engine]\nhttp.timeout = "soon"\n')
    done = crucible("config", "check", "--config", file, settings={"CRUCIBLE_GRACE_PERIOD": "x"})
    assert (done.returncode, done.stdout) == (2, "")
    assert f"spare_childs: there is no such key; did you mean `spare_children`? ({file}, line 1)\n" in done.stderr
    assert f"got 'soon' ({file}, line 3)" in done.stderr
    assert "(CRUCIBLE_GRACE_PERIOD)" in done.stderr
    done = crucible("config", "check", "--config", file, "--json")
    assert done.returncode == 2
    problems = {each["key"]: each for each in json.loads(done.stdout)["problems"]}
    assert problems["spare_childs"]["nearest"] == "spare_children"
    assert (problems["engine.http.timeout"]["line"], problems["engine.http.timeout"]["got"]) == (3, "'soon'")


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb =\n", "line 2"), (None, "cannot be read")])
def test_a_file_that_is_none(crucible: Crucible, file: Path, text: str | None, line: str) -> None:
    file.unlink() if text is None else file.write_text(text)
    done = crucible("config", "check", "--config", file)
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert line in done.stderr


def test_values_and_where_they_come_from(crucible: Crucible, file: Path) -> None:
    key = "ab" * 32
    settings = {"CRUCIBLE_UNIT_KEY": key, "CRUCIBLE_STORE_URL": "sqlite:////tmp/a.db", "CRUCIBLE_GRACE_PERIOD": "3s"}
    done = crucible("config", "show", "--config", file, "--set", settings=settings)
    assert done.returncode == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert f"{file}:1" in rows["spare_children"]
    assert rows["engine.http.timeout"].split() == ["engine.http.timeout", "20s", f"{file}:4", "live"]
    assert "CRUCIBLE_GRACE_PERIOD" in rows["grace_period"]
    assert "engine.max_cache_size" not in rows
    assert key not in done.stdout
    done = crucible("config", "show", "engine.http", "unit_key", "--config", file, "--json", settings=settings)
    keys = json.loads(done.stdout)["keys"]
    assert keys["unit_key"] == {
        "value": "**********",
        "origin": "environment",
        "detail": "CRUCIBLE_UNIT_KEY",
        "effect": "local",
    }
    assert keys["engine.http.timeout"]["value"] == 20.0
    assert keys["engine.http.allow"] == {"value": [], "origin": "default", "detail": None, "effect": "live"}
    done = crucible("config", "show", "engine.htp")
    assert done.returncode == 2
    assert "did you mean `engine.http`?" in done.stderr


def test_differences(crucible: Crucible, file: Path, tmp_path: Path) -> None:
    done = crucible("config", "diff", "--config", file, "--json")
    mine = {each["key"]: (each["value"], each["other"]) for each in json.loads(done.stdout)["differences"]}
    assert mine["spare_children"] == (3, 2)
    assert mine["engine.http.timeout"] == (20.0, 30.0)
    other = tmp_path / "other.toml"
    other.write_text("spare_children = 3\nmax_queued_executions = 1\n")
    done = crucible("config", "diff", other, "--config", file)
    assert done.returncode == 0
    assert "spare_children" not in done.stdout
    assert "max_queued_executions  1000  1" in done.stdout
    assert crucible("config", "diff", file, "--config", file).stdout == ""
    assert crucible("config", "diff", file, "--server", "127.0.0.1:1").returncode == 2


def test_the_schema(crucible: Crucible) -> None:
    done = crucible("config", "schema")
    committed = Path(__file__).resolve().parents[2] / "docs" / "crucible.schema.json"
    assert done.stdout == committed.read_text("utf-8")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server whose configuration the tests of this file change."""
    with RunningServer(tmp_path_factory.mktemp("config")) as server:
        yield server.address


def test_a_running_server(crucible: Crucible, running: str, file: Path) -> None:
    def config(*words: str, code: int = 0) -> str:
        done = crucible("config", *words, "--server", running)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    assert "version 0" in config("get", "spare_children")
    before = json.loads(config("get", "spare_children", "grace_period", "--json"))
    assert [entry["value"] for entry in before["entries"]] == [2, 10.0]
    said = config("set", "spare_children=1", "grace_period=5s", "--dry-run")
    assert said == "spare_children: 2 -> 1\ngrace_period: 10.0 -> 5.0\n"
    said = config("set", "spare_children=1", "grace_period=5s", "--comment", "less", "--if-version", "0")
    assert said == "spare_children: 2 -> 1\ngrace_period: 10.0 -> 5.0\nversion 1\n"
    assert "expected version 0 of the configuration, but version 1 is in force" in config(
        "set", "spare_children=4", "--if-version", "0", code=3
    )
    assert "set beside the server only" in config("set", "listen=127.0.0.1:1", code=3)
    assert "did you mean `spare_children`" in config("set", "spare_childs=1", code=3)
    assert "expected KEY=VALUE" in config("set", "spare_children", code=2)
    assert "at the next start" in config("set", "log_format=json")
    assert "console, at the next start json" in config("get", "log_format")
    assert config("set", "--reset", "grace_period") == "grace_period: 5.0 -> 10.0\nversion 3\n"
    history = config("history")
    assert [line.split()[0] for line in history.splitlines()] == ["VERSION", "3", "2", "1"]
    assert "less" in history
    assert len(json.loads(config("history", "--json"))["revisions"]) == 3
    assert "version 4" in config("revert", "1")
    assert "back to 1" in config("history")
    assert "no version 99" in config("revert", "99", code=3)
    differences = crucible("config", "diff", "--config", file, "--server", running, "--json")
    told = {each["key"]: (each["value"], each["other"]) for each in json.loads(differences.stdout)["differences"]}
    assert told["spare_children"] == (3, 1)
    config("revert", "0")


def test_watching(crucible: Crucible, running: str) -> None:
    words = command(["config", "watch", "--server", running])
    with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert "keys" in watch.stdout.readline()
        assert crucible("config", "set", "max_crashes_per_minute=9", "--server", running).returncode == 0
        assert "max_crashes_per_minute = 9 (version " in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        assert watch.wait(TIMEOUT) == 130
    crucible("config", "revert", "0", "--server", running)


def test_no_server(crucible: Crucible, unused_address: str) -> None:
    assert crucible("config", "get", "--server", unused_address).returncode == 4
