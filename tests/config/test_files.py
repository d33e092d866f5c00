"""[engine.files]: what is accepted, and what is said about the rest before a server starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crucible_server.config import ConfigError, ServerConfig, load_config


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("CRUCIBLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


def load(tmp_path: Path, text: str, **overrides: Any) -> ServerConfig:
    file = tmp_path / "crucible.toml"
    file.write_text(text.replace("BASE", str(tmp_path)))
    return load_config(file, overrides)


def problem(tmp_path: Path, text: str, **overrides: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **overrides)
    (only,) = caught.value.problems
    return only


ROOT = '[engine.files]\nallow_file_access = true\n[engine.files.roots.data]\npath = "{path}"\n'


def test_nothing_is_allowed_unless_it_is_said(tmp_path: Path) -> None:
    files = load_config(None, {}).engine.files
    assert not files.allow_file_access
    assert not files.roots
    assert (files.max_file_bytes, files.max_read_bytes, files.max_execution_bytes) == (2**24, 2**22, 2**28)
    assert (files.max_list_entries, files.max_concurrent_calls, files.call_timeout) == (4096, 64, 30.0)
    assert (files.uid, files.gid) == (None, None)
    (tmp_path / "r").mkdir()
    roots = load(tmp_path, ROOT.format(path="BASE/r")).engine.files.roots
    assert roots["data"].path == tmp_path / "r"
    assert roots["data"].access == "read"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("relative/path", "expected an absolute path of a directory"),
        ("", "expected an absolute path"),
        ("~/files", "expected an absolute path"),
        ("BASE/nothing", "expected a directory that exists, got nothing of this name"),
        ("BASE/crucible.toml", "expected a directory that exists, got a file"),
        ("/", "one of the system's own"),
        ("/proc", "one of the system's own"),
        ("/proc/self/fd", "one of the system's own"),
        ("/sys/kernel", "one of the system's own"),
        ("/dev", "one of the system's own"),
        ("BASE/to-root", "one of the system's own"),
    ],
)
def test_a_root_that_is_no_directory_for_scripts_is_refused(tmp_path: Path, path: str, words: str) -> None:
    (tmp_path / "to-root").symlink_to("/")
    message = problem(tmp_path, ROOT.format(path=path))
    assert message.startswith("engine.files.roots.data.path: ")
    assert words in message


@pytest.mark.parametrize("name", ["a/b", "", "ü", "a b", "..", "n" * 65])
def test_a_name_that_paths_could_not_begin_with_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "r").mkdir()
    text = f'[engine.files]\nallow_file_access = true\n[engine.files.roots."{name}"]\npath = "BASE/r"\n'
    assert "expected names of at most 64 letters, digits, `_` and `-`" in problem(tmp_path, text)


def test_access_without_roots_is_a_mistake(tmp_path: Path) -> None:
    message = problem(tmp_path, "[engine.files]\nallow_file_access = true\n")
    assert "expected at least one root with `allow_file_access`: [engine.files.roots.NAME] with a path" in message


def test_two_roots_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    text = ROOT.format(path="BASE/r") + '[engine.files.roots.data]\npath = "BASE/r"\n'
    assert "expected TOML" in problem(tmp_path, text)


def test_roots_that_lie_in_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "r" / "inner")
    for inner in ("r", "r/inner", "link"):
        text = ROOT.format(path="BASE/r") + f'[engine.files.roots.inner]\npath = "BASE/{inner}"\n'
        assert "expected roots apart from each other" in problem(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("allow_files = true", "engine.files.allow_files: there is no such key"),
        ("max_file_byte = 1", "did you mean `engine.files.max_file_bytes`?"),
        ('allow_file_access = "perhaps"', "engine.files.allow_file_access"),
        ("max_file_bytes = 0", "expected a size above zero"),
        ("max_read_bytes = 33554433", "engine.files.max_read_bytes"),
        ("max_list_entries = 0", "engine.files.max_list_entries"),
        ("max_concurrent_calls = 0", "engine.files.max_concurrent_calls"),
        ("max_execution_bytes = -1", "expected a size above zero"),
        ('call_timeout = "0s"', "expected a duration above zero"),
        ('call_timeout = "2h"', "engine.files.call_timeout"),
        ("uid = 0", "engine.files.uid"),
        ('uid = "nobody"', "engine.files.uid"),
        ("gid = 4294967295", "engine.files.gid"),
    ],
)
def test_a_key_that_is_wrong_is_named(tmp_path: Path, line: str, words: str) -> None:
    assert words in problem(tmp_path, f"[engine.files]\n{line}\n")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('access = "all"', "engine.files.roots.data.access"),
        ('acess = "read"', "did you mean `engine.files.roots.data.access`?"),
        ("writable = true", "engine.files.roots.data.writable: there is no such key"),
    ],
)
def test_a_key_of_a_root_that_is_wrong_is_named(tmp_path: Path, line: str, words: str) -> None:
    (tmp_path / "r").mkdir()
    assert words in problem(tmp_path, ROOT.format(path="BASE/r") + line + "\n")


@pytest.mark.parametrize(
    ("root", "own"), [("BASE/data", "BASE/data"), ("BASE", "BASE/data"), ("BASE/data/r", "BASE/data")]
)
def test_what_is_the_servers_own_lies_apart_from_the_roots(tmp_path: Path, root: str, own: str) -> None:
    (tmp_path / "data" / "r").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    for path in (root, root.replace("BASE/data", "BASE/link")):
        message = problem(tmp_path, ROOT.format(path=path), data_dir=Path(own.replace("BASE", str(tmp_path))))
        assert "apart from the server's own data_dir" in message


def test_a_server_does_not_start_with_a_root_that_its_user_may_not_use(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r").chmod(0o500)
    file = tmp_path / "crucible.toml"
    file.write_text(ROOT.format(path=tmp_path / "r") + 'access = "write"\n')
    command = [sys.executable, "-m", "crucible_server", "serve", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(tmp_path / "store"), "--config", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=serving())
    said = " ".join((ran.stdout + ran.stderr).split())
    assert ran.returncode != 0
    assert "without capabilities, cannot write the root `data`" in said
    assert "change its owner or mode" in said


def test_only_root_becomes_another_user(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("this is root")
    (tmp_path / "r").mkdir()
    file = tmp_path / "crucible.toml"
    file.write_text(ROOT.format(path=tmp_path / "r").replace("true\n", f"true\nuid = {os.geteuid() + 1}\n", 1))
    command = [sys.executable, "-m", "crucible_server", "serve", "--listen", "127.0.0.1:0"]
    command += ["--data-dir", str(tmp_path / "store"), "--config", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=serving())
    assert ran.returncode != 0
    assert "only root may become another" in " ".join((ran.stdout + ran.stderr).split())


VM = os.environ.get("CRUCIBLE_VM")


def serving() -> dict[str, str]:
    """The environment of a server: that of the tests, with the interpreter that they are run with."""
    return {**os.environ, "NO_COLOR": "1", "COLUMNS": "300", **({"CRUCIBLE_VM": VM} if VM else {})}
