"""The dashboard asks for what the page of metrics has."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import crucible
from tests.modules.web import Web
from tests.servers import RunningServer
from tests.telemetry.collector import Collector
from tests.telemetry.settings import read_page, telemetry

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "crucible.json").read_text("utf-8"))
DOCS = (ROOT / "docs" / "telemetry.md").read_text("utf-8")
# Words of the language, and what Prometheus adds of its own.
WORDS = {"sum", "rate", "by", "count", "histogram_quantile", "label_values", "le", "instance"}
# Only where spans are dropped, which this test does not wait for; test_bad_collectors.py does.
WITHOUT_SAMPLES = {"error_type"}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Names of the samples of a server that has done a little of everything, each with its labels."""
    with Collector() as collector, Web() as web:
        settings = telemetry(metrics_listen="127.0.0.1:0", otlp_endpoint=collector.endpoint)
        settings["CRUCIBLE_ENGINE__HTTP__ALLOW"] = json.dumps([web.url])
        with (
            RunningServer(tmp_path_factory.mktemp("all"), settings) as server,
            crucible.Client(server.address) as client,
        ):
            source = "pub async fn main(url) { crucible::http::get(url).await?.status }"
            assert client.run(source, args={"url": web.url}, level="production").value == 200
            client.run('pub fn main() { panic!("no") }', check=False)
            end = time.monotonic() + 10
            # The SDK counts what it has sent a moment after it was received.
            while "otel_sdk_processor_span_processed_total" not in (page := read_page(server)):
                assert time.monotonic() < end
                time.sleep(0.1)
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> list[str]:
    """Every question that the dashboard asks."""
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    variables: list[dict[str, Any]] = DASHBOARD["templating"]["list"]
    return found + [each["query"]["query"] for each in variables if each["type"] == "query"]


def names(expression: str) -> set[str]:
    """Names of metrics and labels in an expression."""
    bare = re.sub(r'"[^"]*"|\[[^\]]*\]', "", expression)
    return set(re.findall(r"[a-z][a-z0-9_]*", bare)) - WORDS


@pytest.mark.parametrize("expression", expressions())
def test_every_name_is_on_the_page(expression: str, samples: dict[str, set[str]]) -> None:
    labels = {label for each in samples.values() for label in each}
    asked = names(expression)
    metrics = asked & set(samples)
    assert metrics, f"no metric of the page is in {expression}"
    assert asked - set(samples) <= labels, asked - set(samples) - labels
    for metric in metrics:
        assert asked - set(samples) - WITHOUT_SAMPLES <= samples[metric], (metric, samples[metric])


def test_panels_have_places_and_ids_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)
    assert all(p["gridPos"]["x"] + p["gridPos"]["w"] <= 24 for p in panels)
    assert all(panel["type"] == "row" or (panel["title"] and panel["description"]) for panel in panels)


def test_the_documentation_names_every_metric_and_no_other(samples: dict[str, set[str]]) -> None:
    told = set(re.findall(r"^\| `((?:crucible|rpc)_[a-z_]+)`", DOCS, re.MULTILINE))
    there = {
        re.sub(r"_(bucket|count|sum)$", "", name) if f"{name.rpartition('_')[0]}_bucket" in samples else name
        for name in samples
        if name.startswith(("crucible_", "rpc_"))
    }
    assert told == there
