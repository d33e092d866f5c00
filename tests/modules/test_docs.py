"""The examples of docs/modules.md run as they stand, and its tables have every function."""

from __future__ import annotations

import re
from pathlib import Path

import crucible
from crucible_server.config import FilesConfig
from crucible_server.config.files import FileRootConfig
from tests.modules.conftest import ConnectTo
from tests.modules.disk import Disk
from tests.modules.web import Answer, Web

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "modules.md").read_text("utf-8")
BASIC, JSON, HTTP, FS = re.findall(r"```rust\n(.*?)```", TEXT, re.DOTALL)


def test_basic(client: crucible.Client) -> None:
    value = client.run(BASIC, args={"name": "Ada"}, environment={"HOME": "/h"}).value
    assert value["home"] == "/h"
    assert value["dice"] in range(1, 7)
    assert value["took"] >= 0.5


def test_json(client: crucible.Client) -> None:
    result = client.run(JSON, level="production")
    assert result.stdout.splitlines() == [
        '{"id":9007199254740994,"note":null,"price":10.0}',
        "[",
        "  1,",
        "  2",
        "]",
    ]
    assert result.value.startswith("no valid JSON at line 2, column 4: ")


def test_http(web: Web, connect_to: ConnectTo) -> None:
    web.answers["/orders"] = Answer(201)
    value = connect_to(web.url).run(HTTP, level="production", args={"url": web.url}).value
    assert (value["method"], value["body"], value["headers"]["content-type"]) == ("PUT", "1;2;3", "text/csv")
    assert [seen.path for seen in web.seen[:2]] == ["/", "/orders"]
    assert web.seen[1].body == b'{"id":1}'


def test_fs(disk: Disk) -> None:
    (disk.root / "monday.csv").write_text("1;tea\n2;pot\n")
    (disk.read_only / "known.txt").write_text("as agreed")
    value = disk.run(FS.replace("terms/", "fixed/"), day="monday").value
    assert value == {"reports": 2, "bytes": 12, "known": "as agreed"}
    assert (disk.root / "reports" / "monday.txt").read_text() == "2 orders\n"
    assert (disk.root / "reports" / "log").read_text() == "monday done\n"


def test_the_configuration_of_files_is_all_there() -> None:
    chapter = TEXT.partition("## crucible::fs")[2]
    keys = [*FilesConfig.model_fields, *(f"roots.NAME.{name}" for name in FileRootConfig.model_fields)]
    for key in keys:
        assert key == "roots" or f"`{key}`" in chapter, key


def test_every_function_is_described(client: crucible.Client) -> None:
    for module in client.server_info().modules:
        for function in module.functions:
            name = function.name.removeprefix("Response.").rstrip("!")
            assert re.search(rf"`{re.escape(name)}[`(!]", TEXT), f"{module.name} {function.name}"
