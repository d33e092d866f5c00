"""One connected trace from a span of the client's process, which exports its own, down to each host call."""

from __future__ import annotations

import subprocess
import sys

import crucible
from tests.modules.web import Web
from tests.servers import RunningServer
from tests.telemetry.collector import Collector, Received

METHOD = "crucible.v1.ScriptService/ExecuteScript"
# A program as a user of both would write it.
PROGRAM = """
import asyncio
import sys

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import crucible

server, collector, url, kind = sys.argv[1:]
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=collector, insecure=True)))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("shop")
SOURCE = "pub async fn main(url) { crucible::http::get(url).await?.status }"


def run():
    with crucible.Client(server) as client, tracer.start_as_current_span("checkout"):
        with tracer.start_as_current_span("price"):
            return client.run(SOURCE, level="production", args={"url": url})


async def run_async():
    async with crucible.AsyncClient(server) as client:
        with tracer.start_as_current_span("checkout"), tracer.start_as_current_span("price"):
            return await client.run(SOURCE, level="production", args={"url": url})


result = run() if kind == "sync" else asyncio.run(run_async())
assert result.value == 200, result
provider.shutdown()
"""


def path_of(span: Received, spans: list[Received]) -> list[str]:
    """Names from the root of the trace down to this span. Fails when a parent is missing."""
    parents = {each.span.span_id: each for each in spans}
    names = [span.name]
    while span.span.parent_span_id:
        span = parents[span.span.parent_span_id]
        names.append(span.name)
    return names[::-1]


def assert_connected(kind: str, server: RunningServer, collector: Collector, web: Web) -> None:
    words = [sys.executable, "-c", PROGRAM, server.address, collector.endpoint, web.url, kind]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    collector.wait(lambda: any(span.name == "checkout" for span in collector.spans), "the client's spans did not come")
    (trace_id,) = {span.trace_id for span in collector.spans if span.name == "checkout"}
    executed = collector.trace("execute")
    assert {span.trace_id for span in executed} == {trace_id}
    spans = [span for span in collector.spans if span.trace_id == trace_id]
    paths = [path_of(span, spans) for span in spans]
    call = ["checkout", "price", METHOD]
    for below in (
        [],
        ["policy"],
        ["resolve"],
        ["execute", "queue"],
        ["execute", "fork"],
        ["execute", "run"],
        ["execute", "run", "host_call crucible.http.request", "GET"],
        ["execute", "commit result"],
    ):
        assert [*call, *below] in paths
    services = {span.name: span.resource["service.name"] for span in spans}
    assert (services["price"], services[METHOD]) == ("shop", "crucible")


def test_a_span_of_the_clients_process_is_above_all_of_the_server(
    traced: crucible.Client, traced_server: RunningServer, collector: Collector, webs: tuple[Web, Web]
) -> None:
    assert_connected("sync", traced_server, collector, webs[0])


def test_so_it_is_with_the_client_for_asyncio(
    traced: crucible.Client, traced_server: RunningServer, collector: Collector, webs: tuple[Web, Web]
) -> None:
    assert_connected("async", traced_server, collector, webs[0])
