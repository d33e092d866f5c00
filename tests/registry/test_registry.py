"""RegistryService of a real server: leases, health, watches, and what it refuses."""

from __future__ import annotations

import http.server
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

import crucible
from crucible.v1 import event_pb2, registry_pb2
from crucible.v1 import registry_service_pb2 as pb
from crucible.v1.registry_service_pb2_grpc import RegistryServiceStub
from tests.servers import RunningServer

FAST = {
    "CRUCIBLE_ENGINE__HEALTH_CHECK__INTERVAL": "1s",
    # At most the interval; whoever stands still for that long three times in a row is told as not well.
    "CRUCIBLE_ENGINE__HEALTH_CHECK__TIMEOUT": "1s",
    "CRUCIBLE_ENGINE__HEALTH_CHECK__FAILURE_THRESHOLD": "3",
    "CRUCIBLE_ENGINE__HEALTH_CHECK__SUCCESS_THRESHOLD": "2",
}
ONCE = {
    "CRUCIBLE_ENGINE__HEALTH_CHECK__INTERVAL": "30s",
    "CRUCIBLE_ENGINE__HEALTH_CHECK__TIMEOUT": "30s",
    "CRUCIBLE_ENGINE__HEALTH_CHECK__FAILURE_THRESHOLD": "1",
}
"""Settings with which the first check decides, however long it takes."""
PATIENCE = 60.0


@dataclass
class Web:
    """A service that answers what it is told to, and notes what it was asked."""

    status: int = 200
    asked: list[str] = field(default_factory=list)
    port: int = 0
    location: str = ""
    delay: float = 0


@pytest.fixture
def web() -> Iterator[Web]:
    """A service on loopback."""
    web = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append(self.path)
            time.sleep(web.delay)
            self.send_response(web.status)
            if web.location:
                self.send_header("location", web.location)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        web.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield web
        server.shutdown()
        thread.join()


def allowing(*entries: str) -> dict[str, str]:
    """Settings of a server that may ask these, often."""
    listed = ", ".join(f'"{entry}"' for entry in entries)
    return {**FAST, "CRUCIBLE_ENGINE__HEALTH_CHECK__ALLOW": f"[{listed}]"}


def until(client: crucible.Client, kind: str, statuses: list[str]) -> None:
    """Waits until the services of a type are so."""
    end = time.monotonic() + PATIENCE
    while (found := [service.status for service in client.services(kind)]) != statuses:
        assert time.monotonic() < end, found
        time.sleep(0.05)


def ends_of_leases(client: crucible.Client) -> dict[str, datetime]:
    """Until when each server is known, by its address."""
    return {service.endpoint: service.lease_expire_time for service in client.services("ScriptEngine")}


def test_a_service_without_heartbeats_is_gone_and_that_is_told(client: crucible.Client) -> None:
    kind = uuid.uuid4().hex
    client.register_service(f"{kind}-dies", kind, "10.0.0.5:80", lease=60)
    # Long enough for heartbeats that come late.
    client.register_service(f"{kind}-lives", kind, "10.0.0.5:81", lease=6)
    with client.watch_services(kind) as watch, client.subscribe("service_unregistered") as told:
        changes = iter(watch)
        assert len(next(changes).services) == 2
        stop = threading.Event()

        def beat() -> None:
            # Where the test fails, the service or the client may be gone before this ends.
            with suppress(crucible.CrucibleError, ValueError):
                while not stop.wait(0.3):
                    client.heartbeat(f"{kind}-lives")

        beating = threading.Thread(target=beat, daemon=True)
        beating.start()
        # Now that it is watched: it may be seen once more, as what replaced it, or be gone before.
        client.register_service(f"{kind}-dies", kind, "10.0.0.5:80", lease=1)
        while not (change := next(changes)).removed:
            assert [service.service_id for service in change.services] == [f"{kind}-dies"]
        assert change == crucible.ServiceChange((), (f"{kind}-dies",))
        mine = (event.detail for event in told if kind in str(event.detail))
        gone = next(mine)
        assert isinstance(gone, event_pb2.ServiceUnregistered)
        assert (gone.service_id, gone.reason) == (f"{kind}-dies", "its lease expired")
        assert [service.service_id for service in client.services(kind)] == [f"{kind}-lives"]
        with pytest.raises(crucible.ServiceNotFound, match="register it again"):
            client.heartbeat(f"{kind}-dies")
        stop.set()
        beating.join()
        client.register_service(f"{kind}-lives", kind, "10.0.0.5:81", lease=1)
        assert next(change.removed for change in changes if change.removed) == (f"{kind}-lives",)


def test_a_registration_replaces_the_one_before(client: crucible.Client) -> None:
    name = uuid.uuid4().hex
    first = client.register_service(name, name, "10.0.0.5:80", metadata={"zone": "a"})
    second = client.register_service(name, name, "10.0.0.6:80", metadata={"zone": "b"})
    (found,) = client.services(name)
    assert found.endpoint == second.endpoint != first.endpoint
    assert found.metadata == {"zone": "b"}
    assert found.register_time == second.register_time
    client.unregister_service(name)


def test_lists_come_in_pages_and_by_what_they_are_filtered(client: crucible.Client) -> None:
    kind = uuid.uuid4().hex
    ids = [f"{kind}-{number}" for number in range(7)]
    for number, name in enumerate(ids):
        client.register_service(name, kind, "10.0.0.5:80", metadata={"odd": str(number % 2), "n": str(number)})
    assert [service.service_id for service in client.services(kind, page_size=2)] == ids
    assert [service.service_id for service in client.services(kind, metadata={"odd": "1"})] == ids[1::2]
    assert [service.service_id for service in client.services(kind, metadata={"odd": "1", "n": "3"})] == [ids[3]]
    for name in ids:
        client.unregister_service(name)


def test_large_services_are_told_in_messages_that_clients_take(tmp_path: Path) -> None:
    facts = {str(number): "x" * 1000 for number in range(16)}
    with RunningServer(tmp_path) as server, crucible.Client(server.address) as client:
        ids = [f"s-{number:03}" for number in range(300)]
        for name in ids:
            client.register_service(name, "Large", "10.0.0.5:80", metadata=facts, lease=600)
        # Of a raw channel with the limit of gRPC on what it takes.
        with grpc.insecure_channel(server.address) as channel:
            stub = RegistryServiceStub(channel)
            request = pb.DiscoverServicesRequest(filter={"service_type": "Large"}, page_size=1000)
            found: list[str] = []
            while True:
                page = stub.DiscoverServices(request)
                assert page.ByteSize() <= 2 * 1024 * 1024 + 1024
                found += [service.info.service_id for service in page.services]
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
            assert found == ids
            watched: list[str] = []
            for message in stub.WatchServices(pb.WatchServicesRequest(filter={"service_type": "Large"}), timeout=60):
                assert message.ByteSize() <= 2 * 1024 * 1024 + 1024
                watched += [service.info.service_id for service in message.services]
                if not message.more:
                    break
            assert watched == ids
        with client.watch_services("Large") as watch:
            assert [service.service_id for service in next(iter(watch)).services] == ids


def test_services_outlive_a_killed_server_and_get_time_to_find_the_next(tmp_path: Path) -> None:
    server = RunningServer(tmp_path).start()
    with crucible.Client(server.address) as client:
        client.register_service("web", "Web", "10.0.0.5:80", lease=5)
    server.kill()
    time.sleep(5.5)
    with RunningServer(tmp_path) as again, crucible.Client(again.address) as client:
        assert [service.service_id for service in client.services("Web")] == ["web"]
        # The run that was killed is still listed, until its lease ends; this one is there as well.
        own = {service.endpoint for service in client.services("ScriptEngine")}
        assert again.address in own
        until(client, "Web", [])


def test_health_is_asked_by_http_and_takes_its_thresholds(tmp_path: Path, web: Web) -> None:
    with (
        RunningServer(tmp_path, allowing(f"http://127.0.0.1:{web.port}")) as server,
        crucible.Client(server.address) as client,
    ):
        url = f"http://127.0.0.1:{web.port}/health?deep=1"
        service = client.register_service("web", "Web", f"127.0.0.1:{web.port}", health_check_url=url)
        assert service.status == "STARTING"
        until(client, "Web", ["HEALTHY"])
        assert len(web.asked) >= 2
        assert set(web.asked) == {"/health?deep=1"}
        web.status, before = 503, len(web.asked)
        until(client, "Web", ["UNHEALTHY"])
        assert len(web.asked) >= before + 3
        assert [each.service_id for each in client.services("Web", healthy_only=True)] == []
        web.status = 204
        until(client, "Web", ["HEALTHY"])
        told = [event.detail for event in client.events("health_status_changed")][::-1]
        mine = [each for each in told if isinstance(each, event_pb2.HealthStatusChanged) and each.service_id == "web"]
        assert [(each.previous_status, each.status) for each in mine] == [(4, 1), (1, 3), (3, 1)]
        assert [each.message for each in mine] == [
            "its health check answered 200",
            "its health check answered 503",
            "its health check answered 204",
        ]
        client.unregister_service("web")
        count = len(web.asked)
        # Of three more checks one may have been under way.
        time.sleep(3)
        assert len(web.asked) <= count + 1


def test_health_is_asked_by_grpc(tmp_path: Path) -> None:
    servicer = health.HealthServicer()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    servicer.set("a.B", health_pb2.HealthCheckResponse.SERVING)
    try:
        with (
            RunningServer(tmp_path, allowing(f"http://127.0.0.1:{port}")) as running,
            crucible.Client(running.address) as client,
        ):
            client.register_service("b", "Rpc", f"127.0.0.1:{port}", health_check_url=f"grpc://127.0.0.1:{port}/a.B")
            until(client, "Rpc", ["HEALTHY"])
            servicer.set("a.B", health_pb2.HealthCheckResponse.NOT_SERVING)
            until(client, "Rpc", ["UNHEALTHY"])
            servicer.set("a.B", health_pb2.HealthCheckResponse.SERVING)
            until(client, "Rpc", ["HEALTHY"])
            server.stop(0).wait()
            until(client, "Rpc", ["UNHEALTHY"])
            # A slow machine may not find out in time that nobody is there.
            message = next(client.services("Rpc")).status_message
            assert "UNAVAILABLE" in message or "DEADLINE_EXCEEDED" in message
    finally:
        server.stop(0).wait()


def test_what_does_not_answer_in_time_is_not_well(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(128)
        port = silent.getsockname()[1]
        with (
            RunningServer(tmp_path, allowing(f"http://127.0.0.1:{port}")) as server,
            crucible.Client(server.address) as client,
        ):
            for name, scheme in (("h", "http"), ("g", "grpc")):
                url = f"{scheme}://127.0.0.1:{port}"
                client.register_service(name, "Silent", f"127.0.0.1:{port}", health_check_url=url)
            until(client, "Silent", ["UNHEALTHY", "UNHEALTHY"])


def test_a_service_has_as_long_to_answer_as_it_asked_for(tmp_path: Path, web: Web) -> None:
    web.delay = 2.0
    with (
        RunningServer(tmp_path, allowing(f"http://127.0.0.1:{web.port}")) as server,
        crucible.Client(server.address) as client,
    ):
        url = f"http://127.0.0.1:{web.port}/"
        info = registry_pb2.ServiceInfo(service_id="s", service_type="Slow", endpoint="a:1", health_check_url=url)
        check = registry_pb2.HealthCheckConfig(
            interval={"seconds": 10}, timeout={"seconds": 8}, failure_threshold=1, success_threshold=1
        )
        client.registry_stub.RegisterService(pb.RegisterServiceRequest(service=info, health_check=check))
        # Longer than the server's own second.
        with client.watch_services("Slow") as watch:
            statuses = (each.status for change in watch for each in change.services)
            assert next(status for status in statuses if status != "STARTING") == "HEALTHY"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/",
        "http://[::1]:1/",
        "http://[::ffff:127.0.0.1]:1/",
        "http://localhost:1/",
        "http://0.0.0.0:1/",
        "grpc://127.0.0.1:1/x",
        "grpcs://127.0.0.1:1",
        "https://example.com/",
    ],
)
def test_nothing_is_asked_that_the_operator_has_not_listed(client: crucible.Client, url: str) -> None:
    with pytest.raises(crucible.SecurityViolation, match=r"engine\.health_check\.allow"):
        client.register_service("ssrf", "Ssrf", "10.0.0.5:80", health_check_url=url)
    assert list(client.services("Ssrf")) == []


def test_a_redirect_leads_nowhere_and_a_name_only_where_it_is_allowed_to(tmp_path: Path, web: Web) -> None:
    web.status, web.location = 302, f"http://127.0.0.1:{web.port}/secret"
    # A wildcard and an entry without a port do not reach into loopback, whatever the name resolves to.
    settings = {**allowing(f"http://127.0.0.1:{web.port}", "http://localhost"), **ONCE}
    with RunningServer(tmp_path, settings) as server, crucible.Client(server.address) as client:
        url = f"http://127.0.0.1:{web.port}/"
        client.register_service("a-redirects", "Web", "10.0.0.5:80", health_check_url=url)
        client.register_service("b-resolves", "Web", "10.0.0.5:80", health_check_url="http://localhost/")
        until(client, "Web", ["UNHEALTHY", "UNHEALTHY"])
        assert set(web.asked) == {"/"}
        messages = [service.status_message for service in client.services("Web")]
        # What a name leads to is not told to whoever registered it.
        assert messages == ["its health check answered 302", "its health check got no answer"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"service_id": ""}, "service.service_id"),
        ({"service_id": "a b"}, "service.service_id"),
        ({"service_id": "x" * 129}, "service.service_id"),
        ({"service_type": ""}, "service.service_type"),
        ({"version": "x" * 65}, "service.version"),
        ({"endpoint": ""}, "HOST:PORT"),
        ({"endpoint": "10.0.0.5"}, "HOST:PORT"),
        ({"endpoint": "10.0.0.5:0"}, "HOST:PORT"),
        ({"endpoint": "10.0.0.5:65536"}, "HOST:PORT"),
        ({"endpoint": "host:80\nx"}, "HOST:PORT"),
        ({"endpoint": "http://u:p@host/"}, "HOST:PORT"),
        ({"endpoint": "javascript://alert(1)"}, "HOST:PORT"),
        ({"endpoint": "file:///etc/passwd"}, "HOST:PORT"),
        ({"endpoint": "dns:javascript:alert(1)"}, "HOST:PORT"),
        ({"endpoint": "unix:/tmp/socket"}, "HOST:PORT"),
        ({"endpoint": "x" * 600 + ":80"}, "HOST:PORT"),
        ({"health_check_url": "ftp://host/"}, "service.health_check_url"),
        ({"health_check_url": "http://"}, "service.health_check_url"),
        ({"health_check_url": "http://u:p@host/"}, "service.health_check_url"),
        ({"health_check_url": "http://127.1/"}, "service.health_check_url"),
        ({"metadata": {str(n): "" for n in range(65)}}, "at most 64"),
        ({"metadata": {"x" * 65: ""}}, "1 to 64"),
        ({"metadata": {"": ""}}, "1 to 64"),
        ({"metadata": {"a": "x" * 1025}}, "at most 1024"),
        ({"metadata": {str(n): "x" * 1000 for n in range(17)}}, "at most 16384 bytes in all"),
    ],
)
def test_what_does_not_fit_is_refused(client: crucible.Client, changes: dict[str, Any], said: str) -> None:
    info = {"service_id": "bad", "service_type": "Bad", "endpoint": "10.0.0.5:80", **changes}
    request = pb.RegisterServiceRequest(service=registry_pb2.ServiceInfo(**info))
    with pytest.raises(grpc.RpcError) as raised:
        client.registry_stub.RegisterService(request)
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in error.details()
    assert list(client.services("Bad")) == []


@pytest.mark.parametrize(
    "endpoint",
    [
        "10.0.0.5:80",
        "[::1]:80",
        "https://example.com/api",
        "http://example.com",
        "grpc://example.com:50051",
        "grpcs://example.com",
        "dns:///example.com:50051",
        "dns://8.8.8.8/example.com:50051",
        "dns:example.com",
        "ipv4:10.0.0.5:50051",
        "ipv6:[2001:db8::1]:50051",
    ],
)
def test_a_service_is_reached_by_what_clients_dial(client: crucible.Client, endpoint: str) -> None:
    name = uuid.uuid4().hex
    assert client.register_service(name, name, endpoint).endpoint == endpoint
    client.unregister_service(name)


@pytest.mark.parametrize(("seconds", "nanos"), [(5, -5), (-5, 5), (5, 10**9), (5, -(10**9))])
def test_a_duration_that_is_none_is_refused(client: crucible.Client, seconds: int, nanos: int) -> None:
    request = pb.RegisterServiceRequest(service={"service_id": "bad", "service_type": "Bad", "endpoint": "a:1"})
    request.lease.seconds, request.lease.nanos = seconds, nanos
    with pytest.raises(grpc.RpcError) as raised:
        client.registry_stub.RegisterService(request)
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"nanos={nanos}" in error.details()


@pytest.mark.parametrize("seconds", [0, 0.5, 3601, -1, 1e9, 3e11])
def test_a_lease_is_a_second_at_least_and_an_hour_at_most(client: crucible.Client, seconds: float) -> None:
    with pytest.raises(crucible.ValidationError, match="lease: expected 1 to 3600 s"):
        client.register_service("bad", "Bad", "10.0.0.5:80", lease=seconds)


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"interval": {"seconds": 0}}, "health_check.interval"),
        ({"interval": {"seconds": 4000}}, "health_check.interval"),
        ({"interval": {"seconds": 5}, "timeout": {"seconds": 6}}, "health_check.timeout"),
        ({"timeout": {"seconds": 0}}, "health_check.timeout"),
        ({"failure_threshold": 101}, "health_check.failure_threshold"),
        ({"success_threshold": 101}, "health_check.success_threshold"),
        ({"failure_threshold": 1}, "with a service.health_check_url only"),
    ],
)
def test_health_checks_have_bounds(client: crucible.Client, check: dict[str, Any], said: str) -> None:
    info = registry_pb2.ServiceInfo(service_id="bad", service_type="Bad", endpoint="10.0.0.5:80")
    request = pb.RegisterServiceRequest(service=info, health_check=registry_pb2.HealthCheckConfig(**check))
    with pytest.raises(grpc.RpcError) as raised:
        client.registry_stub.RegisterService(request)
    error: Any = raised.value
    assert said in error.details()


def test_the_server_cannot_be_impersonated_nor_taken_away(client: crucible.Client) -> None:
    (own,) = client.services("ScriptEngine")
    with pytest.raises(crucible.ServiceExists):
        client.register_service(own.service_id, "ScriptEngine", "10.0.0.5:80")
    with pytest.raises(crucible.ServiceNotFound):
        client.unregister_service(own.service_id)
    with pytest.raises(crucible.ServiceNotFound):
        client.heartbeat(own.service_id)
    assert [service.service_id for service in client.services("ScriptEngine")] == [own.service_id]


def test_a_tenant_has_so_many_services_and_no_more(tmp_path: Path) -> None:
    settings = {"CRUCIBLE_ENGINE__DISCOVERY__MAX_SERVICES": "3"}
    with RunningServer(tmp_path, settings) as server, crucible.Client(server.address) as client:
        for number in range(3):
            client.register_service(f"s-{number}", "Web", "10.0.0.5:80")
        with pytest.raises(crucible.ResourceExceeded, match="max_services"):
            client.register_service("s-3", "Web", "10.0.0.5:80")
        client.register_service("s-2", "Web", "10.0.0.5:81")


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_a_server_that_listens_everywhere_is_known_by_the_name_of_its_machine(tmp_path: Path, host: str) -> None:
    settings = {"CRUCIBLE_ALLOW_INSECURE_LISTEN": "true"}
    with RunningServer(tmp_path, settings, listen=f"{host}:0") as server:
        port = server.address.rpartition(":")[2]
        with crucible.Client(f"localhost:{port}") as client:
            (own,) = client.services("ScriptEngine")
            assert own.endpoint == f"{socket.gethostname()}:{port}"
            assert own.health_check_url.startswith(f"grpc://{own.endpoint}/")


def test_a_service_that_is_not_checked_says_itself_how_it_is(client: crucible.Client) -> None:
    name = uuid.uuid4().hex
    client.register_service(name, name, "10.0.0.5:80")
    beat = pb.HeartbeatRequest(service_id=name, status="SERVICE_STATUS_DEGRADED", status_message="short of disk")
    with client.subscribe("health_status_changed") as told, client.watch_services(name) as watch:
        changes = iter(watch)
        assert next(changes).services[0].status == "HEALTHY"
        client.registry_stub.Heartbeat(beat)
        (service,) = next(changes).services
        assert (service.status, service.status_message) == ("DEGRADED", "short of disk")
        detail = next(event.detail for event in told if name in str(event.detail))
        assert isinstance(detail, event_pb2.HealthStatusChanged)
        assert (detail.previous_status, detail.status) == (1, 2)
    # One that says nothing of it is as it was.
    client.heartbeat(name)
    assert next(client.services(name)).status == "DEGRADED"
    for wrong in ({"status": 77}, {"status": 1, "status_message": "x" * 501}):
        with pytest.raises(grpc.RpcError) as raised:
            client.registry_stub.Heartbeat(pb.HeartbeatRequest(service_id=name, **wrong))
        error: Any = raised.value
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    client.unregister_service(name)


def test_others_know_that_a_server_is_not_well(tmp_path: Path) -> None:
    config = tmp_path / "member.toml"
    config.write_text("", "utf-8")
    with RunningServer(tmp_path / "hub") as hub, crucible.Client(hub.address) as client:
        settings = {
            "CRUCIBLE_ENGINE__DISCOVERY__ENDPOINTS": f'["{hub.address}"]',
            # It is told at once: nobody here waits until it is renewed.
            "CRUCIBLE_ENGINE__DISCOVERY__REFRESH_INTERVAL": "1800s",
            "CRUCIBLE_ENGINE__DISCOVERY__LEASE": "3600s",
        }
        with RunningServer(tmp_path / "member", settings, words=("--config", str(config))) as member:
            until(client, "ScriptEngine", ["HEALTHY", "HEALTHY"])
            # What the file says now is not valid: the server goes on, degraded.
            config.write_text("unknown_key = 1", "utf-8")
            end = time.monotonic() + PATIENCE
            while {each.endpoint: each.status for each in client.services("ScriptEngine")}[
                member.address
            ] != "DEGRADED":
                assert time.monotonic() < end
                time.sleep(0.1)
            config.write_text("", "utf-8")
            until(client, "ScriptEngine", ["HEALTHY", "HEALTHY"])


def test_a_server_makes_itself_known_at_others_and_takes_it_back(tmp_path: Path) -> None:
    with RunningServer(tmp_path / "hub") as hub, crucible.Client(hub.address) as client:
        settings = {
            "CRUCIBLE_ENGINE__DISCOVERY__ENDPOINTS": f'["{hub.address}", "127.0.0.1:1"]',
            "CRUCIBLE_ENGINE__DISCOVERY__REFRESH_INTERVAL": "500ms",
            "CRUCIBLE_ENGINE__DISCOVERY__LEASE": "4s",
        }
        member = RunningServer(tmp_path / "member", settings).start()
        until(client, "ScriptEngine", ["HEALTHY", "HEALTHY"])
        # Renewed when what it had at first was over.
        ends = ends_of_leases(client)
        assert set(ends) == {hub.address, member.address}
        over, end = ends[member.address] + timedelta(seconds=4), time.monotonic() + PATIENCE
        while ends_of_leases(client)[member.address] <= over:
            assert time.monotonic() < end
            time.sleep(0.1)
        member.terminate()
        assert any("registry_silent" in line and "127.0.0.1:1" in line for line in member.log)
        until(client, "ScriptEngine", ["HEALTHY"])
        told = [event.detail for event in client.events("service_unregistered")]
        assert isinstance(told[0], event_pb2.ServiceUnregistered)
        assert told[0].reason == "the server was stopped"
        # One that dies without a word is gone when its lease ends.
        member = RunningServer(tmp_path / "member", settings).start()
        until(client, "ScriptEngine", ["HEALTHY", "HEALTHY"])
        member.kill()
        until(client, "ScriptEngine", ["HEALTHY"])
