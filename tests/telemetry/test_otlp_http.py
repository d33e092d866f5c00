"""OTLP over HTTP: the same traces and metrics as over gRPC."""

from __future__ import annotations

import pytest

import crucible
from tests.conftest import StartServer
from tests.telemetry.collector import HttpCollector
from tests.telemetry.settings import telemetry

OVER_HTTP = {"otlp_protocol": "http/protobuf", "metrics_interval": "500ms"}


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_traces_and_metrics_arrive(start_server: StartServer, compression: str) -> None:
    with HttpCollector() as collector:
        keys = telemetry(otlp_endpoint=collector.endpoint, otlp_headers={"x-key": "secret"}, **OVER_HTTP)
        server = start_server(**keys, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
        with crucible.Client(server.address) as client:
            assert client.run("pub fn main() { 1 }").value == 1
        spans = collector.trace("execute")
        assert {"crucible.v1.ScriptService/ExecuteScript", "policy", "fork", "run"} <= {span.name for span in spans}
        ids = {span.span.span_id for span in spans}
        roots = [span for span in spans if span.span.parent_span_id not in ids]
        assert [root.name for root in roots] == ["crucible.v1.ScriptService/ExecuteScript"]
        collector.wait(lambda: "crucible.execution.duration" in collector.metrics, "no metrics came")
        assert {each["x-key"] for each in collector.metadata} == {"secret"}
        assert {each.get("content-encoding", "none") for each in collector.metadata} == {compression}
        # Several exports, over one connection for traces and one for metrics.
        sent = len(collector.metadata)
        with crucible.Client(server.address) as client:
            client.run("pub fn main() { 2 }")
        collector.wait(lambda: len(collector.metadata) > sent, "nothing more came")
        assert collector.connections == 2
        assert server.terminate() == 0
