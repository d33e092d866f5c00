"""Where in which trace what runs belongs. Costs next to nothing when nothing is exported, and loads no library.

A place is set when a call comes in and inherited by every task that is started from there.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar, Token
from typing import Protocol

from crucible_server.telemetry.recorder import NOTHING_RECORDED, Recorder

Fact = str | bool | int | float
"""What can be said of a span."""

# W3C Trace Context, level 1: later versions may add fields behind those.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Span(Protocol):
    """A stretch of time in a trace, as far as the engine speaks to it."""

    def fact(self, name: str, value: Fact) -> None:
        """Says something of it."""

    def failed(self, kind: str) -> None:
        """It ended by an error of this kind."""


class Tracer(Protocol):
    """Begins spans. The one there is writes for OpenTelemetry: see `crucible_server.telemetry.spans`."""

    def span(
        self, name: str, parent: Place, facts: Mapping[str, Fact] | None, *, is_client: bool = False
    ) -> AbstractContextManager[Span]:
        """A span below the parent, which is the current place inside of it."""

    def traceparent(self, place: Place) -> str:
        """The place as a W3C header."""


class _NoSpan:
    def fact(self, name: str, value: Fact) -> None:
        pass

    def failed(self, kind: str) -> None:
        pass


class Place:
    """A span of a trace. Without a tracer only its ids are there, for log lines and events."""

    __slots__ = ("_trace_id", "link", "recorder", "span_id", "tracer")

    def __init__(
        self,
        trace_id: str = "",
        span_id: str = "",
        tracer: Tracer | None = None,
        recorder: Recorder = NOTHING_RECORDED,
        link: object = None,
    ) -> None:
        """Ids in hexadecimal digits; without a `trace_id` one is made when it is asked for.

        `link` is the tracer's own idea of this place.
        """
        self._trace_id = trace_id
        self.span_id = span_id
        self.tracer = tracer
        self.recorder = recorder
        self.link = link

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        if not self._trace_id:
            self._trace_id = secrets.token_hex(16)
        return self._trace_id


_NO_SPAN = nullcontext(_NoSpan())
_current: ContextVar[Place | None] = ContextVar("place", default=None)


def current() -> Place | None:
    """The place of what runs; None outside of every call."""
    return _current.get()


def trace_id() -> str:
    """The trace of what runs, as 32 hexadecimal digits; empty outside of every call."""
    place = _current.get()
    return place.trace_id if place is not None else ""


def recorder() -> Recorder:
    """Where what runs counts and measures."""
    place = _current.get()
    return place.recorder if place is not None else NOTHING_RECORDED


def enter(place: Place | None) -> Token[Place | None]:
    """Makes this the place of what runs, until `leave`."""
    return _current.set(place)


def leave(token: Token[Place | None]) -> None:
    """Ends what `enter` began. A generator that is closed from elsewhere has nothing to go back to."""
    with contextlib.suppress(ValueError):
        _current.reset(token)


def span(name: str, facts: Mapping[str, Fact] | None = None) -> AbstractContextManager[Span]:
    """A stretch of what runs, below the current place. An exception that leaves it is noted by its type alone."""
    place = _current.get()
    if place is None or place.tracer is None:
        return _NO_SPAN
    return place.tracer.span(name, place, facts)


def client_span(name: str, facts: Mapping[str, Fact]) -> AbstractContextManager[Span]:
    """The same for a request to another service."""
    place = _current.get()
    if place is None or place.tracer is None:
        return _NO_SPAN
    return place.tracer.span(name, place, facts, is_client=True)


def traceparent() -> str:
    """The header that makes the spans of another service children of the current place; empty without a trace."""
    place = _current.get()
    return place.tracer.traceparent(place) if place is not None and place.tracer is not None else ""


def read_traceparent(value: str) -> tuple[str, str] | None:
    """Trace id and span id of a W3C `traceparent`; None when it is not valid, which means a new trace."""
    found = _TRACEPARENT.fullmatch(value)
    # Version 00 ends with its flags.
    if found is None or (value.startswith("00") and len(value) != 55):
        return None
    return found[1], found[2]
