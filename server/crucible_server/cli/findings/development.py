"""The level Development, where the operator allows it: whether this machine can give it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crucible_server.cli.findings.finding import Finding, Status
from crucible_server.cli.findings.toolchain import ISOLATION, ready_of, standard_error

if TYPE_CHECKING:
    from crucible_server.config import ServerConfig


def look(config: ServerConfig) -> Iterator[Finding]:
    """A finding when the level is allowed, else none. Has to run in the main thread, as the interpreter's own."""
    if not config.allow_development:
        return
    from crucible_server.engine.isolation import DEVELOPMENT
    from crucible_server.errors import ServiceError

    with standard_error():
        try:
            ready = asyncio.run(ready_of(config.vm_path, DEVELOPMENT.flags))
        except ServiceError as error:
            detail = f"the level is allowed, but this machine cannot give it: {error.message}"
            advice = "until then requests for it are refused; the other levels need nothing of it"
            yield Finding(ISOLATION, "development", Status.WARNING, detail, advice)
            return
    for layer in ready.layers:
        yield Finding(ISOLATION, layer.name, Status.OK, layer.detail)
