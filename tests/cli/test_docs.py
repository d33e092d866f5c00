"""What docs/command-line.md says is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from typer.main import get_command

from crucible_server.cli.app import app
from crucible_server.cli.exits import Exit

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text("utf-8")


def test_every_exit_code_has_a_row() -> None:
    codes = {int(code) for row in re.findall(r"^\| ([0-9, ]+) \|", TEXT, re.MULTILINE) for code in row.split(",")}
    assert codes == {int(code) for code in Exit}


def commands(command: object, path: str = "crucible") -> dict[str, list[str]]:
    """Every command with its options."""
    below = getattr(command, "commands", None)
    if below is None:
        return {path: [option for parameter in command.params for option in parameter.opts]}  # type: ignore[attr-defined]
    return {name: options for key, inner in below.items() for name, options in commands(inner, f"{path} {key}").items()}


def test_every_command_is_there() -> None:
    assert isinstance(app, typer.Typer)
    for path in commands(get_command(app)):
        *_, group, name = path.split()
        said = f"`{name}" if group == "crucible" or f"`{name}" in TEXT else f"{group} {name}"
        assert said in TEXT, path


def test_every_option_that_it_names_exists() -> None:
    known = {option for options in commands(get_command(app)).values() for option in options}
    known |= {"--help", "--install-completion", "--show-completion"}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert named <= known, named - known
