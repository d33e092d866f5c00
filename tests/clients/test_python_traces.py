"""The Python clients put their calls into the trace that is current, or into the one that they are given."""

from __future__ import annotations

import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import server_info_pb2
from tests.servers import RunningServer

WITHOUT_TELEMETRY = """
import sys
import crucible
with crucible.Client(sys.argv[1]) as client:
    print(client.with_metadata({"traceparent": sys.argv[2]}).run("pub fn main() { 1 }").value)
    print(client.run("pub fn main() { 2 }").value)
assert not any(name.startswith("opentelemetry") for name in sys.modules)
"""


def span_of(trace_id: str) -> trace.Span:
    """A span that is somewhere in this trace."""
    ids = SpanContext(int(trace_id, 16), secrets.randbits(63) + 1, is_remote=False, trace_flags=TraceFlags(1))
    return NonRecordingSpan(ids)


def parent(trace_id: str) -> str:
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


@pytest.fixture
def ids() -> list[str]:
    """Ids of traces that nobody else has."""
    return [secrets.token_hex(16) for _ in range(4)]


def traces(client: crucible.Client, kind: str) -> list[str]:
    """Of the events of a type, oldest first."""
    return [event.trace_id for event in client.events(kind)][::-1]


def test_the_nearest_to_the_call_counts(client: crucible.Client, ids: list[str]) -> None:
    """Its own metadata, then those of the client, then the current span; without any the server begins a trace."""
    kind = f"trace.test-{ids[0]}"
    requests = [crucible.events.emit_request([crucible.NewEvent(kind)]) for _ in range(2)]
    with use_span(span_of(ids[0])):
        client.emit(kind)
        given = client.with_metadata({"traceparent": parent(ids[1])})
        given.emit(kind)
        given.event_stub.Emit(requests[0], metadata=(("traceparent", parent(ids[2])),))
        given.with_metadata({"traceparent": parent(ids[3])}).emit(kind)
        given.event_stub.Emit.future(requests[1]).result()
        client.with_metadata({"x-of-mine": "1"}).emit(kind)
    client.emit(kind)
    *known, unknown = traces(client, kind)
    assert known == [ids[0], ids[1], ids[2], ids[3], ids[1], ids[0]]
    assert unknown not in ids


def test_streams_and_subscriptions_do_so_too(client: crucible.Client, ids: list[str]) -> None:
    with use_span(span_of(ids[0])):
        stream = client.stream("pub fn main() { println!(`x`) }")
        assert [piece.text for piece in stream] == ["x\n"]
        with client.subscribe(after=0) as subscription:
            assert any(event.trace_id == ids[0] for event, _ in zip(subscription, range(10_000), strict=False))


async def test_the_client_for_asyncio_does_so_too(
    server: RunningServer, client: crucible.Client, ids: list[str]
) -> None:
    kind = f"trace.test-{ids[0]}"
    async with crucible.AsyncClient(server.address) as other:
        with use_span(span_of(ids[0])):
            await other.emit(kind)
            given = other.with_metadata({"traceparent": parent(ids[1])})
            await given.emit(kind)
            assert [piece.text async for piece in given.stream("pub fn main() { println!(`x`) }")] == ["x\n"]
        assert isinstance(await given.server_info(), server_info_pb2.ServerInfo)
        await other.stub.HealthCheck(api.HealthCheckRequest(), timeout=20)
    assert traces(client, kind) == ids[:2]
    assert ids[1] in traces(client, "script_executed")


def test_without_telemetry_nothing_of_it_is_loaded(
    server: RunningServer, client: crucible.Client, ids: list[str]
) -> None:
    words = [sys.executable, "-c", WITHOUT_TELEMETRY, server.address, parent(ids[0])]
    done = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n2\n"), done.stderr
    assert traces(client, "script_executed").count(ids[0]) == 1
