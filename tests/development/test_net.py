"""`crucible::net`: connections to servers of the test, and from clients of it."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

import crucible
from tests.modules.web import Web

LATE = 30.0


def script(client: crucible.Client, body: str, port: int = 0) -> object:
    """The value of a script of these lines, with `net` imported and the port of a server of the test."""
    source = f"use crucible::net;\npub async fn main(port) {{ {body} }}"
    return client.run(source, level="development", args={"port": port}, deadline=LATE).value


def refusal(client: crucible.Client, body: str, port: int = 0) -> str:
    with pytest.raises(crucible.ExecutionFailed) as raised:
        script(client, body, port)
    error = raised.value.result.error
    assert error is not None
    assert error.kind == "RETURNED_ERR", error
    return error.message


@contextmanager
def serving(behave: Callable[[socket.socket], object], host: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that does this with each connection."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with listener:
        threading.Thread(target=_accept, args=(listener, behave), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, behave: Callable[[socket.socket], object]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_behave, args=(connection, behave), daemon=True).start()


def _behave(connection: socket.socket, behave: Callable[[socket.socket], object]) -> None:
    connection.settimeout(LATE)
    with connection, contextlib.suppress(OSError):
        behave(connection)


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def silence(connection: socket.socket) -> None:
    connection.recv(1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_an_echo(open_client: crucible.Client, host: str) -> None:
    body = f"""
    let stream = net::connect("{host}", port, #{{}}).await?;
    stream.write("first\\r\\nsecond\\n").await?;
    stream.write(b"\\xff\\0").await?;
    let said = [stream.read_line().await?, stream.read_line().await?];
    said.push(stream.read(100).await?);
    said
    """
    with serving(echo, "::1" if host == "::1" else "127.0.0.1") as port:
        assert script(open_client, body, port) == ["first", "second", b"\xff\x00"]


def test_much_in_both_directions(open_client: crucible.Client) -> None:
    body = """
    let stream = net::connect("127.0.0.1", port, #{}).await?;
    let data = "0123456789abcdef";
    for _ in 0..16 { data = `${data}${data}`; }
    let both = std::future::join((stream.write(data), count(stream, data.len()))).await;
    both.0?;
    both.1?
    """
    source = f"""
    use crucible::net;
    async fn count(stream, most) {{
        let seen = 0;
        while seen < most {{ seen += stream.read(100000).await?.len(); }}
        Ok(seen)
    }}
    pub async fn main(port) {{ {body} }}
    """
    with serving(echo) as port:
        result = open_client.run(source, level="development", args={"port": port}, deadline=LATE)
        assert result.value == 16 << 16


def test_the_end(open_client: crucible.Client) -> None:
    body = """
    let stream = net::connect("127.0.0.1", port, #{}).await?;
    [stream.read(3).await?, stream.read_line().await?, stream.read(3).await?, stream.read_line().await?]
    """
    with serving(lambda connection: connection.sendall(b"abcrest")) as port:
        assert script(open_client, body, port) == [b"abc", "rest", b"", None]
    closed = """
    let stream = net::connect("127.0.0.1", port, #{}).await?;
    stream.close();
    [stream.read(1).await?.len(), stream.write("x").await.is_err()]
    """
    with serving(silence) as port:
        assert script(open_client, closed, port) == [0, True]


def test_nobody_listens(open_client: crucible.Client) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        message = refusal(open_client, 'net::connect("127.0.0.1", port, #{}).await', port)
    assert f"127.0.0.1:{port}: cannot connect to 127.0.0.1:{port}: Connection refused" in message


def test_timeouts(open_client: crucible.Client) -> None:
    with serving(silence) as port:
        message = refusal(open_client, 'net::connect("127.0.0.1", port, #{ timeout: 0.2 }).await?.read(1).await', port)
        assert message == "read: nothing came within the timeout"
        flood = """
        let stream = net::connect("127.0.0.1", port, #{ timeout: 0.2 }).await?;
        let data = "0123456789abcdef";
        for _ in 0..20 { data = `${data}${data}`; }
        stream.write(data).await
        """
    with serving(lambda connection: threading.Event().wait(5)) as port:
        assert "the other side took nothing within the timeout" in refusal(open_client, flood, port)
    # A listener whose queue is full answers nobody.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        message = refusal(open_client, 'net::connect("127.0.0.1", port, #{ timeout: 0.3 }).await', address[1])
        for each in waiting:
            each.close()
    assert "no answer within the timeout" in message


def test_names_that_cannot_be_resolved(open_client: crucible.Client) -> None:
    # Kept for this by RFC 6761: no resolver knows it, and none is needed to say so.
    message = refusal(open_client, 'net::connect("nowhere.invalid", 80, #{}).await')
    assert message.startswith("nowhere.invalid:80: the host cannot be resolved: ")
    for host in ("", "no host", "nul\\0"):
        assert "cannot be resolved" in refusal(open_client, f'net::connect("{host}", 80, #{{}}).await')


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('net::connect("127.0.0.1", 65536, #{})', "expected a port from 0 to 65535, got 65536"),
        ('net::connect("127.0.0.1", -1, #{})', "expected a port from 0 to 65535, got -1"),
        ('net::connect("127.0.0.1", 1, #{ wait: 1 })', "expected the options timeout, got `wait`"),
        ('net::connect("127.0.0.1", 1, #{ timeout: "1" })', "expected seconds above zero as timeout"),
        ('net::connect("127.0.0.1", 1, ())', "expected an object of options"),
    ],
)
def test_wrong_use_ends_the_script(open_client: crucible.Client, call: str, said: str) -> None:
    with pytest.raises(crucible.ExecutionFailed, match=re.escape(said)) as raised:
        script(open_client, f"{call}.await")
    assert raised.value.result.error is not None
    assert raised.value.result.error.kind == "PANIC"


def test_a_server_of_the_script(open_client: crucible.Client) -> None:
    source = """
    use crucible::net;
    pub async fn main() {
        let listener = net::listen("127.0.0.1", 0)?;
        println!("{}", listener.port);
        let said = [];
        for _ in 0..2 {
            let stream = listener.accept().await?;
            let line = stream.read_line().await?;
            stream.write(`got ${line.unwrap()}`).await?;
            stream.close();
            said.push(line);
        }
        said
    }
    """
    with open_client.stream(source, level="development", deadline=LATE) as stream:
        port = int(next(iter(stream)).text)
        for name in ("one", "two"):
            with socket.create_connection(("127.0.0.1", port), LATE) as connection:
                connection.sendall(f"{name}\n".encode())
                assert connection.makefile().read() == f"got {name}"
        for _ in stream:
            pass
    assert stream.result is not None
    assert stream.result.value == ["one", "two"]
    # The port is free again with the end of the script.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), LATE)


def test_a_port_that_is_taken(open_client: crucible.Client) -> None:
    with serving(silence) as port:
        assert "cannot listen: Address already in use" in refusal(open_client, 'net::listen("127.0.0.1", port)', port)


def test_a_script_that_waits_for_the_network_can_be_cancelled(open_client: crucible.Client) -> None:
    source = """
    pub async fn main(port) {
        let stream = crucible::net::connect("127.0.0.1", port, #{}).await?;
        println!("up");
        stream.read(1).await
    }
    """
    gone = threading.Event()

    def until_gone(connection: socket.socket) -> None:
        if connection.recv(1) == b"":
            gone.set()

    with serving(until_gone) as port:
        stream = open_client.stream(source, level="development", args={"port": port}, check=False)
        assert next(iter(stream)).text == "up\n"
        assert open_client.cancel(stream.execution_id).state == "CANCELLED"
        assert gone.wait(LATE)
        for _ in stream:
            pass


def test_http_leads_anywhere_as_well(open_client: crucible.Client) -> None:
    # Of itself a host call; a script that can connect by itself gains nothing from its guard.
    with Web() as web:
        source = "pub async fn main(url) { crucible::http::get(url).await?.status }"
        assert open_client.run(source, level="development", args={"url": web.url}).value == 200
        with pytest.raises(crucible.ExecutionFailed):
            open_client.run(source, level="production", args={"url": web.url})
        assert len(web.seen) == 1


def test_programs_have_the_network_too(open_client: crucible.Client) -> None:
    body = """
    let text = `import socket; s = socket.create_connection(("127.0.0.1", ${port})); s.sendall(b"x"); print(s.recv(1))`;
    crucible::process::run("python3", ["-c", text], #{}).await?.stdout
    """
    with serving(echo) as port:
        assert script(open_client, body, port) == "b'x'\n"
