"""The page that Prometheus reads."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

PATH = "/metrics"
# A reader that is slower is gone or means no good.
_TIMEOUT = 5.0
# And so is one that says or takes a little now and then.
_WHOLE_TIMEOUT = 10.0
_MAX_READERS = 8


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT

    def log_message(self, *_: Any) -> None:
        """Nothing: a reader comes every few seconds."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int]) -> None:
        self._room = threading.BoundedSemaphore(_MAX_READERS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not the one of HTTPServer, which asks name servers for its own name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._room.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        whole = threading.Timer(_WHOLE_TIMEOUT, _cut, (request,))
        whole.daemon = True
        whole.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            whole.cancel()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a reader that left is no fault of the server."""


def _cut(request: socket.socket) -> None:
    """Ends whatever a thread waits for on this connection."""
    with contextlib.suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class Page:
    """Answers in threads of its own, so that it answers also while the event loop is busy."""

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        """Raises OSError when it cannot listen there."""
        self._server = _Server((host.removeprefix("[").removesuffix("]"), port))
        self._server.set_app(_only(make_wsgi_app(registry)))
        self.address = f"{host}:{self._server.server_port}"
        """Host and port that it listens on."""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Takes no more readers."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _only(metrics: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
            return [b""]
        if environ["PATH_INFO"] != PATH:
            body = f"expected {PATH}: nothing else is here\n".encode()
            start_response("404 Not Found", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
            return [body]
        answer: Iterable[bytes] = metrics(environ, start_response)
        return answer

    return app
