"""Web servers that misbehave: the script gets an Err within its time, the server keeps its memory."""

from __future__ import annotations

import socket
import time

import pytest

import crucible
from crucible_server.outbound.connect import resolve
from tests.modules.conftest import ConnectTo, fetch, refusal
from tests.modules.web import Answer, Rogue, Web

HEAD = b"HTTP/1.1 200 OK\r\n"


def endless(prefix: bytes, part: bytes, pause: float = 0.0):  # type: ignore[no-untyped-def]
    """Sends a prefix, then the same part until the peer is gone."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(prefix)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return behave


def once(*parts: bytes):  # type: ignore[no-untyped-def]
    """Sends these parts and closes."""

    def behave(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)

    return behave


TOO_MUCH = {
    "a body without end": (endless(HEAD + b"\r\n", b"x" * 65536), "max_response_bytes"),
    "a long body": (endless(HEAD + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536), "max_response_bytes"),
    "chunks without end": (
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b"x" * 4096 + b"\r\n"),
        "max_response_bytes",
    ),
    "a header without end": (endless(HEAD + b"X: ", b"x" * 4096), "max_header_bytes"),
    "headers without end": (endless(HEAD, b"X: y\r\n" * 100), "max_header_bytes"),
    "a status line without end": (endless(b"HTTP/1.1 200 ", b"x" * 4096), "max_header_bytes"),
    "interim answers without end": (endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100), "max_header_bytes"),
    "many headers": (once(HEAD, b"".join(b"a%d: b\r\n" % n for n in range(300)), b"\r\n"), "max_header_bytes"),
    "a chunk's extension without end": (
        endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 4096),
        "ProtocolError",
    ),
}
BROKEN = {
    "nothing": once(),
    "no HTTP": once(b"220 mail ready\r\n"),
    "garbage": once(bytes(range(256)) * 16),
    "a body that is cut": once(HEAD, b"Content-Length: 10\r\n\r\nabc"),
    "a chunk that is cut": once(HEAD, b"Transfer-Encoding: chunked\r\n\r\nff\r\nabc"),
    "a size that is no number": once(HEAD, b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc"),
    "a size that is negative": once(HEAD, b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc"),
    "two lengths": once(HEAD, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "a length that is no number": once(HEAD, b"Content-Length: x\r\n\r\nab"),
    "an unknown encoding": once(HEAD, b"Transfer-Encoding: gzip\r\n\r\nab"),
    "a status that is none": once(b"HTTP/1.1 99999 X\r\n\r\n"),
    "a header without a name": once(HEAD, b": x\r\n\r\n"),
}
SLOW = {
    "no answer": lambda connection: connection.recv(1),
    "a slow header": endless(HEAD + b"X: ", b"x", 0.05),
    "a slow body": endless(HEAD + b"\r\n", b"x", 0.05),
    "a slow chunk": endless(HEAD + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n", b"x", 0.05),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_too_much(connect_to: ConnectTo, name: str) -> None:
    behave, said = TOO_MUCH[name]
    with Rogue(behave) as rogue:
        client = connect_to(rogue.url, max_response_bytes="1MiB")
        assert said in refusal(client, rogue.url)
        assert rogue.gone.wait(10)


def test_broken(connect_to: ConnectTo) -> None:
    rogues = {name: Rogue(behave) for name, behave in BROKEN.items()}
    for rogue in rogues.values():
        rogue.__enter__()
    client = connect_to(*(rogue.url for rogue in rogues.values()))
    for name, rogue in rogues.items():
        assert "Error" in refusal(client, rogue.url), name
        rogue.__exit__(None, None, None)
    # Nobody listens there any more.
    assert "ConnectError" in refusal(client, rogue.url)


def test_slow(connect_to: ConnectTo) -> None:
    rogues = {name: Rogue(behave) for name, behave in SLOW.items()}
    for rogue in rogues.values():
        rogue.__enter__()
    # All at once, so that the time can be one in which each is asked on a busy machine.
    urls = [rogue.url for rogue in rogues.values()]
    client = connect_to(*urls, timeout="3s")
    source = """
    pub async fn main(urls) {
        let all = [];
        for url in urls { all.push(crucible::http::get(url)); }
        std::future::join(all).await
    }
    """
    answers = client.run(source, level="production", args={"urls": urls}).value
    for (name, rogue), answer in zip(rogues.items(), answers, strict=True):
        assert "no answer within 3 s" in answer["Err"], name
        assert rogue.gone.wait(10), name
        rogue.__exit__(None, None, None)


def test_as_much_as_allowed_and_no_more(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url, max_response_bytes="100KB")
    source = "pub async fn main(url) { crucible::http::get(url).await?.body.len() }"
    for size in (100_000, 100_001):
        web.answers["/"] = Answer(body=b"x" * size)
        if size == 100_000:
            assert client.run(source, level="production", args={"url": web.url}).value == size
        else:
            assert "max_response_bytes, 100000" in refusal(client, web.url)
    # Headers of an ordinary size, before a body that comes in the same packet.
    web.answers["/"] = Answer(body=b"y" * 50_000, headers={f"x-{n}": "z" * 200 for n in range(200)})
    assert len(fetch(client, web.url)["body"]) == 50_000


def test_compressed_bodies_are_not_inflated(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    web.answers["/"] = Answer(body=b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip"})
    assert fetch(client, web.url)["body"] == b"\x1f\x8bnot really"


def test_a_response_larger_than_the_script_may_hold(web: Web, connect_to: ConnectTo) -> None:
    client = connect_to(web.url)
    web.answers["/"] = Answer(body=b"x" * 3_000_000)
    source = "pub async fn main(url) { let all = []; loop { all.push(crucible::http::get(url).await?.text()?); } }"
    limits = crucible.Limits(max_memory_bytes=10_000_000)
    with pytest.raises(crucible.ExecutionFailed) as raised:
        client.run(source, level="production", args={"url": web.url}, limits=limits)
    error = raised.value.result.error
    assert error is not None
    assert error.kind == "MEMORY_EXCEEDED"
    assert client.run("pub fn main() { 1 }").value == 1


async def test_the_system_resolves() -> None:
    assert set(await resolve("localhost", 80)) <= {"127.0.0.1", "::1"}
