"""A collector that is not there, never answers or talks nonsense costs no call anything."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

import crucible
from tests.conftest import StartServer
from tests.engine.processes import resident_bytes
from tests.servers import RunningServer
from tests.telemetry.collector import PATIENCE, Collector, HttpCollector
from tests.telemetry.settings import read_page, telemetry

CALLS = 400
DROPPED = {"error_type": "queue_full"}


@contextmanager
def listener(behave: Callable[[socket.socket], object]) -> Iterator[str]:
    """A TCP server that does this with each connection, and keeps it open; its address as an endpoint."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                connection.settimeout(1)
                kept.append(connection)
                with suppress(OSError):
                    behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stopped.set()
            thread.join(10)
            for connection in kept:
                connection.close()


def silent(_: socket.socket) -> None:
    """Takes connections and never says a word."""


def garbage(connection: socket.socket) -> None:
    """Answers with what is no HTTP/2, more than once."""
    connection.sendall(os.urandom(4096))
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


def hangs_up(connection: socket.socket) -> None:
    """Closes at once."""
    connection.close()


def never_ends(connection: socket.socket) -> None:
    """Takes what comes over HTTP, and answers without end."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2000):
        connection.sendall(bytes(1 << 20))


GRPC, HTTP = "grpc", "http/protobuf"
BEHAVIOURS = {"silent": silent, "garbage": garbage, "hangs_up": hangs_up}


@pytest.fixture(
    params=[(protocol, behaviour) for protocol in (GRPC, HTTP) for behaviour in ("unreachable", *BEHAVIOURS)],
    ids="-".join,
)
def collector(request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The keys of a collector that is bad."""
    protocol, behaviour = request.param
    if behaviour == "unreachable":
        # Bound and not listening: nobody else gets the port meanwhile.
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            yield {"otlp_protocol": protocol, "otlp_endpoint": f"http://127.0.0.1:{held.getsockname()[1]}"}
        return
    with listener(BEHAVIOURS[behaviour]) as address:
        yield {"otlp_protocol": protocol, "otlp_endpoint": address}


def sample(server: RunningServer, name: str, **labels: str) -> float:
    """A figure of the page; 0 when it is not there yet."""
    for family in text_string_to_metric_families(read_page(server)):
        for each in family.samples:
            if each.name == name and labels.items() <= each.labels.items():
                return float(each.value)
    return 0.0


def test_calls_go_on_and_dropped_spans_are_counted(collector: dict[str, str], start_server: StartServer) -> None:
    server = start_server(
        **telemetry(
            **collector,
            metrics_listen="127.0.0.1:0",
            max_queued_spans=512,
            # Of 512 spans each: a server that is slow must not be rid of them as fast as it makes them.
            export_timeout="10s",
            metrics_interval="1s",
        )
    )
    with crucible.Client(server.address) as client:
        script = client.compile("pub fn main(n) { n + 1 }")
        for n in range(CALLS):
            assert client.run(script, args={"n": n}).value == n + 1
        end = time.monotonic() + PATIENCE
        # The last is counted a moment after its answer.
        while (ended := sample(server, "crucible_execution_duration_seconds_count")) != CALLS:
            assert time.monotonic() < end, f"{ended} of {CALLS} are counted"
            time.sleep(0.05)
        # Nine spans a call: far more than the queue holds and an export every ten seconds takes away.
        dropped = sample(server, "otel_sdk_processor_span_processed_total", **DROPPED)
        taken = sample(server, "otel_sdk_processor_span_processed_total") - dropped
        assert dropped > 0
        assert dropped + taken <= 9 * CALLS + 10
        assert client.health().details["active_executions"].int_value == 0
    began = time.monotonic()
    assert server.terminate() == 0
    assert time.monotonic() - began < 8, "a collector that does not answer holds up the stop"


def test_an_answer_without_end_is_not_read(start_server: StartServer) -> None:
    with listener(never_ends) as endpoint:
        keys = telemetry(otlp_protocol=HTTP, otlp_endpoint=endpoint, export_timeout="5s", metrics_interval="500ms")
        server = start_server(**keys)
        before = resident_bytes(server.pid)
        with crucible.Client(server.address) as client:
            end = time.monotonic() + 5
            while time.monotonic() < end:
                assert client.run("pub fn main() { 1 }").value == 1
                time.sleep(0.1)
        assert resident_bytes(server.pid) - before < 200 << 20


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
@pytest.mark.parametrize("protocol", [GRPC, HTTP])
def test_a_collector_has_to_be_who_it_says(protocol: str, start_server: StartServer, tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words.split(), *files], check=True, capture_output=True, timeout=60)
    running: Collector | HttpCollector
    if protocol == GRPC:
        running = Collector(grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())]))
    else:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        running = HttpCollector(tls)
    with running as collector:
        keys = {"otlp_protocol": protocol, "otlp_endpoint": collector.endpoint, "export_timeout": "2s"}
        stranger = start_server(tmp_path / "stranger", **telemetry(**keys))
        # What the machine trusts besides does not replace what is configured.
        usual = {"REQUESTS_CA_BUNDLE": certifi.where()}
        trusting = start_server(tmp_path / "trusting", **telemetry(**keys, otlp_ca_file=str(certificate)), **usual)
        for server in (stranger, trusting):
            with crucible.Client(server.address) as client:
                assert client.run("pub fn main() { 1 }").value == 1
        (instance,) = {span.resource["service.instance.id"] for span in collector.trace("execute")}
        assert stranger.terminate() == 0
        assert {span.resource["service.instance.id"] for span in collector.spans} == {instance}


def test_a_silent_collector_slows_no_call(tmp_path: Path) -> None:
    with (
        listener(silent) as endpoint,
        RunningServer(
            tmp_path / "with", telemetry(otlp_endpoint=endpoint, export_timeout="1s", max_queued_spans=512)
        ) as slow,
        RunningServer(tmp_path / "without", telemetry(metrics_listen="127.0.0.1:0")) as plain,
        crucible.Client(slow.address) as traced,
        crucible.Client(plain.address) as untraced,
    ):
        clients = (traced, untraced)
        scripts = [client.compile("pub fn main(n) { n + 1 }") for client in clients]
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(20):
            # By turns, so that both see the same moods of the machine.
            for client, script, kept in zip(clients, scripts, seconds, strict=True):
                for n in range(20):
                    began = time.perf_counter()
                    client.run(script, args={"n": n})
                    kept.append(time.perf_counter() - began)
        # Making the spans costs a little; waiting for a collector would cost a second, whenever 512 spans are there to
        # be sent. A server that stands still twice meanwhile is none that waits.
        with_it, without = map(sorted, seconds)
        assert statistics.median(with_it) < max(0.03, 3 * statistics.median(without))
        assert with_it[-3] < max(0.5, 5 * without[-3])
