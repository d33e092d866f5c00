"""`crucible scripts`."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

import crucible as client_library

from .conftest import Crucible


def stored(server: str, name: str | None = None) -> str:
    """Stores a script that nobody else has; its id."""
    source = f"pub mod part; /// Doubles.\npub fn main(n) {{ part::twice(n) }} // {uuid.uuid4()}"
    with client_library.Client(server) as client:
        return client.compile(source, files={"part.rn": "pub fn twice(n) { n * 2 }"}, name=name).script_id


def page(crucible: Crucible, server: str, *words: str) -> Any:
    """What `list --json` prints."""
    done = crucible("scripts", "list", "--server", server, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class TestShow:
    """By id and by name."""

    def test_text(self, crucible: Crucible, server: str) -> None:
        name = f"show-{uuid.uuid4()}"
        script = stored(server, name)
        with client_library.Client(server) as client:
            client.run(script_id=script, args={"n": 2})
        for which in (script, name):
            done = crucible("scripts", "show", which, "--server", server)
            assert (done.returncode, done.stderr) == (0, "")
            assert script in done.stdout
            assert name in done.stdout
            assert "main(n)" in done.stdout
            assert "1, of which 1 succeeded" in done.stdout

    def test_source(self, crucible: Crucible, server: str) -> None:
        done = crucible("scripts", "show", stored(server), "--source", "--server", server)
        assert "--- part.rn ---\npub fn twice(n) { n * 2 }\n" in done.stdout

    def test_json(self, crucible: Crucible, server: str) -> None:
        script = stored(server)
        shown = json.loads(crucible("scripts", "show", script, "--server", server, "--json").stdout)
        assert (shown["script_id"], shown["names"], shown["source"]) == (script, [], None)
        assert [function["name"] for function in shown["functions"] if function["is_public"]] == ["main", "part::twice"]
        shown = json.loads(crucible("scripts", "show", script, "--source", "--server", server, "--json").stdout)
        assert shown["source"]["files"] == {"part.rn": "pub fn twice(n) { n * 2 }"}

    @pytest.mark.parametrize("which", ["absent", "0" * 64])
    def test_absent(self, crucible: Crucible, server: str, which: str) -> None:
        done = crucible("scripts", "show", which, "--server", server)
        assert done.returncode == 3
        assert which in done.stderr

    def test_a_name_that_looks_like_an_id(self, crucible: Crucible, server: str) -> None:
        name = uuid.uuid4().hex + uuid.uuid4().hex
        script = stored(server, name)
        done = crucible("scripts", "show", name, "--server", server, "--json")
        assert json.loads(done.stdout)["script_id"] == script


class TestName:
    """Pointing a name, and removing it."""

    def test_point_and_remove(self, crucible: Crucible, server: str) -> None:
        first, second, name = stored(server), stored(server), f"name-{uuid.uuid4()}"
        for script in (first, second):
            done = crucible("scripts", "name", name, script, "--server", server)
            assert (done.returncode, done.stdout) == (0, f"{name}: points at {script}\n"), done.stderr
            shown = json.loads(crucible("scripts", "show", name, "--server", server, "--json").stdout)
            assert shown["script_id"] == script
        done = crucible("scripts", "name", name, "--remove", "--server", server, "--json")
        assert json.loads(done.stdout) == {"name": name, "script": None}
        assert crucible("scripts", "show", name, "--server", server).returncode == 3
        assert crucible("scripts", "show", second, "--server", server).returncode == 0

    def test_absent_script(self, crucible: Crucible, server: str) -> None:
        done = crucible("scripts", "name", "nowhere", "0" * 64, "--server", server)
        assert done.returncode == 3
        assert "0" * 64 in done.stderr

    @pytest.mark.parametrize("words", [["name"], ["name", "0" * 64, "--remove"]])
    def test_wrong_use(self, crucible: Crucible, server: str, words: list[str]) -> None:
        done = crucible("scripts", "name", *words, "--server", server)
        assert done.returncode == 2
        assert "--remove" in done.stderr


class TestDelete:
    """Several ids: each is told, a failure does not end it."""

    def test_goes_on_after_a_failure(self, crucible: Crucible, server: str) -> None:
        first, second = stored(server), stored(server)
        done = crucible("scripts", "delete", first, "0" * 64, second, "--server", server)
        assert done.returncode == 3
        assert done.stdout.splitlines() == [f"{first}: deleted", f"{second}: deleted"]
        assert "0" * 64 in done.stderr
        assert crucible("scripts", "show", first, "--server", server).returncode == 3

    def test_a_name_is_no_id(self, crucible: Crucible, server: str) -> None:
        script = stored(server, "kept")
        done = crucible("scripts", "delete", "kept", "--server", server)
        assert done.returncode == 2
        assert "64 hexadecimal digits" in done.stderr
        assert crucible("scripts", "show", script, "--server", server).returncode == 0


class TestList:
    """Filters and pages."""

    def test_prefix_and_pages(self, crucible: Crucible, server: str) -> None:
        prefix = f"list-{uuid.uuid4()}/"
        scripts = [stored(server, f"{prefix}{number}") for number in range(5)][::-1]
        stored(server, "other")
        everything = page(crucible, server, "--name-prefix", prefix)
        assert [row["script_id"] for row in everything["scripts"]] == scripts
        assert everything["scripts"][0]["names"] == [f"{prefix}4"]
        first = page(crucible, server, "--name-prefix", prefix, "--limit", "2")
        rest = page(crucible, server, "--name-prefix", prefix, "--all", "--page-token", first["next_page_token"])
        assert [row["script_id"] for row in first["scripts"] + rest["scripts"]] == scripts
        assert rest["next_page_token"] == ""

    def test_times_and_principal(self, crucible: Crucible, server: str) -> None:
        script = stored(server)
        (row,) = page(crucible, server, "--limit", "1")["scripts"]
        assert row["script_id"] == script
        since = page(crucible, server, "--since", row["create_time"], "--principal", row["principal"])["scripts"]
        assert [found["script_id"] for found in since] == [script]
        until = page(crucible, server, "--until", row["create_time"], "--all")["scripts"]
        assert script not in [found["script_id"] for found in until]
        assert page(crucible, server, "--principal", "nobody")["scripts"] == []

    def test_text(self, crucible: Crucible, server: str) -> None:
        script = stored(server, "shown/in-a-list")
        done = crucible("scripts", "list", "--name-prefix", "shown/", "--server", server)
        heading, row = done.stdout.splitlines()
        assert heading.split()[:4] == ["SCRIPT", "NAMES", "FUNCTIONS", "SIZE"]
        assert row.split()[:3] == [script, "shown/in-a-list", "main,"]
        done = crucible("scripts", "list", "--name-prefix", "shown/", "--ids", "--server", server)
        assert done.stdout == f"{script}\n"
