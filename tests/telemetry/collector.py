"""Collectors of the test's own: OTLP over gRPC and over HTTP, with the services and messages of opentelemetry-proto."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

PATIENCE = 20.0

METHOD = "crucible.v1.ScriptService/ExecuteScript"
"""How the span of the call that runs a script is called."""
Kind = trace_pb2.Span.SpanKind


@dataclass(frozen=True)
class Received:
    """A span as it arrived."""

    span: trace_pb2.Span
    resource: dict[str, Any]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.span.name

    @property
    def trace_id(self) -> str:
        """As log lines have it."""
        return self.span.trace_id.hex()

    @property
    def facts(self) -> dict[str, Any]:
        """Its attributes."""
        return _plain(self.span.attributes)


def path_of(span: Received, spans: list[Received]) -> list[str]:
    """Names from the first span of the server down to this one. Fails when a parent is missing."""
    parents = {each.span.span_id: each for each in spans}
    names = [span.name]
    while span.span.kind != Kind.SPAN_KIND_SERVER:
        span = parents[span.span.parent_span_id]
        names.append(span.name)
    return names[::-1]


class Kept:
    """What a collector got, however it came."""

    def __init__(self) -> None:
        self.metadata: list[dict[str, str | bytes]] = []
        self.metrics: dict[str, Any] = {}
        self.spans: list[Received] = []
        self._since = 0
        self._change = threading.Condition()

    def wait(self, found: Callable[[], Any], what: str) -> Any:
        """What `found` returns once that is true."""
        end = time.monotonic() + PATIENCE
        with self._change:
            while not (result := found()):
                left = end - time.monotonic()
                assert left > 0, f"{what}: got {sorted({span.name for span in self.spans})}"
                self._change.wait(left)
            return result

    def trace(self, name: str, number: int = 1) -> list[Received]:
        """The spans of the trace with this number of spans of this name, once the first span of it has arrived."""

        def found() -> list[Received]:
            for trace_id in {span.trace_id for span in self.spans}:
                of_it = [span for span in self.spans if span.trace_id == trace_id]
                roots = [span for span in of_it if span.span.kind == Kind.SPAN_KIND_SERVER]
                if roots and len([span for span in of_it if span.name == name]) == number:
                    return of_it
            return []

        return list(self.wait(found, f"no trace with {number} of {name!r} came"))

    def forget(self) -> None:
        """Forgets the spans that began so far: those that come later, too, as servers send them up to a second late."""
        with self.changing():
            self.spans.clear()
            self._since = time.time_ns()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While something is taken in."""
        with self._change:
            yield
            self._change.notify_all()

    def take_traces(
        self, request: trace_service_pb2.ExportTraceServiceRequest, metadata: dict[str, str | bytes]
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keeps spans and what they came with."""
        with self.changing():
            self.metadata.append(metadata)
            for each in request.resource_spans:
                resource = _plain(each.resource.attributes)
                self.spans += [
                    Received(span, resource)
                    for scope in each.scope_spans
                    for span in scope.spans
                    if span.start_time_unix_nano >= self._since
                ]
        return trace_service_pb2.ExportTraceServiceResponse()

    def take_metrics(
        self, request: metrics_service_pb2.ExportMetricsServiceRequest
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        """Keeps the newest of each metric."""
        with self.changing():
            for each in request.resource_metrics:
                for scope in each.scope_metrics:
                    self.metrics.update({metric.name: metric for metric in scope.metrics})
        return metrics_service_pb2.ExportMetricsServiceResponse()


class Collector(Kept):
    """Takes OTLP over gRPC and keeps what it gets. A context manager."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """With credentials it speaks TLS."""
        super().__init__()
        self._server = grpc.server(ThreadPoolExecutor(2))
        # Published without types.
        add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
        add(_Traces(self), self._server)
        add = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
        add(_Metrics(self), self._server)
        if credentials is None:
            self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        else:
            self.endpoint = f"https://localhost:{self._server.add_secure_port('127.0.0.1:0', credentials)}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()


class HttpCollector(Kept):
    """Takes OTLP over HTTP, as protobuf below a path, and keeps what it gets. A context manager."""

    PATH = "/otlp/in"

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        """With a context it speaks TLS."""
        super().__init__()
        self.connections = 0
        """Connections so far."""
        kept = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                kept.connections += 1

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    data = gzip.decompress(data)
                answer: Message
                if self.path == f"{kept.PATH}/v1/traces":
                    traces = trace_service_pb2.ExportTraceServiceRequest.FromString(data)
                    answer = kept.take_traces(traces, {name.lower(): value for name, value in self.headers.items()})
                elif self.path == f"{kept.PATH}/v1/metrics":
                    answer = kept.take_metrics(metrics_service_pb2.ExportMetricsServiceRequest.FromString(data))
                else:
                    self.send_error(404)
                    return
                body = answer.SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nowhere."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        host = "http://127.0.0.1"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            host = "https://localhost"
        self.endpoint = f"{host}:{self._server.server_address[1]}{self.PATH}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        return self._kept.take_traces(request, dict(context.invocation_metadata()))


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def Export(  # noqa: N802
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: Any
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        return self._kept.take_metrics(request)


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: common_pb2.AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
