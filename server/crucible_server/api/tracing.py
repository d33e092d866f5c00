"""The interceptor that gives every call its place in a trace, and times it.

Names and attributes are those of OpenTelemetry's semantic conventions for RPC and gRPC.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

import grpc

from crucible_server.api import handlers
from crucible_server.errors import ServiceError
from crucible_server.policy.principals import Caller
from crucible_server.telemetry.place import Place, enter, leave, read_traceparent

if TYPE_CHECKING:
    from crucible_server.telemetry.spans import OtelSpan
    from crucible_server.telemetry.telemetry import Telemetry

    # At runtime these take no parameters.
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]

_SHAPES = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
# Codes for which the server is to blame; a caller that errs or leaves is no failure of the service.
_FAILURES = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_UNKNOWN = "_OTHER"
# Seconds. Both sides watch a deadline, the server from when it read the call: a caller's reset may come first.
_DEADLINE_SLACK = 0.05
# Whoever calls these does so all the time, and nothing comes of it.
_UNTRACED = ("grpc.health.", "grpc.reflection.", _UNKNOWN)


class TracingInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Follows the calls of all services. Their handlers may not change once they were called."""

    def __init__(self) -> None:
        self.telemetry: Telemetry | None = None
        """Set before the first call."""
        self.note_error: Callable[[Caller, ServiceError], None] = lambda _caller, _error: None
        """Told of the errors that calls end with."""
        self._handlers: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """The handler of a method, followed when anybody wants to know."""
        telemetry, method = self.telemetry, str(handler_call_details.method)
        is_on = telemetry is not None and telemetry.is_on
        if not is_on:
            # Each call is a task of its own, which has this place to its end.
            enter(Place(*_parent(handler_call_details.invocation_metadata)))
        handlers.note_error.set(self.note_error)
        handler = self._handlers.get(method)
        if handler is None:
            found = await continuation(handler_call_details)
            # Names that callers make up are not kept, and make no series.
            if found is None:
                method, found = _UNKNOWN, grpc.stream_stream_rpc_method_handler(_refuse)
            handler = self._wrap(telemetry, method.removeprefix("/"), found) if telemetry and is_on else found
            self._handlers[method] = handler
        return handler

    def _wrap(self, telemetry: Telemetry, method: str, handler: Handler) -> Handler:
        shape = next(shape for shape in _SHAPES if getattr(handler, shape) is not None)
        behavior = getattr(handler, shape)

        async def answer(request: Any, context: Context) -> Any:
            with _Call(telemetry, method, context):
                return await behavior(request, context)

        async def answers(request: Any, context: Context) -> AsyncIterator[Any]:
            with _Call(telemetry, method, context):
                async with contextlib.aclosing(behavior(request, context)) as responses:
                    async for response in responses:
                        yield response

        followed = answers if inspect.isasyncgenfunction(behavior) else answer
        make = getattr(grpc, f"{shape}_rpc_method_handler")
        return cast("Handler", make(followed, handler.request_deserializer, handler.response_serializer))


async def _refuse(_requests: AsyncIterator[bytes], context: Context) -> None:
    await context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        "expected a method of a service of this server, got another; reflection lists them",
    )


class _Call:
    """One call while it runs."""

    __slots__ = ("_began", "_context", "_method", "_span", "_telemetry", "_token")

    def __init__(self, telemetry: Telemetry, method: str, context: Context) -> None:
        self._telemetry = telemetry
        self._method = method
        self._context = context
        self._span: OtelSpan | None = None
        self._token: Token[Place | None] | None = None
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()
        telemetry = self._telemetry
        metadata = cast("Iterable[tuple[str, str | bytes]]", self._context.invocation_metadata() or ())
        if telemetry.tracer is None or self._method.startswith(_UNTRACED):
            self._token = enter(Place(*_parent(metadata), recorder=telemetry.recorder))
            return
        facts = {"rpc.system.name": "grpc", "rpc.method": self._method}
        self._span = telemetry.tracer.arriving(self._method, metadata, facts)
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        code = self._code(error)
        failure = code if code in _FAILURES else ""
        self._telemetry.recorder.rpc(self._method, code, failure, time.perf_counter() - self._began)
        if self._span is not None:
            self._span.fact("rpc.response.status_code", code)
            if failure:
                self._span.failed(failure)
            # What happened is said by the code.
            self._span.__exit__(None, None, None)
        elif self._token is not None:
            leave(self._token)

    def _code(self, error: BaseException | None) -> str:
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            left = self._context.time_remaining()
            return "DEADLINE_EXCEEDED" if left is not None and left <= _DEADLINE_SLACK else "CANCELLED"
        # A number, or nothing as long as no handler has set one.
        code: Any = self._context.code()
        if error is not None and not code:
            return "UNKNOWN"
        return _NAMES.get(code, "UNKNOWN")


_NAMES: dict[Any, str] = {None: "OK"}
for _code in grpc.StatusCode:
    _NAMES[_code] = _NAMES[_code.value[0]] = _code.name


def _parent(metadata: Iterable[tuple[str, str | bytes]] | None) -> tuple[str, str]:
    """Trace id and span id that the caller names, or empty ones."""
    for key, value in metadata or ():
        if key == "traceparent" and isinstance(value, str):
            return read_traceparent(value) or ("", "")
    return "", ""
