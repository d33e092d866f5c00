"""Where values come from, secrets by reference, and the places that errors name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crucible_server.config import ConfigError, Layer, Overlay, ServerConfig, Sources, load, shown
from crucible_server.config.keys import HIDDEN, all_keys
from crucible_server.config.positions import line_of

KEY = "ab" * 32


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("CRUCIBLE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The configuration file."""
    return tmp_path / "crucible.toml"


def test_each_value_knows_its_layer(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("spare_children = 1\n\n[engine]\nmax_cache_size = 1\nhttp.timeout = 1\nhttp.max_header_bytes = 9\n")
    monkeypatch.setenv("crucible_engine__http__timeout", "2s")
    monkeypatch.setenv("CRUCIBLE_VM", "/vm")
    loaded = load(Sources(file, {"listen": "127.0.0.1:3"}), Overlay({"engine.http.max_header_bytes": 7}, 5))
    origins = {key: (origin.layer, origin.detail) for key, origin in loaded.origins.items()}
    assert origins["max_request_bytes"] == (Layer.DEFAULT, "")
    assert origins["spare_children"] == (Layer.FILE, f"{file}:1")
    assert origins["engine.max_cache_size"] == (Layer.FILE, f"{file}:4")
    assert origins["engine.http.timeout"] == (Layer.ENVIRONMENT, "crucible_engine__http__timeout")
    assert origins["vm_path"] == (Layer.ENVIRONMENT, "CRUCIBLE_VM")
    assert origins["listen"] == (Layer.FLAG, "--listen")
    assert origins["engine.http.max_header_bytes"] == (Layer.SERVICE, "version 5")
    http = loaded.config.engine.http
    assert (http.timeout, http.max_header_bytes, loaded.config.engine.max_cache_size) == (2.0, 7, 1)
    assert set(origins) == {key.path for key in all_keys(ServerConfig)}


def test_a_section_given_whole_by_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRUCIBLE_ENGINE", '{"max_cache_size": 5}')
    loaded = load(Sources())
    assert loaded.config.engine.max_cache_size == 5
    assert loaded.origins["engine.max_cache_size"].detail == "CRUCIBLE_ENGINE"
    assert loaded.origins["engine.enable_caching"].layer is Layer.DEFAULT


def test_errors_name_file_and_line_or_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('# a comment\n[engine]\nmax_cache_size = "many"\n')
    monkeypatch.setenv("CRUCIBLE_SPARE_CHILDREN", "lots")
    with pytest.raises(ConfigError) as caught:
        load(Sources(file, {"grace_period": "soon"}))
    by_key = {each.key: each for each in caught.value.found}
    assert (by_key["engine.max_cache_size"].origin, by_key["engine.max_cache_size"].line) == (str(file), 3)
    assert (by_key["spare_children"].origin, by_key["spare_children"].got) == ("CRUCIBLE_SPARE_CHILDREN", "'lots'")
    assert (by_key["grace_period"].origin, by_key["grace_period"].line) == ("", None)
    file.write_text("listen = 'a'\nx = = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(Sources(file))
    assert caught.value.found[0].line == 2


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("t", "b"), 9),
        (("t", "inner", "c"), 10),
        (("t", "odd.name"), 11),
        (("u", "d"), 13),
        (("u", "absent"), 12),
        (("absent",), None),
    ],
)
def test_lines_of_keys(path: tuple[str, ...], line: int | None) -> None:
    text = (
        'a = """\nb = 1\n[t]\n"""\nlist = [\n  "b = 2",\n]\n'
        '[t]\nb = 1\ninner.c = 2\n"odd.name" = 3\n[u] # here\nd = {x = 1}\n'
    )
    assert line_of(text, path) == line


def test_secrets_are_named_not_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT", KEY)
    file.write_text('unit_key = { env = "VAULT" }\n')
    loaded = load(Sources(file))
    assert loaded.config.unit_key is not None
    assert loaded.config.unit_key.get_secret_value() == KEY
    assert KEY not in repr(loaded)
    secret = file.parent / "key"
    secret.write_text(f"{KEY}\n")
    file.write_text('unit_key = { file = "key" }\n')
    loaded = load(Sources(file))
    assert loaded.config.unit_key is not None
    assert loaded.config.unit_key.get_secret_value() == KEY
    assert loaded.watched == (file, secret)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (f'"{KEY}"', "where the secret is"),
        ('{ env = "ABSENT" }', "ABSENT, which is not set"),
        ('{ file = "absent" }', "No such file"),
        ('{ file = "empty" }', "got an empty one"),
        ('{ file = "large" }', "at most 65,536 bytes, got more"),
        ('{ file = "binary" }', "UTF-8"),
        ('{ env = "A", file = "B" }', "where the secret is"),
        ("{ env = 1 }", "where the secret is"),
        ('{ command = "cat key" }', "where the secret is"),
        ('{ file = "short" }', "expected 64 hexadecimal digits"),
    ],
)
def test_secrets_that_cannot_be_had(file: Path, written: str, said: str) -> None:
    for name, content in (
        ("empty", b"\n"),
        ("large", b"a" * 70_000),
        ("binary", b"\xff\xfe"),
        ("short", b"hunter2hunter2"),
    ):
        (file.parent / name).write_bytes(content)
    file.write_text(f"\nunit_key = {written}\n")
    with pytest.raises(ConfigError) as caught:
        load(Sources(file))
    (problem,) = caught.value.found
    assert problem.key == "unit_key"
    assert (problem.origin, problem.line) == (str(file), 2)
    assert said in str(problem)
    assert KEY not in str(problem)
    assert "hunter2" not in str(problem)


def test_a_secret_that_is_missing_hides_no_other_problem(file: Path) -> None:
    file.write_text("unit_key = { env = 'ABSENT' }\nspare_childs = 1\n")
    with pytest.raises(ConfigError) as caught:
        load(Sources(file))
    assert [each.key for each in caught.value.found] == ["unit_key", "spare_childs"]


def test_passwords_in_addresses_are_hidden() -> None:
    assert shown("postgresql://me:hunter2@db/crucible") == f"postgresql://me:{HIDDEN}@db/crucible"
    assert shown("sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_what_needs_a_restart_stays_as_it_runs(file: Path) -> None:
    file.write_text("spare_children = 1\n")
    running = load(Sources(file)).config
    file.write_text('spare_children = 5\nmax_request_bytes = 9\nlisten = "127.0.0.1:9"\n')
    after = load(Sources(file)).pinned(running)
    assert (after.spare_children, after.max_request_bytes, after.listen) == (5, 4 * 2**20, running.listen)
