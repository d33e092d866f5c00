"""The configuration, and whether the address is free or a server answers there."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crucible_server import __version__
from crucible_server.cli.findings.finding import Finding, Status

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig

CONFIGURATION = "configuration"
GROUP = "address"
_ANSWER_SECONDS = 3.0


def look_at_configuration(file: Path | None, overrides: Mapping[str, Any]) -> tuple[ServerConfig | None, list[Finding]]:
    """The configuration, or None and what is wrong with it."""
    from crucible_server.config import ConfigError, load_config

    try:
        config = load_config(file, overrides)
    except ConfigError as error:
        advice = "correct it; server/crucible_server/config/models.py has every key with its default"
        return None, [Finding(CONFIGURATION, "settings", Status.ERROR, problem, advice) for problem in error.problems]
    source = f"{file} and the environment" if file else "defaults and the environment"
    return config, [Finding(CONFIGURATION, "settings", Status.OK, f"valid ({source}); data in {config.data_dir}")]


def look_at_address(config: ServerConfig) -> Iterator[Finding]:
    """Findings on the address that the server is to listen on."""
    host, _, digits = config.listen.rpartition(":")
    port = int(digits)
    if port == 0:
        yield Finding(GROUP, "listen", Status.OK, f"{config.listen}: takes a free port")
        return
    problem = _bind(host.strip("[]"), port)
    if problem is None:
        yield Finding(GROUP, "listen", Status.OK, f"{config.listen} is free")
    elif problem.errno == errno.EADDRINUSE:
        yield _ask(config.listen)
    else:
        advice = "choose another with --listen" + ("; ports below 1024 are for root" if port < 1024 else "")
        yield Finding(GROUP, "listen", Status.ERROR, f"{config.listen}: {problem.strerror}", advice)


def _bind(host: str, port: int) -> OSError | None:
    """Why the address cannot be had; nothing listens there meanwhile, so that nobody is turned away."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # As servers do: connections that ended a moment ago do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _ask(address: str) -> Finding:
    import grpc

    from crucible.v1 import script_service_pb2
    from crucible.v1.script_service_pb2_grpc import ScriptServiceStub

    with grpc.insecure_channel(address) as channel:
        try:
            stub = ScriptServiceStub(channel)
            server = stub.GetServerInfo(script_service_pb2.GetServerInfoRequest(), timeout=_ANSWER_SECONDS).server
        except grpc.RpcError:
            return Finding(
                GROUP,
                "listen",
                Status.ERROR,
                f"{address} is taken, and no Crucible server answers there",
                "end the program that has it (`ss -ltnp` names it), or choose another address with --listen",
            )
    detail = f"a server answers at {address}: version {server.version}, Rune {server.rune_version}"
    if server.version == __version__:
        return Finding(GROUP, "listen", Status.OK, detail)
    return Finding(GROUP, "listen", Status.WARNING, f"{detail}; this is {__version__}", "restart it with this version")
