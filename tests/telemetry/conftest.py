"""A collector, and servers that send to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import crucible
from tests.modules.web import Web
from tests.servers import RunningServer
from tests.telemetry.collector import Collector
from tests.telemetry.settings import telemetry


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector that answers."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def webs() -> Iterator[tuple[Web, Web]]:
    """Web servers that scripts may reach: one that may know of traces, and one that may not."""
    with Web() as known, Web() as stranger:
        yield known, stranger


@pytest.fixture(scope="module")
def traced_server(
    collector: Collector, webs: tuple[Web, Web], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A server that sends traces and metrics to the collector."""
    known, stranger = webs
    settings = telemetry(
        otlp_endpoint=collector.endpoint,
        otlp_headers={"x-key": "secret"},
        metrics_interval="500ms",
        resource_attributes={"deployment.environment.name": "test"},
        propagate_to=[known.url],
    )
    settings["CRUCIBLE_ENGINE__HTTP__ALLOW"] = json.dumps([known.url, stranger.url])
    with RunningServer(tmp_path_factory.mktemp("traced"), settings) as server:
        yield server


@pytest.fixture
def traced(traced_server: RunningServer, collector: Collector) -> Iterator[crucible.Client]:
    """A client of that server; the collector has forgotten what came before."""
    collector.forget()
    with crucible.Client(traced_server.address) as client:
        yield client


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[RunningServer, crucible.Client]]:
    """A server with a page of metrics, and a client of it."""
    with (
        RunningServer(tmp_path / "data", telemetry(metrics_listen="127.0.0.1:0")) as server,
        crucible.Client(server.address) as client,
    ):
        yield server, client
