"""The working directory and the environment of Development scripts and of what they start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import crucible
from crucible.requests import Level
from tests.development.conftest import StartOpen

PWD = 'pub async fn main() { crucible::process::run("pwd", [], #{}).await?.stdout.trim() }'
ENV = 'pub async fn main(env) { crucible::process::run("env", [], env).await?.stdout }'


def refused(client: crucible.Client, directory: str, level: Level = "development") -> str:
    with pytest.raises(crucible.CrucibleError) as raised:
        client.run(PWD, level=level, working_directory=directory)
    assert not isinstance(raised.value, crucible.ExecutionFailed)
    return str(raised.value)


def variables(client: crucible.Client, **options: dict[str, str]) -> dict[str, str]:
    own = {"env": options["own"]} if "own" in options else {}
    given = options.get("environment", {})
    said = client.run(ENV, level="development", args={"env": own}, environment=given).value
    found = dict(line.split("=", 1) for line in said.splitlines())
    # Shells and their like set these themselves.
    return {name: text for name, text in found.items() if name not in ("PWD", "SHLVL", "_")}


class TestWorkingDirectory:
    def test_it_is_the_root_by_default(self, open_client: crucible.Client) -> None:
        assert open_client.run(PWD, level="development").value == "/"

    def test_scripts_and_processes_are_in_it(self, open_client: crucible.Client, workplace: Path) -> None:
        (workplace / "here").write_text("found")
        source = """
        pub async fn main() {
            let said = [crucible::fs::read("here").await?];
            said.push(crucible::process::run("cat", ["here"], #{}).await?.stdout);
            said.push(crucible::process::run("pwd", [], #{ cwd: "/usr" }).await?.stdout);
            said.push(crucible::process::spawn("cat", ["here"], #{})?.read_line().await?);
            said
        }
        """
        result = open_client.run(source, level="development", working_directory=str(workplace))
        assert result.value == ["found", "found", "/usr\n", "found"]
        assert open_client.run(PWD, level="development", working_directory=f"{workplace}/").value == str(workplace)
        # Of this execution, and of no other.
        assert open_client.run(PWD, level="development").value == "/"

    def test_a_link_to_a_directory_is_one(self, open_client: crucible.Client, workplace: Path) -> None:
        (workplace / "real").mkdir(mode=0o777)
        (workplace / "link").symlink_to("real")
        said = open_client.run(PWD, level="development", working_directory=str(workplace / "link")).value
        assert said in (str(workplace / "real"), str(workplace / "link"))

    def test_what_is_no_directory_is_refused(self, open_client: crucible.Client, workplace: Path) -> None:
        (workplace / "file").touch()
        (workplace / "dangling").symlink_to("nowhere")
        (workplace / "loop").symlink_to("loop")
        for path, said in (
            ("relative/path", "expected an absolute path"),
            (".", "expected an absolute path"),
            ("~", "expected an absolute path"),
            ("/nul\0nul", "expected an absolute path"),
            (str(workplace / "missing"), "expected an existing directory"),
            (str(workplace / "dangling"), "expected an existing directory"),
            (str(workplace / "loop"), "expected an existing directory"),
            (str(workplace / "file" / "below"), "expected an existing directory"),
            (str(workplace / "file"), "expected a directory"),
            ("/dev/null", "expected a directory"),
            ("/" + "x" * 300, "expected an existing directory"),
            ("/" + "x/" * 5000, "expected an existing directory"),
        ):
            message = refused(open_client, path)
            assert "working_directory" in message, path
            assert said in message, path
            # At most a part of what was sent comes back.
            assert len(message) < 600

    def test_one_that_the_scripts_user_may_not_enter(
        self, open_client: crucible.Client, workplace: Path, script_user: int
    ) -> None:
        closed = workplace / "closed"
        closed.mkdir()
        closed.chmod(0o600)
        if os.getuid() == 0:
            os.chown(closed, script_user, script_user)
        with pytest.raises(crucible.ExecutionFailed) as raised:
            open_client.run(PWD, level="development", working_directory=str(closed))
        assert raised.value.result.error is not None
        message = raised.value.result.error.message
        assert f'"{closed}" cannot be entered: Permission denied' in message
        assert f"scripts run as user {script_user}" in message

    @pytest.mark.parametrize("level", ["safe", "production"])
    def test_other_levels_have_none(self, open_client: crucible.Client, level: Level) -> None:
        for path in ("/", "/tmp", "relative"):
            assert "scripts have no file system outside DEVELOPMENT" in refused(open_client, path, level)

    def test_it_belongs_to_the_request(self, open_client: crucible.Client, workplace: Path) -> None:
        execution = f"at-{workplace.name}"
        first = open_client.run(PWD, level="development", execution_id=execution, working_directory=str(workplace))
        again = open_client.run(PWD, level="development", execution_id=execution, working_directory=str(workplace))
        assert first.value == again.value == str(workplace)
        with pytest.raises(crucible.CrucibleError, match="another request"):
            open_client.run(PWD, level="development", execution_id=execution, working_directory="/")


class TestEnvironment:
    def test_what_the_execution_was_given_and_a_path(self, open_client: crucible.Client) -> None:
        assert list(variables(open_client)) == ["PATH"]
        given = {"NAME": "a b=c", "EMPTY": "", "UNICODE": "ü"}
        found = variables(open_client, environment=given)
        assert found.pop("PATH").split(":")[-2:] == ["/sbin", "/bin"]
        assert found == given

    def test_a_path_of_ones_own(self, open_client: crucible.Client) -> None:
        assert variables(open_client, environment={"PATH": "/usr/bin:/bin"}) == {"PATH": "/usr/bin:/bin"}

    def test_a_process_can_have_more(self, open_client: crucible.Client) -> None:
        found = variables(open_client, environment={"A": "1", "B": "1"}, own={"B": "2", "C": "2"})
        assert {name: found[name] for name in "ABC"} == {"A": "1", "B": "2", "C": "2"}
        assert "B" in variables(open_client, environment={"B": "1"})

    def test_nothing_of_the_server(self, start_open: StartOpen) -> None:
        server = start_open(None, (), SECRET_OF_THE_SERVER="secret", CRUCIBLE_UNIT_KEY="ab" * 32)
        with crucible.Client(server.address) as client:
            assert list(variables(client)) == ["PATH"]
            source = (
                'pub async fn main() { crucible::process::run("sh", ["-c", "cat /proc/*/environ"], #{}).await?.stdout }'
            )
            said = client.run(source, level="development").value
            assert "secret" not in said
            assert "CRUCIBLE" not in said
