"""What is counted, traced and profiled of executions at Development."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import crucible
from crucible.v1 import execution_pb2, script_pb2, security_pb2, value_pb2
from crucible.v1 import script_service_pb2 as api
from tests.development.conftest import ALLOWED
from tests.engine.processes import wait_until
from tests.modules.web import Web
from tests.servers import RunningServer
from tests.telemetry.collector import METHOD, Collector, Kind, Received, path_of
from tests.telemetry.page import check, value, wait_for
from tests.telemetry.profiles import pprof, read, total
from tests.telemetry.settings import read_page, telemetry

SLEEPS = """use crucible::process;
fn adds(n) {
    let t = 0;
    for i in 0..n { t += i; }
    t
}
pub async fn main() {
    adds(20000);
    process::run("sleep", ["0.3"], #{}).await?.success
}
"""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    """A collector that answers."""
    with Collector() as running:
        yield running


@pytest.fixture(scope="module")
def told(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that allows Development, sends traces to the collector and has a page of metrics."""
    settings = telemetry(otlp_endpoint=collector.endpoint, metrics_listen="127.0.0.1:0")
    settings["CRUCIBLE_MAX_SPARE_CHILDREN"] = "0"
    with RunningServer(tmp_path_factory.mktemp("told"), {**ALLOWED, **settings}) as server:
        yield server


@pytest.fixture
def client(told: RunningServer, collector: Collector) -> Iterator[crucible.Client]:
    """A client of it; the collector has forgotten what came before."""
    collector.forget()
    with crucible.Client(told.address) as connected:
        yield connected


def counted(server: RunningServer, name: str, **labels: str) -> float:
    return value(check(text_string_to_metric_families(read_page(server))), name, **labels)


def test_executions_are_counted_under_their_level(told: RunningServer, client: crucible.Client) -> None:
    count, level = "crucible_execution_duration_seconds_count", {"crucible_security_level": "development"}
    instructions, forks = "crucible_execution_instructions_total", "crucible_interpreter_forks_total"
    succeeded = counted(told, count, crucible_execution_state="succeeded", **level)
    before = {name: counted(told, name) for name in (instructions, forks)}
    failed = counted(told, count, error_type="PANIC", **level)
    forked = client.metrics().message.forked_children
    script = client.compile('pub fn main(n) { if n == 0 { panic!("no") } n }', level="development")
    done = [client.run(script, args={"n": n}, level="development", check=False) for n in range(3)]
    safe = client.run(script, args={"n": 1})
    wait_for(told, succeeded + 2, count, crucible_execution_state="succeeded", **level)
    wait_for(told, failed + 1, count, error_type="PANIC", **level)
    wait_for(told, 1, count, crucible_security_level="safe")
    ran = sum(each.usage.operations for each in [*done, safe])
    assert counted(told, instructions) == before[instructions] + ran
    # Two of compilers, as the levels have other modules, three outside of the jail, one inside.
    assert counted(told, forks) == before[forks] + 6
    assert client.metrics().message.forked_children == forked + 6


def test_one_trace_leads_from_the_call_to_each_host_call(client: crucible.Client, collector: Collector) -> None:
    source = """
    pub async fn main(url) {
        crucible::process::run("true", [], #{}).await?;
        crucible::basic::log("info", "x");
        crucible::http::get(url).await?.status
    }
    """
    context = execution_pb2.ExecutionContext(source=script_pb2.ScriptSource(source=source))
    context.security_context.security_level = security_pb2.SECURITY_LEVEL_DEVELOPMENT
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    with Web() as web:
        context.arguments["url"].CopyFrom(value_pb2.Value(string_value=web.url))
        answer = client.stub.ExecuteScript(
            api.ExecuteScriptRequest(context=context), metadata=(("traceparent", f"00-{trace_id}-{span_id}-01"),)
        )
    assert answer.result.success, answer.result.error

    def found() -> list[Received]:
        spans = [span for span in collector.spans if span.trace_id == trace_id]
        return spans if {METHOD, "execute"} <= {span.name for span in spans} else []

    spans = collector.wait(found, "the trace does not come")
    below = [METHOD, "execute"]
    assert sorted(path_of(span, spans) for span in spans) == sorted(
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
            [*below, "commit result"],
        ]
    )
    (root,) = (span for span in spans if span.span.kind == Kind.SPAN_KIND_SERVER)
    assert root.span.parent_span_id.hex() == span_id
    (execute,) = (span for span in spans if span.name == "execute")
    assert execute.facts["crucible.security.level"] == "development"
    (run,) = (span for span in spans if span.name == "run")
    assert run.facts["crucible.instructions"] == answer.result.resource_usage.operations_count
    assert run.facts["crucible.host_calls"] == 2


def test_a_profile_has_instructions_and_the_time_of_programs(client: crucible.Client) -> None:
    result = client.run(SLEEPS, level="development", profile=True)
    assert result.value is True
    found = read(result.profile)
    assert total(found, 0) == result.usage.operations
    assert total(found, 1) <= found.duration_nanos
    lines = {location.id: location.line[0].line for location in found.location}
    waited = sum(sample.value[1] for sample in found.sample if lines[sample.location_id[0]] == 9)
    assert waited > 250_000_000, "the line that waits for the program has its time"


@pytest.mark.timeout(600)
def test_pprof_opens_it(client: crucible.Client, tmp_path: Path) -> None:
    file = tmp_path / "script.pb.gz"
    file.write_bytes(client.run(SLEEPS, level="development", profile=True).profile)
    top = pprof(file, "-top", "-sample_index=instructions")
    first = next(line for line in top.splitlines() if line.endswith(("adds", "main")))
    assert first.endswith(" adds"), top
    # With no share of time too small to be shown: a child may stand still on any line.
    lines = pprof(file, "-top", "-lines", "-nodefraction=0", "-sample_index=time")
    assert re.search(r"^ *[1-9].*main\.rn:9$", lines, re.MULTILINE), lines


def test_the_processor_time_of_their_trees_is_that_of_the_service(client: crucible.Client) -> None:
    source = (
        'pub async fn main() { crucible::process::run("sh", ["-c", "ulimit -t 3; while :; do :; done"], #{}).await }'
    )
    assert client.run(source, level="development").value["success"] is False
    # Three seconds of at most ten and a little; the server by itself has some hundredths.
    wait_until(lambda: client.metrics().cpu_percentage > 20, "the processor time does not show")
