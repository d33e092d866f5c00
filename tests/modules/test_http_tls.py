"""HTTPS: the certificate has to be that of the host that was asked for, whatever address was dialled."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from crucible.v1 import value_pb2
from crucible_server.config import HttpConfig
from crucible_server.outbound.allowance import Allowance, RefusedError
from crucible_server.outbound.client import HttpClient

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")


class Handler(BaseHTTPRequestHandler):
    """Answers with the name that the client asked for by SNI."""

    names: list[str | None] = []  # noqa: RUF012

    def do_GET(self) -> None:
        """Answers."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of api.test, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=api.test -addext subjectAltName=DNS:api.test"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True, timeout=60)
    return certificate, key


@pytest.fixture
def port(certificate: tuple[Path, Path]) -> Iterator[int]:
    """The port of a server that has it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    Handler.names.clear()
    context.sni_callback = lambda _socket, name, _context: Handler.names.append(name)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(10)


def get(host: str, port: int, ca_file: Path | None) -> tuple[value_pb2.Value, Allowance]:
    async def here(_host: str, _port: int) -> list[str]:
        return ["127.0.0.1"]

    async def run() -> tuple[value_pb2.Value, Allowance]:
        url = f"https://{host}:{port}"
        client = HttpClient(HttpConfig(allow=(url,), timeout=20, ca_file=ca_file), here)
        arguments = value_pb2.ObjectValue()
        arguments.fields["method"].string_value = "GET"
        arguments.fields["url"].string_value = url
        allowance = Allowance(10)
        return await client.request(arguments, allowance), allowance

    return asyncio.run(run())


def test_the_name_is_that_of_the_url(port: int, certificate: tuple[Path, Path]) -> None:
    response, allowance = get("api.test", port, certificate[0])
    assert response.object_value.fields["body"].bytes_value == b"secret"
    assert Handler.names == ["api.test"]
    assert 100 < allowance.bytes_moved < 1000


def test_another_name_or_an_unknown_certificate_is_refused(port: int, certificate: tuple[Path, Path]) -> None:
    for host, ca_file in (("other.test", certificate[0]), ("api.test", None), ("127.0.0.1", certificate[0])):
        with pytest.raises(RefusedError, match="CERTIFICATE_VERIFY_FAILED"):
            get(host, port, ca_file)
