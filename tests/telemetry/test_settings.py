"""What can be configured, and what costs nothing when it is not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import crucible
from crucible.v1 import execution_pb2, script_pb2
from crucible.v1 import script_service_pb2 as api
from crucible_server.config import ConfigError, load_config
from crucible_server.telemetry.place import read_traceparent
from tests.conftest import StartServer
from tests.telemetry.settings import telemetry

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def problem(**keys: object) -> str:
    with pytest.raises(ConfigError) as raised:
        load_config(None, {"telemetry": keys})
    return str(raised.value)


@pytest.mark.parametrize(
    "endpoint",
    ["localhost:4317", "http://localhost", "ftp://h:1", "http://h:4317/v1/traces", "http://u:p@h:4317", "http://h:x"],
)
def test_an_endpoint_that_is_none_is_told(endpoint: str) -> None:
    assert "telemetry.otlp_endpoint: expected http://HOST:PORT or https://HOST:PORT" in problem(otlp_endpoint=endpoint)


def test_a_path_is_for_http_and_leaves_the_signals_out() -> None:
    over_http = {"otlp_protocol": "http/protobuf"}
    read = load_config(None, {"telemetry": {**over_http, "otlp_endpoint": "https://h:4318/otlp/"}}).telemetry
    assert read.otlp_endpoint == "https://h:4318/otlp"
    assert 'set `otlp_protocol = "http/protobuf"`' in problem(otlp_endpoint="https://h:4318/otlp")
    assert "before /v1/traces" in problem(**over_http, otlp_endpoint="http://h:4318/v1/traces")


def test_the_page_is_for_this_machine_alone_unless_asked_for() -> None:
    assert "allow_insecure_metrics_listen" in problem(metrics_listen="0.0.0.0:9464")
    assert "expected HOST:PORT" in problem(metrics_listen="9464")
    open_one = {"metrics_listen": "0.0.0.0:9464", "allow_insecure_metrics_listen": True}
    assert load_config(None, {"telemetry": open_one}).telemetry.metrics_listen == "0.0.0.0:9464"


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("sample_ratio", 1.5, "telemetry.sample_ratio: input should be less than or equal to 1"),
        ("max_queued_spans", 10, "telemetry.max_queued_spans: input should be greater than or equal to 512"),
        ("export_timeout", "soon", "telemetry.export_timeout: expected a duration"),
        ("propagate_to", ["example.com"], "telemetry.propagate_to: expected http:// or https://"),
        ("resource_attributes", {"a b": "c"}, "telemetry.resource_attributes: expected names"),
        ("otlp_ca_file", "/nowhere", "telemetry.otlp_ca_file: expected a file of certificates"),
        ("otlp_protocol", "http/json", "telemetry.otlp_protocol: "),
        ("tracing", True, "telemetry.tracing: there is no such key; did you mean `telemetry.traces`?"),
    ],
)
def test_a_wrong_value_is_told_with_its_key(key: str, value: object, expected: str) -> None:
    assert expected in problem(**{key: value})


def test_a_variable_that_the_sdk_refuses_is_told(start_server: StartServer) -> None:
    settings = telemetry(otlp_endpoint="http://127.0.0.1:1", metrics_listen="127.0.0.1:0")
    with pytest.raises(AssertionError) as raised:
        start_server(**settings, OTEL_EXPORTER_OTLP_COMPRESSION="lossy")
    assert "telemetry could not be set up" in str(raised.value)
    assert "OTEL_* variables" in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_headers_are_kept_secret() -> None:
    told = problem(otlp_headers={"x-key": "hush\n"})
    assert "telemetry.otlp_headers: expected printable ASCII in the header x-key" in told
    assert "hush" not in told
    config = load_config(None, {"telemetry": {"otlp_headers": {"x-key": "hush"}}})
    assert "hush" not in repr(config)
    assert config.telemetry.otlp_headers["x-key"].get_secret_value() == "hush"
    assert "expected names" in problem(otlp_headers={"grpc-timeout": "1"})


def test_nothing_is_loaded_unless_it_is_configured(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from crucible_server.config import load_config
from crucible_server.server import Server

async def main():
    server = Server(load_config(None, {{"data_dir": {str(tmp_path)!r}, "listen": "127.0.0.1:0"}}))
    await server.start()
    await server.stop(grace=0)

asyncio.run(main())
print(sorted(name for name in sys.modules if name.split(".")[0] in ("opentelemetry", "prometheus_client")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def logged(start_server: StartServer, *metadata: tuple[str, str]) -> list[str]:
    """Log lines of one call to a server that exports nothing."""
    server = start_server()
    context = execution_pb2.ExecutionContext(
        source=script_pb2.ScriptSource(
            source='pub async fn main() { for i in 0..3 { crucible::basic::log("info", `line ${i}`); '
            "crucible::basic::sleep(0.01).await; } }"
        )
    )
    with crucible.Client(server.address) as client:
        client.stub.ExecuteScript(api.ExecuteScriptRequest(context=context), metadata=metadata)
    server.terminate()
    lines = [line for line in server.log if "script_log" in line]
    assert len(lines) == 3
    return lines


def test_log_lines_name_the_trace_of_the_client_without_a_collector(start_server: StartServer) -> None:
    for line in logged(start_server, ("traceparent", f"00-{TRACE}-{SPAN}-01")):
        assert f"trace_id={TRACE}" in line
        assert f"span_id={SPAN}" in line


def test_log_lines_of_one_call_name_one_trace_in_any_case(start_server: StartServer) -> None:
    ids = {re.search(r"trace_id=([0-9a-f]{32})\b", line) for line in logged(start_server)}
    assert None not in ids
    assert len({found[1] for found in ids if found}) == 1


def test_json_lines_name_it_too() -> None:
    program = f"""
import structlog, logging
from crucible_server.cli.logs import configure_logs
from crucible_server.telemetry.place import Place, enter
configure_logs("json", "info")
structlog.get_logger().info("outside")
enter(Place({TRACE!r}, {SPAN!r}))
structlog.get_logger().info("inside")
logging.getLogger("library").warning("from a library")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    outside, inside, library = (json.loads(line) for line in done.stderr.splitlines())
    assert "trace_id" not in outside
    assert (inside["trace_id"], inside["span_id"]) == (TRACE, SPAN)
    assert library["trace_id"] == TRACE


def test_a_later_version_of_traceparent_may_say_more() -> None:
    assert read_traceparent(f"00-{TRACE}-{SPAN}-01") == (TRACE, SPAN)
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") == (TRACE, SPAN)
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-01.what") is None


@pytest.mark.parametrize(
    "header",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        TRACE,
        "",
    ],
)
def test_what_is_no_traceparent_names_no_trace(header: str) -> None:
    assert read_traceparent(header) is None
