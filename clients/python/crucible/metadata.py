"""What calls say besides their requests: metadata that the caller has chosen, and their place in a trace."""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self, TypeAlias, TypeVar, cast

Pairs: TypeAlias = tuple[tuple[str, str | bytes], ...]
AnyChannel = TypeVar("AnyChannel")


def with_metadata(channel: AnyChannel, chosen: Mapping[str, str | bytes]) -> AnyChannel:
    """The channel as stubs use it: every call bears `chosen`, and `traceparent` while a span is current."""
    return cast(AnyChannel, _Channel(channel, tuple(chosen.items())))


def current_trace() -> Pairs:
    """`traceparent` and `tracestate` of the current span of OpenTelemetry, if there is one."""
    # Whoever has a current span has imported this; nobody else needs it.
    current_span = getattr(sys.modules.get("opentelemetry.trace"), "get_current_span", None)
    if current_span is None or not current_span().get_span_context().is_valid:
        return ()
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    # W3C, which the server reads, whatever else the program propagates; baggage is not the server's.
    TraceContextTextMapPropagator().inject(carrier)
    return tuple(carrier.items())


class MetadataCalls(ABC):
    """The last base of a client of either kind: the metadata that its calls bear."""

    _metadata: Mapping[str, str | bytes] = {}

    @abstractmethod
    def _add_stubs(self) -> None:
        """Makes the stubs anew, for calls with `_metadata`."""

    def with_metadata(self, metadata: Mapping[str, str | bytes]) -> Self:
        """This client, with gRPC metadata that each call bears besides, such as `{"traceparent": "00-..."}`.

        Both share one connection, which either closes. Names are in lower case; those that end in `-bin` have bytes.
        """
        other = copy.copy(self)
        other._metadata = {**self._metadata, **metadata}
        other._add_stubs()
        return other


class _Channel:
    def __init__(self, channel: Any, chosen: Pairs) -> None:
        self._channel = channel
        self._chosen = chosen

    def unary_unary(self, *args: Any, **options: Any) -> _Method:
        return _Method(self._channel.unary_unary(*args, **options), self._chosen)

    def unary_stream(self, *args: Any, **options: Any) -> _Method:
        return _Method(self._channel.unary_stream(*args, **options), self._chosen)


class _Method:
    """A method of a stub, of either kind of client."""

    __slots__ = ("_chosen", "_method")

    def __init__(self, method: Any, chosen: Pairs) -> None:
        self._method = method
        self._chosen = chosen

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        return self._method(request, timeout=timeout, metadata=self._joined(metadata), **options)

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        return self._method.with_call(request, timeout=timeout, metadata=self._joined(metadata), **options)

    def future(self, request: Any, timeout: float | None = None, metadata: Any = None, **options: Any) -> Any:
        return self._method.future(request, timeout=timeout, metadata=self._joined(metadata), **options)

    def _joined(self, own: Any) -> Pairs | None:
        """What is nearest to the call counts: its own metadata, then what was chosen, then the current span."""
        nearest = self._chosen
        if own:
            names = {key for key, _ in own}
            nearest = (*(pair for pair in nearest if pair[0] not in names), *own)
        if any(key == "traceparent" for key, _ in nearest):
            return nearest
        return (*current_trace(), *nearest) or None
