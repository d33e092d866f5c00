"""What the Python client, synchronous, does with events and with registered services of a real server."""

from __future__ import annotations

import itertools
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import crucible
from crucible.v1 import event_pb2
from tests.servers import RunningServer


@pytest.fixture
def kind() -> str:
    """A type of events that no other test has."""
    return f"test.{uuid.uuid4().hex}"


def test_what_is_emitted_is_delivered_with_its_data(client: crucible.Client, kind: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    data = {"list": [1, 1.0, None, b"\xff", 2**64 - 1]}
    first = client.emit(kind, data, script_id="s1", execution_id="e1")
    assert not first.existed
    with client.subscribe(kind, after=first.sequence - 1) as subscription:
        event = next(iter(subscription))
    assert repr(event.data) == repr(data)
    assert (event.sequence, event.event_id, event.type) == (first.sequence, first.event_id, kind)
    assert (event.source, event.principal, event.script_id, event.execution_id) == ("client/local", "local", "s1", "e1")
    assert before < event.time <= datetime.now(UTC)
    assert [each.sequence for each in client.events(kind)] == [first.sequence]


def test_the_same_event_is_stored_once(client: crucible.Client, kind: str) -> None:
    name = uuid.uuid4().hex
    first = client.emit(kind, 1, event_id=name)
    again = client.emit(kind, 1, event_id=name)
    assert (again.sequence, again.existed) == (first.sequence, True)
    with pytest.raises(crucible.EventExists):
        client.emit(kind, 2, event_id=name)
    with pytest.raises(crucible.EventExists):
        client.emit_all([crucible.NewEvent(kind), crucible.NewEvent(kind, 3, name)])
    assert len(list(client.events(kind))) == 1


def test_the_life_of_a_script_is_told(client: crucible.Client) -> None:
    source = f"/// {uuid.uuid4().hex}\npub fn main() {{ 1 }}"
    with client.subscribe() as everything:
        script = client.compile(source)
        client.run(script)
        mine = (event for event in everything if event.script_id == script.script_id)
        told = list(itertools.islice(mine, 4))
    assert [event.type for event in told] == [
        "script_compiled",
        "script_cached",
        "execution_started",
        "script_executed",
    ]
    compiled, _, started, executed = (event.detail for event in told)
    assert isinstance(compiled, event_pb2.ScriptCompiled)
    assert compiled.success
    assert isinstance(started, event_pb2.ExecutionStarted)
    assert isinstance(executed, event_pb2.ScriptExecuted)
    assert executed.success
    assert executed.execution_id == started.execution_id
    assert executed.resource_usage.operations_count > 0
    only = [event.type for event in client.events(["script_compiled", "script_executed"], script_id=script.script_id)]
    assert only == ["script_executed", "script_compiled"]


def test_lists_come_in_pages_and_by_time(client: crucible.Client, kind: str) -> None:
    sequences = [client.emit(kind, number).sequence for number in range(7)]
    assert [event.sequence for event in client.events(kind, page_size=2)] == sequences[::-1]
    times = [event.time for event in client.events(kind)]
    assert all(event.time >= times[3] for event in client.events(kind, created_after=times[3]))
    assert [event.data for event in client.events(kind, created_before=times[-1] - timedelta(seconds=1))] == []


def test_a_subscription_can_be_ended_from_elsewhere(client: crucible.Client, kind: str) -> None:
    subscription = client.subscribe(kind, after=client.emit(kind).sequence - 1)
    events = iter(subscription)
    next(events)
    client.unsubscribe(subscription.subscription_id)
    assert list(events) == []
    with pytest.raises(crucible.SubscriptionNotFound):
        client.unsubscribe(subscription.subscription_id)


def test_a_subscription_survives_a_killed_server(tmp_path: Path, kind: str) -> None:
    server = RunningServer(tmp_path).start()
    with crucible.Client(server.address) as client, client.subscribe(kind, after=0, resume=30) as subscription:
        sent = [client.emit(kind, number).sequence for number in range(5)]
        events = iter(subscription)
        got = [next(events).sequence for _ in range(3)]
        server.kill()
        with RunningServer(tmp_path, listen=server.address):
            sent += [client.emit(kind, number).sequence for number in range(5, 8)]
            got += [next(events).sequence for _ in range(5)]
        assert got == sent


def test_what_cannot_be_emitted_or_asked_for_is_refused(client: crucible.Client) -> None:
    for wrong in ("script_compiled", "nodot", "Upper.case", "a..b", "x" * 127 + ".y", ""):
        with pytest.raises(crucible.ValidationError, match="type"):
            client.emit(wrong)
    with pytest.raises(crucible.ValidationError, match="did you mean 'script_compiled'"):
        next(iter(client.subscribe("script_compild")))
    with pytest.raises(crucible.ValidationError, match="another server"):
        next(iter(client.subscribe(after=10**15)))


def test_services_are_registered_found_and_taken_back(client: crucible.Client) -> None:
    name = f"s-{uuid.uuid4().hex}"
    service = client.register_service(name, "Web", "10.0.0.5:80", version="1", metadata={"zone": "a"}, lease=30)
    assert (service.service_id, service.status, service.lease, service.principal) == (name, "HEALTHY", 30, "local")
    assert client.heartbeat(name) > service.lease_expire_time
    assert [each.service_id for each in client.services("Web", metadata={"zone": "a"}, healthy_only=True)] == [name]
    assert list(client.services("Web", metadata={"zone": "b"})) == []
    assert [each.principal for each in client.services("ScriptEngine")] == [""]
    client.unregister_service(name, reason="done")
    assert list(client.services("Web")) == []
    with pytest.raises(crucible.ServiceNotFound):
        client.heartbeat(name)
    told = [event.detail for event in client.events(["service_registered", "service_unregistered"])]
    ended = next(each for each in told if isinstance(each, event_pb2.ServiceUnregistered) and each.service_id == name)
    assert ended.reason == "done"


def test_services_are_watched(client: crucible.Client) -> None:
    kind = uuid.uuid4().hex
    with client.watch_services(kind) as watch:
        changes = iter(watch)
        assert next(changes) == crucible.ServiceChange((), ())
        timer = threading.Timer(0.2, lambda: client.register_service(f"{kind}-1", kind, "10.0.0.5:80"))
        timer.start()
        assert [each.service_id for each in next(changes).services] == [f"{kind}-1"]
        timer.join()
        client.unregister_service(f"{kind}-1")
        assert next(changes).removed == (f"{kind}-1",)
