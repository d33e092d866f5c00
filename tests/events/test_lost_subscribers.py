"""Subscribers that vanish while they are sent to are no errors of the server; whatever else gRPC says is kept."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack

import grpc
import pytest

import crucible
from crucible.v1 import event_service_pb2 as pb
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from crucible_server.cli.lost_peers import LOST_PEERS
from tests.conftest import StartServer
from tests.servers import RunningServer

SUBSCRIBERS = 20
PATIENCE = 30.0


class ExecuteBatchError(Exception):
    """As gRPC names it."""


def record(error: Exception) -> logging.LogRecord:
    """A line of gRPC about an error."""
    said = "ExecuteBatchError raised in core by servicer method [/a.B/C]"
    return logging.LogRecord("grpc", logging.ERROR, __file__, 1, said, (), (type(error), error, None))


def left(server: RunningServer) -> list[str]:
    """The lines on callers that left."""
    return [line for line in server.log if "caller_left" in line]


def vanish(address: str) -> None:
    """Subscribes many times, to be sent a lot, and goes away: half of them by an end of the call."""
    with ExitStack() as stack:
        for number in range(SUBSCRIBERS):
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = stack.enter_context(grpc.insecure_channel(address, options))
            call = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(after_sequence=0))
            assert next(iter(call)).started.subscription_id
            if number % 2:
                stack.callback(call.cancel)


def test_who_vanishes_makes_a_line_for_debugging_each(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_LOG_LEVEL="debug", CRUCIBLE_EVENTS__MAX_EMITTED_PER_MINUTE="1000000")
    with crucible.Client(server.address) as client:
        for _ in range(30):
            client.emit_all([crucible.NewEvent("a.b", b"x" * 2000)] * 100)
        until = time.monotonic() + PATIENCE
        # Not each of them leaves in the midst of a message.
        while not left(server) and time.monotonic() < until:
            vanish(server.address)
            time.sleep(0.3)
        assert client.run("pub fn main() { 1 }").value == 1
    server.terminate()
    assert left(server)
    assert "[/crucible.v1.EventService/Subscribe]" in left(server)[0]
    assert not [line for line in server.log if "[error" in line or "Traceback" in line or "execute_batch" in line]


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (ExecuteBatchError('Failed "execute_batch": (<SendMessageOperation object>,)'), False),
        (ExecuteBatchError("Failed grpc_call_start_batch: 8 with grpc_call_error value: 'TOO_MANY_OPERATIONS'"), True),
        (ValueError('Failed "execute_batch"'), True),
    ],
)
def test_other_errors_are_logged_as_they_are(error: Exception, is_kept: bool) -> None:
    assert LOST_PEERS.filter(record(error)) is is_kept
