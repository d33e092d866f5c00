"""The examples of docs/development.md run as they stand, and its tables have every function."""

from __future__ import annotations

import re
from pathlib import Path

import crucible

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "development.md").read_text("utf-8")
PROCESS, NET = re.findall(r"```rust\n(.*?)```", TEXT, re.DOTALL)


def test_process(open_client: crucible.Client) -> None:
    result = open_client.run(PROCESS, level="development")
    assert result.stdout == "Some(0) 1\n2\n3\n\n"
    assert result.value == ["0", "1", "2", "/usr", 3]


def test_net(open_client: crucible.Client) -> None:
    assert open_client.run(NET, level="development").value == "you said hello"


def test_every_function_is_described(open_client: crucible.Client) -> None:
    modules = {module.name: module for module in open_client.server_info().modules}
    for name in ("crucible::process", "crucible::net"):
        assert modules[name].functions
        for function in modules[name].functions:
            bare = function.name.rpartition(".")[2]
            assert re.search(rf"`{bare}[`(]", TEXT), f"{name} {function.name}"


def test_every_option_is_described(open_client: crucible.Client) -> None:
    source = 'pub async fn main(option) { crucible::process::run("true", [], option).await }'
    result = open_client.run(source, level="development", args={"option": {"none": 1}}, check=False)
    assert result.error is not None
    (names,) = re.findall(r"expected the options (.*), got", result.error.message)
    for name in names.split(", "):
        assert f"`{name}`" in TEXT
