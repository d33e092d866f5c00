"""Which URLs scripts may reach: the operator's allow-list, and the one reading of a URL that check and dial share."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from crucible_server.config.keys import redacted
from crucible_server.outbound.addresses import Address, what_it_is
from crucible_server.outbound.allowance import RefusedError

SCRIPTS_KEY = "engine.http.allow"
DEFAULT_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>\[[^\]]*\]|[^:/?#@\[\]]+)(?::(?P<port>[0-9]{1,5}))?/?", re.IGNORECASE
)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")
_MAX_HOST = 253
_MAX_URL = 8192


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads: `address` is set when the host is written as one."""

    scheme: str
    host: str
    port: int
    address: Address | None

    def __str__(self) -> str:
        return f"{self.scheme}://{_shown(self.host)}:{self.port}"


@dataclass(frozen=True, slots=True)
class AllowedOrigin:
    """One entry of the allow-list. `*.example.com` covers every name below example.com, not itself."""

    scheme: str
    host: str
    port: int
    is_wildcard: bool
    address: Address | None
    has_port: bool
    """The entry names its port, and so means this very service, also in a private network."""
    is_open: bool = False
    """Any address may be dialled for it."""

    def covers(self, target: Target) -> bool:
        """Whether a URL with this target may be requested."""
        if (self.scheme, self.port) != (target.scheme, target.port):
            return False
        if self.is_wildcard:
            return target.address is None and target.host.endswith("." + self.host)
        return self.host == target.host

    @property
    def trusts_private(self) -> bool:
        """Whether it may lead into loopback and private networks."""
        return self.has_port and not self.is_wildcard


def parse_entry(text: str) -> AllowedOrigin:
    """Reads `SCHEME://HOST[:PORT]`. Raises ValueError that says what was expected."""
    match = _ENTRY.fullmatch(text.strip())
    if match is None or (scheme := match["scheme"].lower()) not in DEFAULT_PORTS:
        raise ValueError(
            "expected http:// or https:// with a host and perhaps a port, such as https://api.example.com, "
            f"https://*.example.com or http://10.0.0.5:8080, without user, path or query; got {redacted(text)!r}"
        )
    port = int(match["port"]) if match["port"] else DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise ValueError(f"expected a port from 1 to 65535, got {text!r}")
    host = match["host"]
    is_wildcard = host.startswith("*.")
    try:
        host, address = read_host(host.removeprefix("*."))
    except RefusedError as error:
        raise ValueError(f"{error}; got {text!r}") from None
    if is_wildcard and (address is not None or "." not in host):
        raise ValueError(f"expected a wildcard such as https://*.example.com, with two labels at least; got {text!r}")
    has_port = match["port"] is not None
    if address is not None and not has_port and (kind := what_it_is(address)) != "public":
        raise ValueError(f"expected a port with a {kind} address, as in {scheme}://{_shown(host)}:{port}; got {text!r}")
    return AllowedOrigin(scheme, host, port, is_wildcard, address, has_port)


def read_host(text: str) -> tuple[str, Address | None]:
    """A host in its one spelling, with its address when it is one.

    Raises RefusedError for names that no DNS has, and for the numbers that some resolvers take for addresses: `127.1`,
    `0177.0.0.1`, `0x7f000001`, `2130706433`.
    """
    host = text.lower()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise RefusedError(f"expected an IPv6 address between brackets, got {text[:80]!r}")
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError:
            raise RefusedError(f"expected an IPv6 address, got {text[:80]!r}") from None
        if address.scope_id is not None:
            raise RefusedError(f"expected an address without a zone, got {text[:80]!r}")
        return str(address), address
    try:
        # Dotted decimal without leading zeros, and nothing else.
        return host, ipaddress.IPv4Address(host)
    except ValueError:
        pass
    if not host.isascii():
        try:
            return read_host(httpx.URL(f"https://{host}").raw_host.decode("ascii"))
        except (httpx.InvalidURL, UnicodeError):
            raise RefusedError(f"expected a host name, got {text[:80]!r}") from None
    labels = host.split(".")
    if len(host) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise RefusedError(f"expected a host name or an IP address, got {text[:80]!r}")
    if _NUMBER.fullmatch(labels[-1]):
        raise RefusedError(f"expected an IPv4 address as four decimal numbers without leading zeros, got {text[:80]!r}")
    return host, None


def read_url(text: str) -> tuple[httpx.URL, Target]:
    """A URL as it will be requested, and where it leads. Raises RefusedError."""
    if len(text) > _MAX_URL:
        raise RefusedError(f"expected a URL of at most {_MAX_URL} characters, got {len(text)}")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise RefusedError(f"expected a URL, got {text[:80]!r}: {error}") from None
    if url.scheme not in DEFAULT_PORTS or not url.raw_host:
        raise RefusedError(f"expected an http:// or https:// URL with a host, got {text[:80]!r}")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise RefusedError("expected a URL without user and password; send an `authorization` header instead")
    raw = url.raw_host.decode("ascii")
    # httpx drops the brackets.
    host, address = read_host(f"[{raw}]" if ":" in raw else raw)
    port = url.port if url.port is not None else DEFAULT_PORTS[url.scheme]
    if not 0 < port < 65536:
        raise RefusedError(f"expected a port from 1 to 65535, got {port}")
    return url, Target(url.scheme, host, port, address)


class AllowList:
    """All entries. Empty, it allows nothing."""

    def __init__(self, entries: Iterable[str], key: str = SCRIPTS_KEY) -> None:
        """`key` is where the operator writes the entries."""
        self._key = key
        self._origins = tuple(parse_entry(entry) for entry in entries)

    def covers(self, target: Target) -> bool:
        """Whether an entry covers a target."""
        return any(origin.covers(target) for origin in self._origins)

    def require(self, target: Target) -> AllowedOrigin:
        """The entry that covers a target, the most trusting if several do. Raises RefusedError."""
        found = [origin for origin in self._origins if origin.covers(target)]
        if not found:
            what = "does not allow" if self._origins else "allows no HTTP requests at all, so not"
            raise RefusedError(
                f"this server {what} {target}: its operator would have to list "
                f'"{target.scheme}://{_shown(target.host)}{_port_suffix(target)}" in {self._key}'
            )
        return max(found, key=lambda origin: origin.trusts_private)


class OpenList(AllowList):
    """Allows everything: for scripts that can open connections of their own."""

    def __init__(self) -> None:
        super().__init__(())

    def require(self, target: Target) -> AllowedOrigin:
        """The target itself."""
        return AllowedOrigin(target.scheme, target.host, target.port, False, target.address, True, is_open=True)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _port_suffix(target: Target) -> str:
    is_public = target.address is None or what_it_is(target.address) == "public"
    return "" if is_public and DEFAULT_PORTS[target.scheme] == target.port else f":{target.port}"
