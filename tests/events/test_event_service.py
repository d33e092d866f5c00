"""EventService of a real server: what it refuses, what it tells, what it keeps."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

import crucible
from crucible.v1 import config_service_pb2, event_pb2, execution_pb2, script_pb2, script_service_pb2, value_pb2
from crucible.v1 import event_service_pb2 as pb
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.conftest import StartServer
from tests.servers import RunningServer

PATIENCE = 60.0
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = (("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"),)


@pytest.fixture
def stub(server: RunningServer) -> Iterator[EventServiceStub]:
    """The events of the shared server."""
    with grpc.insecure_channel(server.address) as channel:
        yield EventServiceStub(channel)


def refusal(call: Any) -> tuple[grpc.StatusCode, str, str, dict[str, str]]:
    """Code, reason, text and metadata of the error that a call ends with."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    details = next(value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    packed: AnyMessage = status_pb2.Status.FromString(details).details[0]
    assert packed.Unpack(info)
    return error.code(), info.reason, error.details(), dict(info.metadata)


def first(stub: EventServiceStub, request: pb.SubscribeRequest) -> pb.SubscribeResponse:
    """The first message of a subscription."""
    message: pb.SubscribeResponse = next(iter(stub.Subscribe(request)))
    return message


def deep(levels: int) -> value_pb2.Value:
    """A value in a value in a value."""
    value = value_pb2.Value(int_value=1)
    for _ in range(levels - 1):
        value = value_pb2.Value(list_value=value_pb2.ListValue(values=[value]))
    return value


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (pb.NewEvent(type="script_executed"), "the server's to emit"),
        (pb.NewEvent(type="custom"), "dots divide"),
        (pb.NewEvent(type=""), "dots divide"),
        (pb.NewEvent(type="Acme.x"), "dots divide"),
        (pb.NewEvent(type=".x"), "dots divide"),
        (pb.NewEvent(type="a.b", event_id="evt-17"), "not `evt-` and a number"),
        (pb.NewEvent(type="a.b", event_id="with space"), "letters, digits"),
        (pb.NewEvent(type="a.b", event_id="x" * 129), "1 to 128"),
        (pb.NewEvent(type="a.b", script_id="x" * 257), "at most 256"),
        (pb.NewEvent(type="a.b", data=value_pb2.Value(string_value="x" * 70_000)), "at most 65536 bytes"),
        (pb.NewEvent(type="a.b", data=value_pb2.Value()), "data"),
        (pb.NewEvent(type="a.b", data=deep(33)), "32"),
    ],
)
def test_what_does_not_fit_is_not_stored(stub: EventServiceStub, event: pb.NewEvent, said: str) -> None:
    good = pb.NewEvent(type=f"test.{uuid.uuid4().hex}")
    code, reason, text, _ = refusal(lambda: stub.Emit(pb.EmitRequest(events=[good, event])))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "VALIDATION_ERROR")
    assert "events[1]" in text
    assert said in text
    # All or none.
    assert not stub.ListEvents(pb.ListEventsRequest(filter=event_pb2.EventFilter(types=[good.type]))).events


def test_a_request_holds_1_to_100_events(stub: EventServiceStub) -> None:
    for count in (0, 101):
        request = pb.EmitRequest(events=[pb.NewEvent(type="a.b")] * count)
        assert "1 to 100" in refusal(lambda request=request: stub.Emit(request))[2]


def test_what_the_server_says_of_an_event_cannot_be_forged(stub: EventServiceStub) -> None:
    """Whatever a client puts into its event, source, principal, kind and time are the server's."""
    kind = f"test.{uuid.uuid4().hex}"
    forged = event_pb2.Event(principal="admin", source="server/0000", type="script_executed", sequence=1)
    forged.script_executed.success = True
    request = pb.EmitRequest(
        events=[pb.NewEvent(type=kind, data=value_pb2.Value(bytes_value=forged.SerializeToString()))]
    )
    # Fields that the request does not have are not taken over from unknown ones either.
    raw = request.SerializeToString()
    sneaked = pb.EmitRequest.FromString(raw)
    sneaked.events[0].MergeFromString(bytes([0xA2, 0x01, 0x02, 0x10, 0x01]))
    (stored,) = stub.Emit(sneaked, metadata=TRACEPARENT).events
    (event,) = stub.ListEvents(pb.ListEventsRequest(filter=event_pb2.EventFilter(types=[kind]))).events
    assert event.WhichOneof("kind") == "custom"
    assert (event.type, event.source, event.principal) == (kind, "client/local", "local")
    assert (event.sequence, event.trace_id) == (stored.sequence, TRACE)
    assert abs(event.time.ToNanoseconds() - time.time_ns()) < 60 * 10**9


def test_an_execution_bears_the_trace_of_its_call(server: RunningServer, stub: EventServiceStub) -> None:
    source = script_pb2.ScriptSource(source=f"/// {uuid.uuid4().hex}\npub fn main() {{ 1 }}")
    with grpc.insecure_channel(server.address) as channel:
        request = script_service_pb2.ExecuteScriptRequest(context=execution_pb2.ExecutionContext(source=source))
        result = ScriptServiceStub(channel).ExecuteScript(request, metadata=TRACEPARENT).result
    events = stub.ListEvents(pb.ListEventsRequest(filter=event_pb2.EventFilter(script_id=result.script_id))).events
    assert {event.type for event in events} == {
        "script_compiled",
        "script_cached",
        "execution_started",
        "script_executed",
    }
    assert {event.trace_id for event in events} == {TRACE}


def test_the_first_message_carries_the_subscription_id(stub: EventServiceStub) -> None:
    # Of nothing that another test may bring about, such as the end of a lease.
    wanted = event_pb2.EventFilter(types=[f"test.{uuid.uuid4().hex}"])
    call = stub.Subscribe(pb.SubscribeRequest(filter=wanted))
    started = next(iter(call)).started
    assert started.subscription_id.startswith("sub-")
    assert started.after_sequence == started.last_sequence
    assert 1 <= started.oldest_sequence <= started.last_sequence + 1
    stub.Unsubscribe(pb.UnsubscribeRequest(subscription_id=started.subscription_id))
    assert {message.WhichOneof("message") for message in call} <= {"bookmark"}
    for wrong in ("", started.subscription_id, "sub-0"):
        code, *_ = refusal(lambda wrong=wrong: stub.Unsubscribe(pb.UnsubscribeRequest(subscription_id=wrong)))
        assert code is (grpc.StatusCode.NOT_FOUND if wrong else grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (event_pb2.EventFilter(types=["script_compild"]), "did you mean 'script_compiled'"),
        (event_pb2.EventFilter(types=["nothing_like_it_at_all"]), "expected one of"),
        (event_pb2.EventFilter(types=[""]), "expected one of"),
        (event_pb2.EventFilter(types=["a.b"] * 65), "at most 64"),
        (event_pb2.EventFilter(script_id="x" * 257), "at most 256"),
        (event_pb2.EventFilter(principal="x" * 257), "at most 256"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(
    stub: EventServiceStub, wanted: event_pb2.EventFilter, said: str
) -> None:
    for call in (
        lambda: first(stub, pb.SubscribeRequest(filter=wanted)),
        lambda: stub.ListEvents(pb.ListEventsRequest(filter=wanted)),
    ):
        code, _, text, _ = refusal(call)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert said in text


def test_an_event_that_is_yet_to_come_is_no_place_to_resume_from(stub: EventServiceStub) -> None:
    for after in (10**12, 2**64 - 1):
        code, _, text, _ = refusal(
            lambda after=after: next(iter(stub.Subscribe(pb.SubscribeRequest(after_sequence=after))))
        )
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "another server" in text


def test_what_is_kept_no_longer_is_named(start_server: StartServer) -> None:
    # Looked after every three seconds, and long enough for what is asked meanwhile.
    server = start_server(CRUCIBLE_EVENTS__MAX_STORED="10", CRUCIBLE_EVENTS__RETENTION="30s")
    with crucible.Client(server.address) as client:
        for _ in range(3):
            sent = client.emit_all([crucible.NewEvent("a.b")] * 10)
        stub = client.event_stub
        until = time.monotonic() + PATIENCE
        while len(list(client.events())) > 10 and time.monotonic() < until:
            time.sleep(0.05)
        oldest = list(client.events())[-1].sequence
        assert oldest > 1
        code, reason, text, metadata = refusal(lambda: first(stub, pb.SubscribeRequest(after_sequence=1)))
        assert (code, reason) == (grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EXPIRED")
        assert str(oldest) in text
        assert int(metadata["oldest_sequence"]) == oldest
        with pytest.raises(crucible.EventsExpired):
            client.subscribe(after=1)
        with client.subscribe("a.b", after=oldest - 1) as subscription:
            assert next(iter(subscription)).sequence == oldest
    server.terminate()
    # By age: in the end nothing is left, and the last place is still one to resume from.
    with crucible.Client(start_server(CRUCIBLE_EVENTS__RETENTION="1s").address) as client:
        until = time.monotonic() + PATIENCE
        while list(client.events()) and time.monotonic() < until:
            time.sleep(0.1)
        assert list(client.events()) == []
        last = first(client.event_stub, pb.SubscribeRequest()).started.last_sequence
        assert last >= sent[-1].sequence
        client.subscribe(after=last).close()


def test_emitting_too_much_is_refused_with_a_time_to_retry(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_EVENTS__MAX_EMITTED_PER_MINUTE="50")
    with crucible.Client(server.address) as client:
        client.emit_all([crucible.NewEvent("a.b")] * 50)
        with pytest.raises(crucible.ResourceExceeded) as raised:
            client.emit_all([crucible.NewEvent("a.b")] * 10)
        assert raised.value.retry_after is not None
        assert 5 < raised.value.retry_after <= 12
        assert len(list(client.events("a.b"))) == 50


def test_what_the_engine_does_is_told(start_server: StartServer) -> None:
    # Looked at less often than usual: one that is slow for a moment would be told as degraded.
    patient = {"CRUCIBLE_ENGINE__HEALTH_CHECK__INTERVAL": "60s", "CRUCIBLE_ENGINE__HEALTH_CHECK__TIMEOUT": "60s"}
    server = start_server(CRUCIBLE_ENGINE__MAX_CACHE_SIZE="1", **patient)
    with crucible.Client(server.address) as client:
        client.compile("pub fn main() { 1 }")
        endless = client.compile("pub fn main() { loop {} }")
        with pytest.raises(crucible.CompilationError):
            client.compile("use crucible::http; pub fn main() { http::get(`http://x`) }")
        with pytest.raises(crucible.SecurityViolation):
            client.run("pub fn main() {}", level="development")
        stream = client.stream(endless, check=False)
        while not list(client.events("execution_started")):
            time.sleep(0.02)
        client.cancel(stream.execution_id, reason="enough")
        assert list(stream) == []
        client.stub.Stop(script_service_pb2.StopRequest())
        client.stub.Start(script_service_pb2.StartRequest())
        until = time.monotonic() + PATIENCE
        while len(list(client.events("health_status_changed"))) < 4 and time.monotonic() < until:
            time.sleep(0.05)
        told = [(event.type, event.detail) for event in client.events()][::-1]
    kinds = [name for name, _ in told]
    assert kinds.count("script_compiled") == 3
    assert kinds.count("script_evicted") == 1
    (cancelled,) = (detail for name, detail in told if name == "execution_cancelled")
    assert isinstance(cancelled, event_pb2.ExecutionCancelled)
    assert "enough" in cancelled.reason
    (executed,) = (detail for name, detail in told if name == "script_executed")
    assert isinstance(executed, event_pb2.ScriptExecuted)
    assert not executed.success
    assert kinds.index("execution_cancelled") < kinds.index("script_executed")
    subjects = [detail.subject for _, detail in told if isinstance(detail, event_pb2.SecurityViolation)]
    assert subjects == ["compilation", "request"]
    states = [detail.status for _, detail in told if isinstance(detail, event_pb2.HealthStatusChanged)]
    assert states == [1, 5, 6, 1]


def test_every_request_that_is_not_permitted_is_told_but_not_without_end(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:

        def violations() -> list[event_pb2.SecurityViolation]:
            found = (event.detail for event in client.events("security_violation", page_size=1000))
            return [detail for detail in found if isinstance(detail, event_pb2.SecurityViolation)][::-1]

        with pytest.raises(crucible.SecurityViolation):
            client.register_service("x", "X", "a:1", health_check_url="http://169.254.169.254/latest")
        code, *_ = refusal(
            lambda: client.config_stub.UpdateConfig(
                config_service_pb2.UpdateConfigRequest(values={"data_dir": value_pb2.Value(string_value="/tmp")})
            )
        )
        assert code is grpc.StatusCode.PERMISSION_DENIED
        with pytest.raises(crucible.SecurityViolation):
            client.run("pub fn main() {}", level="development")
        until = time.monotonic() + PATIENCE
        while len(violations()) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        told = violations()
        assert [each.subject for each in told] == ["request"] * 3
        assert "169.254.169.254" in told[0].message
        assert "data_dir" in told[1].message
        assert [each.security_level for each in told] == [0, 0, 2]
        for _ in range(300):
            with pytest.raises(crucible.SecurityViolation):
                client.register_service("x", "X", "a:1", health_check_url="http://169.254.169.254/latest")
        until = time.monotonic() + PATIENCE
        while len(violations()) <= 30 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.5)
        assert 30 < len(violations()) < 120


def test_executions_that_a_killed_server_left_are_told_by_the_next(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        stream = client.stream("pub fn main() { loop {} }", detached=True, execution_id="lost")
        while not list(client.events("execution_started")):
            time.sleep(0.02)
        stream.close()
    server.kill()
    with crucible.Client(start_server().address) as client:
        (event,) = client.events("script_executed")
    assert event.execution_id == "lost"
    assert isinstance(event.detail, event_pb2.ScriptExecuted)
    assert (event.detail.success, event.detail.state) == (False, 6)
