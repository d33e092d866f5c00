"""The schema and the table of keys are those of the models, and an editor finds by them what the server would."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from crucible_server.config import ConfigError, Effect, ServerConfig, all_keys, load_config
from crucible_server.config.effects import declared, effect_of
from crucible_server.config.schema import json_schema

ROOT = Path(__file__).resolve().parents[2]
VALIDATOR = Draft202012Validator(json_schema())


def test_what_is_committed_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for path, text in generate.fresh().items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run `make gen`"


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize(
    "text",
    [
        "",
        'listen = "127.0.0.1:1"\nspare_children = 0\ngrace_period = "1m30s"\n',
        "grace_period = 2.5\nmax_request_bytes = 100\n",
        '[engine]\nmax_source_size = "1 MiB"\n[engine.http]\nallow = ["https://example.org"]\n',
        'unit_key = { env = "KEY" }\n',
    ],
)
def test_what_the_server_takes_is_valid(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "ab" * 32)
    file = tmp_path / "crucible.toml"
    file.write_text(text)
    load_config(file, {})
    assert not list(VALIDATOR.iter_errors(tomllib.loads(text)))


@pytest.mark.parametrize(
    "text",
    [
        "spare_childs = 1\n",
        "[engine]\nmax_cache_sise = 1\n",
        'spare_children = "many"\n',
        "spare_children = -1\n",
        'grace_period = "soon"\n',
        "grace_period = 0\n",
        'max_request_bytes = "large"\n',
        'log_level = "loud"\n',
        f'unit_key = "{"ab" * 32}"\n',
        'unit_key = { env = "A", file = "B" }\n',
        "[engine.resource_limits]\nmax_cpu_percentage = 0\n",
    ],
)
def test_what_the_server_refuses_is_not_valid(text: str, tmp_path: Path) -> None:
    file = tmp_path / "crucible.toml"
    file.write_text(text)
    with pytest.raises(ConfigError):
        load_config(file, {})
    assert list(VALIDATOR.iter_errors(tomllib.loads(text)))


def test_every_effect_is_of_a_key_or_section_that_exists() -> None:
    paths = [key.path for key in all_keys(ServerConfig)]
    for name in declared():
        assert any(path == name or path.startswith(f"{name}.") for path in paths), name


def test_what_nobody_thought_about_is_local() -> None:
    assert effect_of("isolation.anything") is Effect.LOCAL
    for name in (
        "listen",
        "data_dir",
        "store_url",
        "vm_path",
        "unit_key",
        "allow_insecure_listen",
        "allow_development",
    ):
        assert effect_of(name) is Effect.LOCAL
    assert effect_of("engine.resource_limits.max_operations") is Effect.LIVE
    assert effect_of("engine.http.ca_file") is Effect.LOCAL
