"""A collector of the test's own: OTLP over gRPC, with the services and messages of opentelemetry-proto."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

PATIENCE = 20.0

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


class Collector:
    """Keeps what it gets. A context manager."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """With credentials it speaks TLS."""
        self.metadata: list[dict[str, str | bytes]] = []
        self.metrics: dict[str, Any] = {}
        self.spans: list[Received] = []
        self._change = threading.Condition()
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

    @contextmanager
    def changing(self) -> Iterator[None]:
        """While something is taken in."""
        with self._change:
            yield
            self._change.notify_all()


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        with self._collector.changing():
            self._collector.metadata.append(dict(context.invocation_metadata()))
            for each in request.resource_spans:
                resource = _plain(each.resource.attributes)
                self._collector.spans += [
                    Received(span, resource) for scope in each.scope_spans for span in scope.spans
                ]
        return trace_service_pb2.ExportTraceServiceResponse()


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def Export(  # noqa: N802
        self, request: metrics_service_pb2.ExportMetricsServiceRequest, context: Any
    ) -> metrics_service_pb2.ExportMetricsServiceResponse:
        with self._collector.changing():
            for each in request.resource_metrics:
                for scope in each.scope_metrics:
                    self._collector.metrics.update({metric.name: metric for metric in scope.metrics})
        return metrics_service_pb2.ExportMetricsServiceResponse()


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: common_pb2.AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")
