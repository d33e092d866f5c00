"""A script's request, checked: method, URL, headers, body and bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import httpx

from crucible.v1 import value_pb2
from crucible_server.outbound.allow import Target, read_url
from crucible_server.outbound.allowance import RefusedError

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MAX_REDIRECTS = 5
_MAX_HEADERS = 64
_MAX_HEADER_BYTES = 16 * 1024
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# Framing and the connection are the server's; a Host of its own choice would let a script reach another service than
# the one that was allowed.
_REFUSED = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)
_BODY_HEADERS = frozenset(("content-type", "content-encoding", "content-language", "content-location"))
# What another origin must not learn: everything that identifies, under the names in use.
_SECRET = re.compile(r"authorization|cookie|token|secret|api-?key|auth", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class OutboundRequest:
    """One hop."""

    method: str
    url: httpx.URL
    target: Target
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    timeout: float | None
    """Seconds for all hops together; None leaves it to the server."""
    redirects: int
    """How many more are followed."""

    def redirected(self, status: int, location: str) -> OutboundRequest:
        """The next hop. Raises RefusedError."""
        try:
            joined = str(self.url.join(location))
        except (httpx.InvalidURL, ValueError) as error:
            raise RefusedError(f"a redirect to something that is no URL: {error}") from None
        url, target = read_url(joined)
        method, body, headers = self.method, self.body, self.headers
        # As browsers do, and as clients have learnt to expect.
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
            headers = tuple(header for header in headers if header[0].lower() not in _BODY_HEADERS)
        if target != self.target:
            headers = tuple(header for header in headers if not _SECRET.search(header[0]))
        return replace(
            self,
            method=method,
            url=url.copy_with(fragment=None),
            target=target,
            headers=headers,
            body=body,
            redirects=self.redirects - 1,
        )


def read_request(arguments: value_pb2.ObjectValue) -> OutboundRequest:
    """From the arguments of the host call. Raises RefusedError for whatever does not fit."""
    fields = dict(arguments.fields)
    method = _take(fields, "method", "string_value").upper()
    if method not in METHODS:
        raise RefusedError(f"expected one of the methods {', '.join(METHODS)}, got {method[:32]!r}")
    url, target = read_url(_take(fields, "url", "string_value"))
    timeout = _take(fields, "timeout", "double_value") if "timeout" in fields else None
    if timeout is not None and not timeout > 0:
        raise RefusedError(f"expected a timeout above zero seconds, got {timeout:g}")
    redirects = _take(fields, "redirects", "int_value") if "redirects" in fields else MAX_REDIRECTS
    if not 0 <= redirects <= MAX_REDIRECTS:
        raise RefusedError(f"expected from 0 to {MAX_REDIRECTS} redirects, got {redirects}")
    headers = _headers(_take(fields, "headers", "object_value")) if "headers" in fields else ()
    body = _body(fields.pop("body", None))
    if fields:
        raise RefusedError(f"expected method, url, headers, body, timeout and redirects, got {next(iter(fields))!r}")
    if body is not None and method in ("GET", "HEAD"):
        raise RefusedError(f"expected no body with {method}; use POST")
    return OutboundRequest(method, url.copy_with(fragment=None), target, headers, body, timeout, redirects)


def _take(fields: dict[str, value_pb2.Value], name: str, kind: str):  # type: ignore[no-untyped-def]
    value = fields.pop(name, None)
    if value is None or value.WhichOneof("kind") != kind:
        raise RefusedError(f"expected `{name}` as {kind.removesuffix('_value')}")
    return getattr(value, kind)


def _body(value: value_pb2.Value | None) -> bytes | None:
    if value is None:
        return None
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return value.string_value.encode()
    if kind == "bytes_value":
        return value.bytes_value
    raise RefusedError("expected `body` as string or bytes")


def _headers(headers: value_pb2.ObjectValue) -> tuple[tuple[str, str], ...]:
    if len(headers.fields) > _MAX_HEADERS:
        raise RefusedError(f"expected at most {_MAX_HEADERS} headers, got {len(headers.fields)}")
    taken: dict[str, str] = {}
    size = 0
    for name in sorted(headers.fields):
        value = headers.fields[name]
        if not _NAME.fullmatch(name):
            raise RefusedError(f"expected the name of a header, got {name[:80]!r}")
        lower = name.lower()
        if lower in _REFUSED or lower.startswith("proxy-"):
            raise RefusedError(f"the header {name[:80]!r} is the server's to send; leave it out")
        if lower in taken:
            raise RefusedError(f"expected each header once, got {name[:80]!r} in two spellings")
        if value.WhichOneof("kind") != "string_value" or not _VALUE.fullmatch(value.string_value):
            raise RefusedError(f"expected printable ASCII without line breaks in the header {name[:80]!r}")
        taken[lower] = value.string_value.strip()
        size += len(name) + len(value.string_value)
    if size > _MAX_HEADER_BYTES:
        raise RefusedError(f"expected at most {_MAX_HEADER_BYTES} bytes of headers, got {size}")
    return tuple(taken.items())
