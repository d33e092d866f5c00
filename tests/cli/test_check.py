"""`crucible check`."""

from __future__ import annotations

import json

from .conftest import Crucible, Script


def test_good_script(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("check", script("pub fn main(a, b) { helper(a) + b } fn helper(x) { x }"), "--server", server)
    assert done.returncode == 0, done.stderr
    assert "main(a, b)" in done.stdout
    assert "helper" not in done.stdout


def test_own_server(crucible: Crucible, script: Script) -> None:
    done = crucible("check", script("pub fn main() {}"))
    assert done.returncode == 0, done.stderr


def test_error_is_shown_where_it_is(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("check", script("pub fn main() {\n    missing(1)\n}\n"), "--server", server)
    assert done.returncode == 1
    assert "script.rn:2:5" in done.stdout
    assert "missing" in done.stdout


def test_json(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("check", script("/// Adds.\npub fn add(a, b) { a + b }"), "--server", server, "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["success"], result["diagnostics"]) == (0, True, [])
    (function,) = result["functions"]
    assert (function["name"], function["is_public"]) == ("add", True)
    assert [parameter["name"] for parameter in function["parameters"]] == ["a", "b"]


def test_json_of_an_error(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("check", script("pub fn main() {\n    missing(1)\n}\n"), "--server", server, "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["success"]) == (1, False)
    first = result["diagnostics"][0]
    assert first["severity"] == "SEVERITY_ERROR"
    assert (first["span"]["line"], first["span"]["column"]) == (2, 5)


def test_module_that_the_level_lacks(crucible: Crucible, script: Script, server: str) -> None:
    done = crucible("check", script('pub async fn main() { crucible::http::get("x").await }'), "--server", server)
    assert done.returncode == 1
    assert "crucible::http" in done.stdout
