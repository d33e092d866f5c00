"""One connected trace from the client's call to each host call, as a collector gets it."""

from __future__ import annotations

import re
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import crucible
from crucible.v1 import execution_pb2, script_pb2, security_pb2, value_pb2
from crucible.v1 import script_service_pb2 as api
from tests.modules.web import Answer, Web
from tests.servers import RunningServer
from tests.telemetry.collector import METHOD, Collector, Kind, Received, path_of

CALLS = """
pub async fn main(url, other) {
    crucible::basic::log("info", "begin");
    let first = crucible::http::get(url).await?;
    let second = crucible::http::get(other).await?;
    crucible::basic::sleep(0.01).await;
    [first.status, second.status]
}
"""


def begin(
    client: crucible.Client, source: str, args: dict[str, Any] | None = None, **metadata: str
) -> api.ExecuteScriptResponse:
    """Executes a script with these metadata, at Production."""
    context = execution_pb2.ExecutionContext(source=script_pb2.ScriptSource(source=source))
    context.security_context.security_level = security_pb2.SECURITY_LEVEL_PRODUCTION
    for name, value in (args or {}).items():
        context.arguments[name].CopyFrom(value_pb2.Value(string_value=value))
    answer: api.ExecuteScriptResponse = client.stub.ExecuteScript(
        api.ExecuteScriptRequest(context=context), metadata=tuple(metadata.items())
    )
    return answer


def by_name(spans: list[Received]) -> dict[str, Received]:
    named = {span.name: span for span in spans}
    assert len(named) == len(spans), sorted(span.name for span in spans)
    return named


def test_one_trace_leads_from_the_call_to_each_host_call(
    traced: crucible.Client, collector: Collector, webs: tuple[Web, Web]
) -> None:
    known, stranger = webs
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    answer = begin(traced, CALLS, {"url": known.url, "other": stranger.url}, traceparent=f"00-{trace_id}-{span_id}-01")
    assert answer.result.success, answer.result.error
    spans = collector.trace("execute")
    assert {span.trace_id for span in spans} == {trace_id}
    paths = sorted(path_of(span, spans) for span in spans)
    below = [METHOD, "execute"]
    assert paths == sorted(
        [
            [METHOD],
            [METHOD, "policy"],
            [METHOD, "resolve"],
            [METHOD, "resolve", "compile"],
            below,
            [*below, "commit record"],
            [*below, "queue"],
            [*below, "fork"],
            [*below, "run"],
            [*below, "run", "host_call crucible.basic.log"],
            [*below, "run", "host_call crucible.http.request"],
            [*below, "run", "host_call crucible.http.request", "GET"],
            [*below, "run", "host_call crucible.http.request"],
            [*below, "run", "host_call crucible.http.request", "GET"],
            [*below, "run", "host_call crucible.basic.sleep"],
            [*below, "commit result"],
        ]
    )
    (root,) = (span for span in spans if span.span.kind == Kind.SPAN_KIND_SERVER)
    assert root.span.parent_span_id.hex() == span_id
    assert root.facts == {
        "rpc.system.name": "grpc",
        "rpc.method": METHOD,
        "rpc.response.status_code": "OK",
    }
    for span in spans:
        assert span.span.start_time_unix_nano <= span.span.end_time_unix_nano
        assert span.span.status.code == 0
    execute = next(span for span in spans if span.name == "execute")
    assert execute.facts == {
        "crucible.execution.id": answer.result.execution_id,
        "crucible.execution.detached": False,
        "crucible.script.id": answer.result.script_id,
        "crucible.security.level": "production",
    }
    run = next(span for span in spans if span.name == "run")
    assert run.facts["crucible.instructions"] == answer.result.resource_usage.operations_count
    assert run.facts["crucible.host_calls"] == 4
    assert root.resource["service.name"] == "crucible"
    assert root.resource["deployment.environment.name"] == "test"
    assert {"service.version", "service.instance.id"} <= set(root.resource)
    assert collector.metadata[-1]["x-key"] == "secret"


def test_requests_of_scripts_carry_the_trace_where_it_may_be_known(
    traced: crucible.Client, collector: Collector, webs: tuple[Web, Web]
) -> None:
    known, stranger = webs
    source = """
    pub async fn main(url, other) {
        let options = #{ headers: #{ traceparent: "00-11111111111111111111111111111111-2222222222222222-01" } };
        crucible::http::request("GET", url, options).await?;
        crucible::http::get(other).await?;
        crucible::http::request("GET", other, options).await?.status
    }
    """
    known.seen.clear()
    stranger.seen.clear()
    trace_id = secrets.token_hex(16)
    args = {"url": known.url, "other": stranger.url}
    headers = {"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01", "tracestate": "vendor=private"}
    assert begin(traced, source, args, **headers).result.success
    spans = collector.trace("execute")
    requests = {span.span.span_id.hex() for span in spans if span.name == "GET"}
    version, trace, parent, flags = known.seen[0].headers["traceparent"].split("-")
    assert (version, trace, flags) == ("00", trace_id, "01"), "what the script says of it is not true"
    assert parent in requests
    assert "tracestate" not in known.seen[0].headers
    # What a script sends of its own is its own.
    assert [seen.headers.get("traceparent", "")[3:35] for seen in stranger.seen] == ["", "1" * 32]


def test_a_redirect_to_a_stranger_leaves_the_trace_behind(traced: crucible.Client, webs: tuple[Web, Web]) -> None:
    known, stranger = webs
    known.seen.clear()
    stranger.seen.clear()
    known.answers["/away"] = Answer(status=302, headers={"location": f"{stranger.url}/there"})
    source = "pub async fn main(url) { crucible::http::get(url).await?.status }"
    assert begin(traced, source, {"url": f"{known.url}/away"}).result.success
    assert "traceparent" in known.seen[0].headers
    assert "traceparent" not in stranger.seen[0].headers


@pytest.mark.parametrize(
    "traceparent",
    [
        "nonsense",
        "00-" + "0" * 32 + "-1111111111111111-01",
        "00-" + "1" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "G" * 32 + "-1111111111111111-01",
        "ff-" + "1" * 32 + "-1111111111111111-01",
        "00-" + "1" * 32 + "-1111111111111111-01-more",
    ],
)
def test_a_traceparent_that_is_none_begins_a_new_trace(
    traced: crucible.Client, collector: Collector, traceparent: str
) -> None:
    assert begin(traced, "pub fn main() { 1 }", traceparent=traceparent).result.success
    spans = collector.trace("execute")
    assert re.fullmatch("[0-9a-f]{32}", spans[0].trace_id)
    assert spans[0].trace_id not in traceparent
    assert not next(span for span in spans if span.span.kind == Kind.SPAN_KIND_SERVER).span.parent_span_id


def test_a_client_that_does_not_sample_is_heeded(traced: crucible.Client, collector: Collector) -> None:
    unsampled = secrets.token_hex(16)
    begin(traced, "pub fn main() { 1 }", traceparent=f"00-{unsampled}-{secrets.token_hex(8)}-00")
    begin(traced, "pub fn main() { 2 }")
    collector.trace("execute")
    assert unsampled not in {span.trace_id for span in collector.spans}


def test_failures_are_told_by_kind_and_not_by_what_scripts_say(traced: crucible.Client, collector: Collector) -> None:
    secret = f"word{secrets.token_hex(8)}"
    begin(traced, f'pub fn main() {{ panic!("{secret}") }}')
    spans = by_name(collector.trace("execute"))
    assert spans["execute"].facts["error.type"] == "PANIC"
    assert spans["execute"].span.status.code == 2
    # It ran and failed: that is no failure of the call.
    assert spans[METHOD].facts["rpc.response.status_code"] == "OK"
    assert spans[METHOD].span.status.code == 0
    with pytest.raises(grpc.RpcError):
        begin(traced, f"pub fn main() {{ {secret} ")
    with pytest.raises(grpc.RpcError):
        traced.stub.GetExecution(api.GetExecutionRequest(execution_id=secret))
    (missing,) = collector.trace("crucible.v1.ScriptService/GetExecution")
    assert missing.facts["rpc.response.status_code"] == "NOT_FOUND"
    assert missing.span.status.code == 0, "the caller's mistake is no failure of the server"
    refused = [span for span in collector.spans if span.facts.get("rpc.response.status_code") == "INVALID_ARGUMENT"]
    assert refused
    assert not any(secret in str(span.span) for span in collector.spans)


def test_traces_of_calls_at_once_do_not_mix(
    traced: crucible.Client, collector: Collector, webs: tuple[Web, Web]
) -> None:
    source = "pub async fn main(url) { for i in 0..5 { crucible::http::get(url).await?; } }"
    traces = [secrets.token_hex(16) for _ in range(24)]

    def call(trace_id: str) -> None:
        parent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
        assert begin(traced, source, {"url": f"{webs[0].url}/{trace_id}"}, traceparent=parent).result.success

    webs[0].seen.clear()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(call, traces))
    for seen in webs[0].seen:
        assert seen.headers["traceparent"].split("-")[1] == seen.path.strip("/")

    def complete() -> bool:
        return all(
            len([s for s in collector.spans if s.trace_id == trace_id and s.name == "GET"]) == 5 for trace_id in traces
        )

    collector.wait(complete, "requests are missing from traces")
    # The last span of each.
    collector.wait(
        lambda: len([s for s in collector.spans if s.name == METHOD and s.trace_id in traces]) == len(traces),
        "calls are missing",
    )
    for trace_id in traces:
        spans = [span for span in collector.spans if span.trace_id == trace_id]
        for span in spans:
            assert path_of(span, spans)[0] == METHOD


def test_a_detached_execution_belongs_to_the_call_that_began_it(traced: crucible.Client, collector: Collector) -> None:
    source = """
    pub async fn main() {
        println!("up");
        crucible::basic::sleep(0.5).await;
        crucible::basic::log("info", "end");
    }
    """
    stream = traced.stream(source, detached=True, check=False)
    next(iter(stream))
    stream.close()
    spans = collector.trace("host_call crucible.basic.log")
    collector.wait(lambda: any(span.name == "execute" for span in collector.spans), "it does not end")
    spans = list(collector.spans)
    (log,) = (span for span in spans if span.name == "host_call crucible.basic.log")
    assert path_of(log, [span for span in spans if span.trace_id == log.trace_id])[0].endswith("/ExecuteScriptStream")


def test_log_lines_of_a_call_name_its_trace(traced: crucible.Client, traced_server: RunningServer) -> None:
    trace_id = secrets.token_hex(16)
    word = secrets.token_hex(8)
    parent = f"00-{trace_id}-{secrets.token_hex(8)}-01"
    begin(traced, f'pub fn main() {{ crucible::basic::log("info", "{word}") }}', traceparent=parent)
    end = time.monotonic() + 10
    while not (lines := [line for line in traced_server.log if word in line]) and time.monotonic() < end:
        time.sleep(0.05)
    assert f"trace_id={trace_id}" in lines[0]
    assert re.search(r"span_id=[0-9a-f]{16}", lines[0])


def test_health_checks_are_measured_but_not_traced(
    traced: crucible.Client, traced_server: RunningServer, collector: Collector
) -> None:
    with grpc.insecure_channel(traced_server.address) as channel:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    begin(traced, "pub fn main() { 1 }")
    collector.trace("execute")
    assert not [span for span in collector.spans if span.name.startswith("grpc.")]

    def measured() -> bool:
        metric = collector.metrics.get("rpc.server.call.duration")
        points = metric.histogram.data_points if metric is not None else ()
        return any("grpc.health.v1.Health/Check" in str(point.attributes) for point in points)

    collector.wait(measured, "no figure of health checks came")


def test_metrics_arrive_too(traced: crucible.Client, collector: Collector) -> None:
    begin(traced, "pub fn main() { 1 }")
    # A call is counted after its execution: between the two an export may have come.
    both = {"crucible.execution.duration", "rpc.server.call.duration"}
    collector.wait(lambda: both <= collector.metrics.keys(), "no metrics came")
    calls = collector.metrics["rpc.server.call.duration"]
    assert calls.unit == "s"
    point = calls.histogram.data_points[0]
    # The boundaries of the semantic conventions.
    assert list(point.explicit_bounds) == [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
