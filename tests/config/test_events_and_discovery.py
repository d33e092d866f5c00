"""The sections of events, discovery and health checks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from crucible_server.config import ConfigError, DiscoveryConfig, EventsConfig, HealthCheckConfig, load_config

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith("CRUCIBLE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))


@pytest.mark.parametrize(
    ("section", "line", "said"),
    [
        ("events", 'retention = "0s"', "events.retention: expected a duration above zero"),
        ("events", "max_stored = 0", "events.max_stored"),
        ("events", 'max_event_bytes = "2MiB"', "events.max_event_bytes"),
        ("events", "max_emited_per_minute = 1", "did you mean `events.max_emitted_per_minute`?"),
        ("engine.discovery", 'endpoints = ["10.0.0.5"]', "expected HOST:PORT"),
        ("engine.discovery", 'endpoints = ["http://10.0.0.5:1"]', "expected HOST:PORT"),
        ("engine.discovery", 'endpoints = ["10.0.0.5:0"]', "expected HOST:PORT"),
        ("engine.discovery", 'lease = "500ms"', "engine.discovery.lease"),
        ("engine.discovery", 'lease = "2h"', "engine.discovery.lease"),
        ("engine.discovery", 'refresh_interval = "30s"', "shorter than `lease`"),
        ("engine.health_check", 'allow = ["10.0.0.5:80"]', "expected http:// or https://"),
        ("engine.health_check", 'allow = ["http://127.0.0.1"]', "expected a port with a loopback address"),
        ("engine.health_check", 'timeout = "11s"', "at most the interval"),
        ("engine.health_check", "failure_threshold = 0", "engine.health_check.failure_threshold"),
        ("engine.health_check", "success_threshold = 101", "engine.health_check.success_threshold"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, section: str, line: str, said: str) -> None:
    file = tmp_path / "crucible.toml"
    file.write_text(f"[{section}]\n{line}\n")
    with pytest.raises(ConfigError) as raised:
        load_config(file, {})
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("page", "prefix", "model"),
    [
        ("events.md", "events", EventsConfig),
        ("registry.md", "engine.discovery", DiscoveryConfig),
        ("registry.md", "engine.health_check", HealthCheckConfig),
    ],
)
def test_every_key_is_documented(page: str, prefix: str, model: type[BaseModel]) -> None:
    text = (DOCS / page).read_text("utf-8")
    documented = set(re.findall(rf"^\| `{re.escape(prefix)}\.(\w+)` \|", text, re.MULTILINE))
    assert documented == set(model.model_fields)


def test_every_type_of_event_is_documented() -> None:
    from crucible_server.events.kinds import TYPES

    text = (DOCS / "events.md").read_text("utf-8")
    assert set(re.findall(r"`([a-z]+_[a-z_]+)`", text)) >= TYPES
