"""The page that Prometheus reads."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress

import grpc
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

import crucible
from tests.conftest import StartServer
from tests.servers import RunningServer
from tests.telemetry.page import check, value, wait_for
from tests.telemetry.settings import page_address, read_page, telemetry

Page = tuple[RunningServer, crucible.Client]


def use(client: crucible.Client) -> None:
    """Calls of every kind: that succeed, fail, are refused."""
    script = client.compile('pub fn main(n) { crucible::basic::log("info", "x"); if n == 0 { panic!("no") } n }')
    for n in range(3):
        client.run(script, args={"n": n}, check=False)
    with pytest.raises(crucible.CompilationError):
        client.run("pub fn main( {")
    with pytest.raises(crucible.ExecutionNotFound):
        client.get_execution("none")


@pytest.mark.parametrize("parser", ["prometheus", "openmetrics"])
def test_the_page_is_what_prometheus_reads(page: Page, parser: str) -> None:
    server, client = page
    use(client)
    method = "crucible.v1.ScriptService/GetExecution"
    calls = "rpc_server_call_duration_seconds_count"
    wait_for(server, 1, calls, rpc_method=method)
    if parser == "prometheus":
        families = check(prometheus(read_page(server)))
    else:
        text = read_page(server, "application/openmetrics-text; version=1.0.0")
        assert text.endswith("# EOF\n")
        families = check(openmetrics(text))  # type: ignore[no-untyped-call]
    state = "crucible_execution_state"
    count = "crucible_execution_duration_seconds_count"
    assert value(families, count, **{state: "succeeded", "crucible_security_level": "safe"}) == 2
    assert value(families, count, **{state: "failed", "error_type": "PANIC"}) == 1
    assert value(families, "crucible_compilation_duration_seconds_count", crucible_success="false") == 1
    assert (
        value(families, "crucible_host_call_duration_seconds_count", crucible_host_call_name="crucible.basic.log") == 3
    )
    assert value(families, calls, rpc_method=method, rpc_response_status_code="NOT_FOUND", rpc_system_name="grpc") == 1
    assert value(families, "crucible_cache_lookups_total", crucible_hit="true") == 3
    assert value(families, "crucible_service_status", crucible_service_status="healthy") == 1
    assert value(families, "crucible_isolation_layer_active", crucible_layer="seccomp") == 1
    assert value(families, "crucible_store_executions") == 3
    assert value(families, "crucible_executions_running") == 0
    assert 20e6 < value(families, "crucible_memory_usage_bytes") < 2e9


def test_the_page_and_get_metrics_agree(page: Page) -> None:
    server, client = page
    use(client)
    wait_for(server, 3, "crucible_execution_duration_seconds_count")
    told = client.metrics()
    families = check(prometheus(read_page(server)))
    assert value(families, "crucible_execution_duration_seconds_count") == told.total_executions == 3
    assert value(families, "crucible_compilation_duration_seconds_count") == told.total_compilations
    assert value(families, "crucible_cache_lookups_total", crucible_hit="false") == told.cache_misses
    assert value(families, "crucible_cache_size_bytes") == told.message.cache_bytes


def test_what_scripts_and_callers_say_makes_no_series(page: Page) -> None:
    server, client = page
    use(client)

    def unknown(method: str) -> None:
        with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"), grpc.insecure_channel(server.address) as channel:
            channel.unary_unary(method, None, None)(b"")

    def series() -> set[tuple[str, str]]:
        # Whether a spare is there for an execution is up to the machine, and has a series either way.
        return {
            (sample.name, str(sorted(sample.labels.items())))
            for family in prometheus(read_page(server))
            for sample in family.samples
            if "crucible_spare" not in sample.labels
        }

    unknown("/some.Service/Method")
    wait_for(server, 1, "rpc_server_call_duration_seconds_count", rpc_method="_OTHER")
    before = series()
    assert any("_OTHER" in labels for _, labels in before)
    for n in range(25):
        source = f'pub fn main() {{ crucible::basic::log("info", "word{n}"); panic!("word{n}") }}'
        client.run(source, check=False, execution_id=f"word{n}")
        with pytest.raises(crucible.ExecutionNotFound):
            client.get_execution(f"word-{n}")
        unknown(f"/word{n}.Service/Word{n}")
    assert series() == before
    assert "word" not in read_page(server)


def test_calls_that_are_lost_are_told_apart(page: Page) -> None:
    server, client = page
    # Of a caller that stands still nothing comes: the server goes by the deadline alone.
    call = "crucible.Client(sys.argv[1]).run('pub fn main() { loop {} }', deadline=5)"
    with subprocess.Popen([sys.executable, "-c", f"import sys, crucible; {call}", server.address]) as caller:
        try:
            wait_for(server, 1, "crucible_executions_running")
            caller.send_signal(signal.SIGSTOP)
            wait_for(server, 0, "crucible_executions_running")
        finally:
            caller.kill()
    stream = client.stream('pub fn main() { println!("up"); loop {} }', check=False)
    next(iter(stream))
    stream.close()

    calls = "rpc_server_call_duration_seconds_count"
    for method, code in (("ExecuteScript", "DEADLINE_EXCEEDED"), ("ExecuteScriptStream", "CANCELLED")):
        name = f"crucible.v1.ScriptService/{method}"
        wait_for(server, 1, calls, rpc_method=name, rpc_response_status_code=code)
    wait_for(server, 2, "crucible_execution_duration_seconds_count", crucible_execution_state="cancelled")
    families = check(prometheus(read_page(server)))
    assert value(families, calls, error_type="DEADLINE_EXCEEDED") == 1
    assert value(families, calls, error_type="CANCELLED") == 0, "a caller that leaves is no failure"


def test_nothing_but_the_page_is_there(page: Page) -> None:
    server, _ = page
    address = page_address(server)
    for path in ("/", "/favicon.ico", "/metrics/x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{address}{path}", timeout=10)
    request = urllib.request.Request(f"http://{address}/metrics", data=b"x", method="POST")
    with pytest.raises(urllib.error.HTTPError, match="405"):
        urllib.request.urlopen(request, timeout=10)


def test_readers_that_never_read_cost_calls_nothing(page: Page) -> None:
    server, client = page
    host, _, port = page_address(server).rpartition(":")
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        began = time.monotonic()
        for n in range(50):
            assert client.run(f"pub fn main() {{ {n} }}").value == n
        assert time.monotonic() - began < 30
    # They are gone, or given up.
    end = time.monotonic() + 15
    while True:
        try:
            assert "crucible_uptime_seconds" in read_page(server)
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.2)


def test_readers_that_are_slow_do_not_hold_the_page(page: Page) -> None:
    """As many as it answers at once, each of which says a byte now and then: they have so long and no longer."""
    server, _ = page
    host, port = page_address(server).split(":")
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(8)]
        for reader in slow:
            reader.sendall(b"GET /metrics HTTP/1.0\r\nx: ")
        until = time.monotonic() + 25
        answers: list[str] = []
        while not answers and time.monotonic() < until:
            for reader in slow:
                with suppress(OSError):
                    reader.sendall(b"y")
            with suppress(OSError):
                answers.append(read_page(server))
            time.sleep(0.5)
        assert answers, "they hold it"
        assert "crucible_uptime_seconds" in answers[0]
        # Cut, not answered.
        slow[0].settimeout(10)
        with suppress(ConnectionResetError):
            assert slow[0].recv(1) == b""


def test_a_port_that_is_taken_is_told(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError) as raised:
            start_server(**telemetry(metrics_listen=f"127.0.0.1:{port}"))
    assert f"cannot listen on 127.0.0.1:{port} for the page of metrics" in str(raised.value)
    assert "telemetry.metrics_listen" in str(raised.value)


def test_both_ports_close_with_the_server(page: Page) -> None:
    server, _ = page
    address = page_address(server)
    assert read_page(server)
    assert server.terminate() == 0
    host, _, port = address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
