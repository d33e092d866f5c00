"""The interpreter: whether it starts, what it is, and which layers of isolation it gives here."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from crucible_server import __version__
from crucible_server.cli.findings.finding import Finding, Status, of_layer

if TYPE_CHECKING:
    from crucible.vm.v1 import zygote_pb2
    from crucible_server.config import ServerConfig

GROUP = "toolchain"
ISOLATION = "isolation"
_INSTALL = "install it (`pip install` of this package builds it), or name it by CRUCIBLE_VM or `vm_path`"
_REQUIRED = "it is required, by require_isolation or always: look at its reason and at the findings on the kernel"
_MAX_SAID = 500


def look_at_programs(config: ServerConfig | None) -> Iterator[Finding]:
    """Findings on Crucible, Python and the interpreter. Has to run in the main thread, whose end ends the interpreter.

    Bounded in time, as the interpreter is given ten seconds to be ready.
    """
    yield Finding(GROUP, "crucible", Status.OK, f"{__version__}, Python {platform.python_version()}, {sys.executable}")
    if config is None:
        return
    vm_path = config.vm_path
    if not vm_path.is_file():
        detail = f"expected the interpreter at {vm_path}, and there is no such file"
        yield Finding(GROUP, "crucible-vm", Status.ERROR, detail, _INSTALL)
        return
    if not os.access(vm_path, os.X_OK):
        detail = f"{vm_path} may not be executed by this user"
        yield Finding(GROUP, "crucible-vm", Status.ERROR, detail, f"run `chmod +x {vm_path}`")
        return
    yield from _start(config)


def _start(config: ServerConfig) -> Iterator[Finding]:
    from crucible_server.engine.isolation import Isolation
    from crucible_server.engine.zygote import PROTOCOL_VERSION
    from crucible_server.errors import ServiceError

    vm_path = config.vm_path
    isolation = Isolation(config.isolation, config.require_isolation)
    isolation.foresee()
    with standard_error() as said:
        try:
            ready = asyncio.run(ready_of(vm_path, isolation.flags))
        except ServiceError as error:
            said.seek(0)
            words = said.read(_MAX_SAID).decode("utf-8", "replace").strip()
            detail = error.message + (f"; it said: {words}" if words else "")
            advice = "look at the findings on the kernel below; if all is well there, reinstall this version"
            yield Finding(GROUP, "crucible-vm", Status.ERROR, detail, advice)
            return
    yield Finding(GROUP, "crucible-vm", Status.OK, f"{vm_path} starts and is ready to fork")
    if ready.vm_version == __version__:
        yield Finding(GROUP, "version", Status.OK, f"{ready.vm_version}, frames of version {PROTOCOL_VERSION}")
    else:
        detail = f"expected {__version__} like the server, got {ready.vm_version}"
        yield Finding(GROUP, "version", Status.WARNING, detail, "install server and crucible-vm of one version")
    yield Finding(GROUP, "rune", Status.OK, f"{ready.rune_version}, patches {ready.rune_patch_level}")
    for layer in isolation.described(ready).layers:
        yield of_layer(ISOLATION, layer, _REQUIRED)


async def ready_of(vm_path: Path, flags: Sequence[str]) -> zygote_pb2.Ready:
    """What a zygote with these flags says once it is ready; it is then stopped. Raises ServiceError like its start."""
    from crucible_server.engine.zygote import Zygote

    zygote = Zygote(vm_path, lambda _: None, flags)
    try:
        return await zygote.start()
    finally:
        await zygote.stop()


@contextmanager
def standard_error() -> Iterator[BinaryIO]:
    """Keeps what the interpreter writes to standard error, which it shares with us."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
