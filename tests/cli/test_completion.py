"""Completion by the shell, and that it and help stay light."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import TIMEOUT, Crucible, command, environment


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("crucible ex", ["executions"]),
        ("crucible scripts ", ["list", "show", "name", "delete"]),
        ("crucible executions w", ["watch", "wait"]),
        ("crucible run x.rn --level ", ["safe", "production", "development"]),
        ("crucible executions list --state ca", ["cancelled"]),
        ("crucible store ", ["check", "backup", "restore", "reseal"]),
        ("crucible compile --na", ["--name"]),
    ],
)
def test_bash_is_told_what_fits(crucible: Crucible, typed: str, expected: list[str]) -> None:
    settings = {
        "_CRUCIBLE_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split(" ")) - 1),
    }
    done = crucible(settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"_CRUCIBLE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "crucible run --level "}, '"production"'),
        (
            {
                "_CRUCIBLE_COMPLETE": "complete_fish",
                "_TYPER_COMPLETE_ARGS": "crucible run --level p",
                "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            },
            "production",
        ),
    ],
    ids=["zsh", "fish"],
)
def test_other_shells_are_told_too(crucible: Crucible, settings: dict[str, str], expected: str) -> None:
    done = crucible(settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


def as_program(folder: Path) -> dict[str, str]:
    """An environment in which a shell finds the command, and a home of its own."""
    program = folder / "bin" / "crucible"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m crucible_server "$@"\n', "ascii")
    program.chmod(0o755)
    return {**environment(), "HOME": str(folder), "PATH": f"{program.parent}:{os.environ['PATH']}"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_with_what_is_installed(tmp_path: Path) -> None:
    settings = as_program(tmp_path)
    # A last command of its own, else bash would make room for ours, and be no parent by which it is known.
    install = subprocess.run(
        ["bash", "-c", "crucible --install-completion; true"],
        env=settings,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert "bash completion installed" in install.stdout
    script = (
        "source ~/.bashrc; COMP_WORDS=(crucible executions list --state s); COMP_CWORD=4; "
        '_crucible_completion crucible; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "-c", script], env=settings, capture_output=True, text=True, timeout=TIMEOUT, check=True
    )
    assert done.stdout == "succeeded\n"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_completion_can_be_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", "crucible --show-completion; true"],
        env=as_program(tmp_path),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert "complete -o default -F _crucible_completion crucible" in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["executions", "--help"], ["version"]])
def test_what_talks_to_nobody_loads_no_grpc(words: list[str]) -> None:
    line = [sys.executable, "-X", "importtime", *command(words)[1:]]
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=TIMEOUT, check=True)
    loaded = {row.rpartition("|")[2].strip() for row in done.stderr.splitlines() if row.startswith("import time:")}
    assert "crucible_server.cli.app" in loaded
    heavy = ("grpc", "google.protobuf", "crucible.v1", "sqlalchemy", "crucible_server.engine", "crucible_server.config")
    assert not [name for name in loaded if name.startswith(heavy)]


def test_every_command_has_help(crucible: Crucible) -> None:
    for words in (["run"], ["compile"], ["scripts", "list"], ["executions", "watch"], ["store", "backup"], ["doctor"]):
        done = crucible(*words, "--help")
        assert done.returncode == 0
        assert "Usage: crucible " + " ".join(words) in done.stdout
