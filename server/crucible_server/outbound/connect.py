"""Dials what was checked: names are resolved once, every answer is judged, and the connection goes to that address."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpcore

from crucible_server.outbound.addresses import Address, refusal
from crucible_server.outbound.allow import AllowedOrigin, Target
from crucible_server.outbound.allowance import Meter, RefusedError

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""The addresses of a host name. Raises OSError when it has none."""

_MAX_ADDRESSES_TRIED = 4
# Of its own, so that name servers that do not answer hold up nothing else.
_RESOLVERS = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolve")


async def resolve(host: str, port: int) -> list[str]:
    """The system's answer."""
    answers = await asyncio.get_running_loop().run_in_executor(
        _RESOLVERS, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return [str(answer[4][0]) for answer in answers]


class MeteredStream(httpcore.AsyncNetworkStream):
    """A connection whose bytes are counted; with TLS, those inside of it."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, meter: Meter) -> None:
        self._inner = inner
        self._meter = meter

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """As httpcore says."""
        allowance = self._meter.header_allowance
        # No more than what is judged: the body comes out of the same read.
        data = await self._inner.read(max_bytes if allowance is None else min(max_bytes, 4096), timeout)
        self._meter.receive(len(data))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """As httpcore says."""
        await self._inner.write(buffer, timeout)
        self._meter.sent += len(buffer)

    async def aclose(self) -> None:
        """As httpcore says."""
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        """As httpcore says: the certificate has to be the host's, not the address's."""
        return MeteredStream(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._meter)

    def get_extra_info(self, info: str) -> Any:
        """As httpcore says."""
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to one target and to nothing else."""

    def __init__(self, target: Target, origin: AllowedOrigin, resolver: Resolver, meter: Meter) -> None:
        self._target = target
        self._origin = origin
        self._resolver = resolver
        self._meter = meter
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolves, judges and dials. Raises RefusedError for an address that is not to be dialled."""
        if (host.strip("[]"), port) != (self._target.host, self._target.port):
            raise RefusedError(f"expected to connect to {self._target}, got {host}:{port}")
        addresses = await self.addresses()
        failure: Exception | None = None
        for address in addresses[:_MAX_ADDRESSES_TRIED]:
            try:
                stream = await self._network.connect_tcp(str(address), port, timeout, None, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            return MeteredStream(stream, self._meter)
        raise failure or RefusedError(f"{self._target.host} has no address")

    async def addresses(self) -> list[Address]:
        """What may be dialled, in order. One forbidden answer among others refuses them all."""
        target = self._target
        if target.address is not None:
            answers: list[Address] = [target.address]
        else:
            try:
                texts = await self._resolver(target.host, target.port)
                answers = [ipaddress.ip_address(text.partition("%")[0]) for text in dict.fromkeys(texts)]
            except (OSError, ValueError) as error:
                raise RefusedError(f"the host {target.host} cannot be resolved: {error}") from None
        if not answers:
            raise RefusedError(f"the host {target.host} has no address")
        if self._origin.is_open:
            return answers
        for address in answers:
            is_named = self._origin.has_port and self._origin.address == address
            why = refusal(address, trusts_private=self._origin.trusts_private, is_named=is_named)
            if why:
                raise RefusedError(
                    f"{target} leads to {address}, {why}, which is not dialled unless engine.http.allow names "
                    f'"{target}" with its port'
                )
        return answers

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Refused with RefusedError."""
        raise RefusedError("expected a host, got the path of a socket")

    async def sleep(self, seconds: float) -> None:
        """As httpcore says."""
        await self._network.sleep(seconds)
