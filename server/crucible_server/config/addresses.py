"""Addresses to listen on."""

from __future__ import annotations

import ipaddress


def check_address(value: str, *, is_open: bool, otherwise: str) -> None:
    """Raises ValueError unless it is `HOST:PORT` of this machine alone, or of any with `is_open`.

    `otherwise` says why it has to be this machine, and what to do.
    """
    host, separator, port = value.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ValueError("expected HOST:PORT such as 127.0.0.1:50051 or [::1]:50051, the port at most 65535")
    if not is_open and not _is_loopback(host):
        raise ValueError(f"expected a loopback address such as 127.0.0.1: {otherwise}")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
