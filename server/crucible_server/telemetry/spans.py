"""Spans for OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Self, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from crucible_server.telemetry.place import Fact, Place, enter, leave
from crucible_server.telemetry.recorder import Recorder

_PROPAGATOR = TraceContextTextMapPropagator()
_HEADERS = ("traceparent", "tracestate")


class OtelSpan:
    """A span that runs. Its place is the current one while it is entered."""

    __slots__ = ("_place", "_span", "_token")

    def __init__(self, span: trace.Span, place: Place) -> None:
        self._span = span
        self._place = place
        self._token: Token[Place | None] | None = None

    def fact(self, name: str, value: Fact) -> None:
        """Says something of it."""
        self._span.set_attribute(name, value)

    def failed(self, kind: str) -> None:
        """It ended by an error of this kind. Messages are not told: they quote scripts."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR)

    def __enter__(self) -> Self:
        self._token = enter(self._place)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.failed(kind.__name__)
        if self._token is not None:
            leave(self._token)
        self._span.end()


class OtelTracer:
    """Begins spans of a tracer of the SDK."""

    def __init__(self, tracer: trace.Tracer, recorder: Recorder) -> None:
        self._tracer = tracer
        self._recorder = recorder

    def span(self, name: str, parent: Place, facts: Mapping[str, Fact] | None, *, is_client: bool = False) -> OtelSpan:
        """A span below the parent."""
        kind = trace.SpanKind.CLIENT if is_client else trace.SpanKind.INTERNAL
        return self._begin(name, cast(Context, parent.link), kind, facts, parent.recorder)

    def traceparent(self, place: Place) -> str:
        """The place as a W3C header."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, cast(Context, place.link))
        # Not `tracestate`: what other systems noted there is not ours to tell.
        return carrier.get("traceparent", "")

    def arriving(self, name: str, metadata: Iterable[tuple[str, str | bytes]], facts: Mapping[str, Fact]) -> OtelSpan:
        """The first span of a call: below the client's when its metadata name one, else of a new trace."""
        # gRPC delivers one `traceparent` at most: the last.
        carrier = {key: value for key, value in metadata if key in _HEADERS and isinstance(value, str)}
        context = _PROPAGATOR.extract(carrier, Context())
        return self._begin(name, context, trace.SpanKind.SERVER, facts, self._recorder)

    def _begin(
        self, name: str, context: Context, kind: trace.SpanKind, facts: Mapping[str, Fact] | None, recorder: Recorder
    ) -> OtelSpan:
        span = self._tracer.start_span(
            name, context, kind, facts, record_exception=False, set_status_on_exception=False
        )
        ids = span.get_span_context()
        place = Place(
            trace.format_trace_id(ids.trace_id),
            trace.format_span_id(ids.span_id),
            self,
            recorder,
            trace.set_span_in_context(span, Context()),
        )
        return OtelSpan(span, place)
