"""Who may call what: every RPC that a server offers is in the table of docs/access.md, and behaves as it says there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from crucible.v1 import script_service_pb2 as api
from crucible_server.api.reflection import REFLECTION_SERVICES, load_index, message_classes
from tests.servers import RunningServer, own_address

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "access.md").read_text("utf-8")
WHO = dict(re.findall(r"^\| `([\w.]+/\w+)` \| (\w+) \|", TEXT, re.MULTILINE))
REQUEST, RESPONSE = message_classes(load_index())
STOP = "crucible.v1.ScriptService/Stop"
# A stream that has nothing to tell by then is open: it is not refused. Who is refused is told at once, but by a machine
# that may be busy.
PATIENCE = 20.0


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that others than this machine may reach."""
    place = tmp_path_factory.mktemp("open")
    with RunningServer(place, listen="0.0.0.0:0", words=("--allow-insecure-listen",)) as running:
        yield running


def channel_of(server: RunningServer, host: str) -> grpc.Channel:
    """A connection to the server by one of the machine's addresses."""
    return grpc.insecure_channel(f"{host}:{server.address.rpartition(':')[2]}")


def offered(channel: grpc.Channel) -> list[str]:
    """Every RPC that the server offers, as it says itself."""

    def ask(**request: str) -> Any:
        call = channel.stream_stream(f"/{REFLECTION_SERVICES[0]}/ServerReflectionInfo", None, RESPONSE.FromString)
        (reply,) = call(iter([REQUEST(**request).SerializeToString()]), timeout=20)
        return reply

    found = []
    for service in ask(list_services="").list_services_response.service:
        for content in ask(file_containing_symbol=service.name).file_descriptor_response.file_descriptor_proto:
            file = FileDescriptorProto.FromString(content)
            for each in file.service:
                if f"{file.package}.{each.name}" == service.name:
                    found += [f"{service.name}/{method.name}" for method in each.method]
    return found


def outcome(channel: grpc.Channel, method: str, request: bytes = b"") -> grpc.RpcError | None:
    """How a call with this request ends, or None when it is answered; the first message of a stream decides."""
    # On the wire a call with one message each way is a stream with one.
    call: Any = channel.stream_stream(f"/{method}", None, None)(iter([request]), timeout=PATIENCE)
    try:
        next(call)
    except StopIteration:
        return None
    except grpc.RpcError as error:
        return error
    call.cancel()
    return None


def who_is_refused(error: grpc.RpcError | None) -> str:
    """Of whom a call that ends like this is none: `user` when it is for operators, `nobody` when all may call it."""
    if error is None:
        return "nobody"
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return "everybody"
    is_denied = error.code() is grpc.StatusCode.PERMISSION_DENIED and "operator" in (error.details() or "")
    return "user" if is_denied else "nobody"


def test_every_call_is_in_the_table(open_server: RunningServer) -> None:
    with channel_of(open_server, "127.0.0.1") as channel:
        methods = offered(channel)
    assert len(methods) > 30
    assert sorted(WHO) == sorted(methods)
    assert [name for name, who in WHO.items() if who == "nobody"] == ["grpc.health.v1.Health/List"]


@pytest.mark.parametrize("method", sorted(WHO))
def test_others_may_call_what_is_for_users_alone(open_server: RunningServer, method: str) -> None:
    refused = {"user": "nobody", "operator": "user", "nobody": "everybody"}[WHO[method]]
    with channel_of(open_server, own_address()) as channel:
        assert who_is_refused(outcome(channel, method)) == refused


@pytest.mark.parametrize("method", sorted(WHO))
def test_operators_may_call_everything(open_server: RunningServer, method: str) -> None:
    with channel_of(open_server, "127.0.0.1") as channel:
        assert who_is_refused(outcome(channel, method)) == ("everybody" if WHO[method] == "nobody" else "nobody")
        if method == STOP:
            assert outcome(channel, "crucible.v1.ScriptService/Start") is None


def test_whom_it_refuses_stops_nothing(open_server: RunningServer) -> None:
    with channel_of(open_server, own_address()) as far, channel_of(open_server, "127.0.0.1") as near:
        # Before it looks at what is asked for.
        for seconds in (0, -1):
            request = api.StopRequest(grace_period={"seconds": seconds}).SerializeToString()
            assert who_is_refused(outcome(far, STOP, request)) == "user"
        run = api.ExecuteScriptRequest(context={"source": {"source": "pub fn main() { 1 }"}}).SerializeToString()
        reply = near.unary_unary("/crucible.v1.ScriptService/ExecuteScript", None, None)(run, timeout=20)
        assert api.ExecuteScriptResponse.FromString(reply).result.success
