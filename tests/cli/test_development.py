"""The level Development at the command line: `run`, `check`, `compile`, `serve`, `doctor`, `health`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import without_user_namespaces
from tests.servers import RunningServer

from .conftest import TIMEOUT, Crucible, Script, command, environment

PWD = 'pub async fn main() { crucible::process::run("pwd", [], #{}).await?.stdout.trim() }'
LEVEL = ("--level", "development")


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that allows the level."""
    with RunningServer(tmp_path_factory.mktemp("data"), {"CRUCIBLE_ALLOW_DEVELOPMENT": "true"}) as running:
        yield running


class TestRun:
    def test_a_server_of_its_own_has_the_level(self, crucible: Crucible, script: Script) -> None:
        done = crucible("run", script(PWD), *LEVEL)
        assert (done.returncode, done.stdout, done.stderr) == (0, '"/"\n', "")

    def test_a_working_directory(self, crucible: Crucible, script: Script, open_server: RunningServer) -> None:
        file = script(PWD)
        for words in ((), ("--server", open_server.address)):
            done = crucible("run", file, *LEVEL, "--working-directory", "/usr", *words)
            assert (done.returncode, done.stdout) == (0, '"/usr"\n'), done.stderr

    def test_a_relative_one_is_of_this_command(self, script: Script, open_server: RunningServer) -> None:
        words = command(("run", script(PWD), *LEVEL, "--working-directory", "lib"))
        settings = {**environment(), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run(words, cwd="/usr", env=settings, capture_output=True, text=True, timeout=TIMEOUT)
        assert (done.returncode, done.stdout) == (0, '"/usr/lib"\n'), done.stderr
        # For another server it would be a place of another machine.
        given = [*words, "--server", open_server.address]
        done = subprocess.run(given, cwd="/usr", env=settings, capture_output=True, text=True, timeout=TIMEOUT)
        assert (done.returncode, done.stdout) == (3, "")
        assert "expected an absolute path of a directory" in done.stderr

    def test_what_is_no_working_directory(self, crucible: Crucible, script: Script, tmp_path: Path) -> None:
        file = script(PWD)
        (tmp_path / "file").touch()
        for path, said in (
            (tmp_path / "missing", "expected an existing directory"),
            (tmp_path / "file", "expected a directory"),
        ):
            done = crucible("run", file, *LEVEL, "--working-directory", path)
            assert (done.returncode, done.stdout) == (3, "")
            assert said in done.stderr

    def test_other_levels_have_no_working_directory(self, crucible: Crucible, script: Script) -> None:
        for level in ("safe", "production"):
            words = ("run", script("pub fn main() { 1 }"), "--level", level, "--working-directory", "/usr")
            done = crucible(*words)
            assert (done.returncode, done.stdout) == (3, "")
            assert "outside DEVELOPMENT" in done.stderr

    def test_a_server_that_does_not_allow_it(self, crucible: Crucible, script: Script, server: str) -> None:
        for name in ("run", "check", "compile"):
            done = crucible(name, script(PWD), *LEVEL, "--server", server)
            assert (done.returncode, done.stdout) == (3, ""), name
            assert "allow_development = true" in done.stderr

    def test_ctrl_c_ends_what_the_script_started(self, script: Script) -> None:
        from tests.development.trees import marked, new_mark, wait_none, wait_up

        mark = new_mark()
        source = f'pub async fn main() {{ crucible::process::run("sh", ["-c", "{TREE}"], #{{}}).await }}'
        with subprocess.Popen(
            command(("run", script(source.replace("MARK", mark)), *LEVEL)),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert len(wait_up(mark)) >= 4
            process.send_signal(2)
            process.communicate(timeout=TIMEOUT)
            assert process.returncode == 130
        wait_none(mark)
        assert not marked(mark)


TREE = "for n in 1 2 3 4; do setsid sleep 1000.MARK & done; wait"


def test_check_and_compile(crucible: Crucible, script: Script, open_server: RunningServer) -> None:
    file = script(PWD)
    done = crucible("check", file, *LEVEL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compiles" in done.stdout
    done = crucible("check", file)
    assert done.returncode == 1
    assert "DEVELOPMENT has it" in done.stdout + done.stderr
    done = crucible("compile", file, *LEVEL, "--server", open_server.address)
    assert done.returncode == 0, done.stderr


class TestServe:
    def test_the_flag(self, crucible: Crucible, script: Script, tmp_path: Path) -> None:
        words = command(("serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", "--allow-development"))
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            assert process.stdout is not None
            said = []
            for line in iter(process.stdout.readline, b""):
                said.append(line.decode())
                if " is ready at " in said[-1]:
                    break
            address = said[-1].rsplit(" ", 1)[-1].strip()
            assert any("development_enabled" in line for line in said)
            done = crucible("run", script(PWD), *LEVEL, "--server", address)
            process.terminate()
            process.communicate(timeout=TIMEOUT)
        assert (done.returncode, done.stdout) == (0, '"/"\n'), done.stderr

    def test_it_is_the_default_level_only_where_it_is_allowed(self, crucible: Crucible, tmp_path: Path) -> None:
        file = tmp_path / "crucible.toml"
        file.write_text('listen = "127.0.0.1:0"\n[engine]\nsecurity_level = "development"\n')
        done = crucible("serve", "--config", file, "--data-dir", tmp_path / "data")
        assert done.returncode == 2
        assert '"development" needs `allow_development = true` too' in done.stderr


def test_health_names_it(crucible: Crucible, open_server: RunningServer, server: str) -> None:
    def layers(address: str) -> dict[str, bool]:
        document = json.loads(crucible("health", "--server", address, "--json").stdout)
        return {layer["name"]: layer["active"] for layer in document["isolation_layers"]}

    assert layers(open_server.address)["development"] is True
    assert "development" not in layers(server)


class TestDoctor:
    def test_it_is_looked_at_where_it_is_allowed(self, crucible: Crucible, tmp_path: Path) -> None:
        def look(**settings: str) -> list[dict[str, str]]:
            words = ("doctor", "--data-dir", tmp_path, "--json")
            done = crucible(*words, settings={"CRUCIBLE_LISTEN": "127.0.0.1:0", **settings})
            assert done.returncode == 0, done.stdout
            return [found for found in json.loads(done.stdout)["findings"] if found["name"] == "development"]

        assert look() == []
        (found,) = look(CRUCIBLE_ALLOW_DEVELOPMENT="true")
        assert (found["group"], found["status"]) == ("isolation", "ok")
        assert "outside the jail as user" in found["detail"]
        assert not list(tmp_path.iterdir())

    @pytest.mark.skipif(os.getuid() != 0, reason="only root may set user.max_user_namespaces")
    def test_a_machine_that_cannot(self, tmp_path: Path) -> None:
        settings = {
            **environment(),
            "CRUCIBLE_ALLOW_DEVELOPMENT": "true",
            "CRUCIBLE_LISTEN": "127.0.0.1:0",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        words = command(("doctor", "--data-dir", tmp_path, "--json"))
        done = subprocess.run(
            [sys.executable, without_user_namespaces.__file__, *words],
            env=settings,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (found,) = [found for found in json.loads(done.stdout)["findings"] if found["name"] == "development"]
        assert found["status"] == "warning"
        assert "this machine cannot give it" in found["detail"]
        assert "max_user_namespaces" in found["detail"]
