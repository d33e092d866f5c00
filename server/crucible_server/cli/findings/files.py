"""The files of scripts: whether there are any, and whether the file broker can be confined to them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crucible_server.cli.findings.finding import Finding, Status, of_layer

if TYPE_CHECKING:
    from crucible.v1 import server_info_pb2
    from crucible_server.config import ServerConfig

GROUP = "files"


def look(config: ServerConfig) -> Iterator[Finding]:
    """Findings on `crucible::fs`. Has to run in the main thread, whose end ends the broker.

    Bounded in time, as the broker is given ten seconds to be ready.
    """
    files = config.engine.files
    if not files.allow_file_access:
        yield Finding(GROUP, "access", Status.OK, "none: scripts have no crucible::fs (engine.files.allow_file_access)")
        from crucible_server.files.client import layers_without

        yield from map(_finding, layers_without(config.require_isolation))
        return
    roots = ", ".join(f"{name} ({root.access}) {root.path}" for name, root in files.roots.items())
    yield Finding(GROUP, "access", Status.OK, f"scripts of Production have {roots}")
    if not os.access(config.vm_path, os.X_OK):
        return
    yield from _start(config)


def _start(config: ServerConfig) -> Iterator[Finding]:
    from crucible_server.errors import ServiceError
    from crucible_server.layers import mark_required

    try:
        layers = asyncio.run(_layers(config))
    except ServiceError as error:
        advice = "a server would not start: correct [engine.files], or the rights of the directories"
        yield Finding(GROUP, "broker", Status.ERROR, error.message, advice)
        return
    yield Finding(GROUP, "broker", Status.OK, "starts, and is confined to its roots")
    mark_required(layers, config.require_isolation)
    yield from map(_finding, layers)


def _finding(layer: server_info_pb2.IsolationLayer) -> Finding:
    return of_layer(GROUP, layer, "require_isolation asks for it: do what it says, or require it no more")


async def _layers(config: ServerConfig) -> list[server_info_pb2.IsolationLayer]:
    from crucible_server.files.client import Files

    files = Files(config.vm_path, config.engine.files)
    try:
        await files.start()
        return files.layers
    finally:
        await files.stop()
