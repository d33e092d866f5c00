"""Makes the requests of scripts: each hop allowed, dialled where it was checked, bounded, and counted."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from functools import cache

import httpcore
import httpx

from crucible.v1 import value_pb2
from crucible_server.config import HttpConfig
from crucible_server.outbound.allow import SCRIPTS_KEY, AllowList, OpenList
from crucible_server.outbound.allowance import Allowance, RefusedError
from crucible_server.outbound.connect import GuardedBackend, Resolver, resolve
from crucible_server.outbound.request import OutboundRequest, read_request
from crucible_server.telemetry.place import Fact, client_span, traceparent

_USER_AGENT = "crucible"
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAX_RESPONSE_HEADERS = 256
_READ_SLACK = 4096


class HttpClient:
    """Shared by all executions; holds no connection, no cookie and no credential between two requests."""

    def __init__(
        self,
        config: HttpConfig,
        resolver: Resolver = resolve,
        traced: Iterable[str] = (),
        *,
        allow_key: str = SCRIPTS_KEY,
    ) -> None:
        """`allow_key` is where the operator writes what may be reached.

        `traced` are the origins that are told which trace a request belongs to, written as in `config.allow`.
        """
        self._config = config
        self._allow_key = allow_key
        self._allow = AllowList(config.allow, allow_key)
        self._traced = AllowList(traced)
        self._open = OpenList()
        self._resolver = resolver
        self._slots = asyncio.Semaphore(config.max_concurrent_requests)
        self._now: Callable[[], float] = time.monotonic

    async def request(
        self, arguments: value_pb2.ObjectValue, allowance: Allowance, *, is_open: bool = False
    ) -> value_pb2.Value:
        """The response as an object of status, url, headers and body. Raises RefusedError for everything else.

        With `is_open` it may lead anywhere; sizes and times are bounded all the same.
        """
        request = read_request(arguments)
        allow = self._open if is_open else self._allow
        allow.require(request.target)
        seconds = min(request.timeout or self._config.timeout, self._config.timeout)
        if allowance.deadline is not None:
            seconds = min(seconds, max(0.0, allowance.deadline - self._now()))
        try:
            async with asyncio.timeout(seconds), allowance.slots:
                await allowance.room()
                async with self._slots:
                    return await self._follow(request, allowance, allow)
        except TimeoutError:
            raise RefusedError(f"{request.method} {request.target}: no answer within {seconds:g} s") from None

    async def _follow(self, request: OutboundRequest, allowance: Allowance, allow: AllowList) -> value_pb2.Value:
        followed = 0
        while True:
            status, headers, body = await self._send(request, allowance, allow)
            location = headers.get("location")
            if status not in _REDIRECTS or location is None or (followed == 0 and request.redirects == 0):
                return _response(status, str(request.url), headers, body)
            if request.redirects == 0:
                raise RefusedError(f"expected at most {followed} redirects, but {request.target} leads on")
            request = request.redirected(status, location)
            followed += 1

    async def _send(
        self, request: OutboundRequest, allowance: Allowance, allow: AllowList
    ) -> tuple[int, dict[str, str], bytes]:
        facts: dict[str, Fact] = {
            "http.request.method": request.method,
            "url.scheme": request.target.scheme,
            "server.address": request.target.host,
            "server.port": request.target.port,
        }
        with client_span(request.method, facts) as requesting:
            status, headers, body = await self._exchange(request, allowance, allow)
            requesting.fact("http.response.status_code", status)
            if status >= 400:
                requesting.failed(str(status))
            return status, headers, body

    async def _exchange(
        self, request: OutboundRequest, allowance: Allowance, allow: AllowList
    ) -> tuple[int, dict[str, str], bytes]:
        origin = allow.require(request.target)
        meter = allowance.spend()
        backend = GuardedBackend(request.target, origin, self._resolver, meter, self._allow_key)
        where = f"{request.method} {request.target}"
        meter.header_allowance = self._config.max_header_bytes + _READ_SLACK
        headers = [
            (b"host", request.url.netloc),
            (b"user-agent", _USER_AGENT.encode()),
            (b"accept", b"*/*"),
            # What is compressed could grow without bound here.
            (b"accept-encoding", b"identity"),
            (b"connection", b"close"),
        ]
        own = [(name.encode(), value.encode()) for name, value in request.headers]
        # Whoever is not listed learns nothing of the operator's traces, and those that are hear the truth.
        if self._traced.covers(request.target) and (parent := traceparent()):
            own = [header for header in own if header[0] != b"traceparent"] + [(b"traceparent", parent.encode())]
        names = {name for name, _ in own}
        headers = [header for header in headers if header[0] not in names] + own
        if request.body is not None:
            headers.append((b"content-length", str(len(request.body)).encode()))
        elif request.method in ("POST", "PUT", "PATCH"):
            headers.append((b"content-length", b"0"))
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.target.host.encode(),
            port=request.target.port,
            target=request.url.raw_path,
        )
        # Reading the certificates takes longer than a request.
        tls = await asyncio.to_thread(_tls, self._config) if request.target.scheme == "https" else None
        try:
            async with (
                httpcore.AsyncConnectionPool(ssl_context=tls, max_connections=1, network_backend=backend) as pool,
                pool.stream(request.method, url, headers=headers, content=request.body) as response,
            ):
                meter.header_allowance = None
                taken = _headers(response.headers, self._config.max_header_bytes)
                return response.status, taken, await self._body(response, where)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise RefusedError(f"{where}: {_said(error)}") from None

    async def _body(self, response: httpcore.Response, where: str) -> bytes:
        limit = int(self._config.max_response_bytes)
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > limit:
                raise RefusedError(f"{where}: the body is larger than the server's max_response_bytes, {limit}")
        return bytes(body)


@cache
def _tls(config: HttpConfig) -> ssl.SSLContext:
    context = httpx.create_ssl_context(trust_env=False)
    if config.ca_file is not None:
        context.load_verify_locations(config.ca_file)
    return context


def _headers(raw: list[tuple[bytes, bytes]], limit: int) -> dict[str, str]:
    if len(raw) > _MAX_RESPONSE_HEADERS or sum(len(name) + len(value) for name, value in raw) > limit:
        raise RefusedError("the response's headers are more or larger than the server's max_header_bytes")
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        # Latin-1 says any bytes; what is no ASCII there means nothing certain.
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _response(status: int, url: str, headers: dict[str, str], body: bytes) -> value_pb2.Value:
    value = value_pb2.Value()
    fields = value.object_value.fields
    fields["status"].int_value = status
    fields["url"].string_value = url
    fields["headers"].object_value.SetInParent()
    for name, text in headers.items():
        fields["headers"].object_value.fields[name].string_value = text
    fields["body"].bytes_value = body
    return value


def _said(error: Exception) -> str:
    kind = type(error).__name__
    text = str(error)[:300]
    return f"{kind}: {text}" if text else kind
