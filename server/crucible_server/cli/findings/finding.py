"""One thing that the doctor looked at, and the bound on how long it may look."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crucible.v1 import server_info_pb2

PROBE_SECONDS = 15.0
"""How long a group of probes may take."""


class Status(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """One finding. `advice` says what to do, and is empty when there is nothing to do."""

    group: str
    name: str
    status: Status
    detail: str
    advice: str = ""


def of_layer(group: str, layer: server_info_pb2.IsolationLayer, required_advice: str) -> Finding:
    """The finding on a layer of isolation; `required_advice` is for one that is required and not there."""
    if layer.active:
        return Finding(group, layer.name, Status.OK, layer.detail)
    if layer.required:
        return Finding(group, layer.name, Status.ERROR, layer.detail, required_advice)
    optional = "nothing has to be done: it would add depth, and no server needs it"
    return Finding(group, layer.name, Status.WARNING, layer.detail, optional)


def bounded(group: str, probe: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a probe finds; a finding about the probe itself when it hangs or fails."""
    found: list[Finding] = []
    failure: list[Exception] = []

    def look() -> None:
        try:
            # One by one, so that what came before a hang or a failure is kept.
            for finding in probe():
                found.append(finding)  # noqa: PERF402
        except Exception as error:
            failure.append(error)

    # A daemon, as a thread that waits for a dead disk cannot be ended.
    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if thread.is_alive():
        detail = f"no answer within {PROBE_SECONDS:.0f} s: a disk or a network file system that hangs?"
        found.append(Finding(group, "probe", Status.ERROR, detail, "look into the kernel's log (dmesg)"))
    elif failure:
        detail = f"the probe itself failed: {type(failure[0]).__name__}: {failure[0]}"
        found.append(Finding(group, "probe", Status.WARNING, detail, "please report it"))
    return found


def read(path: str) -> str:
    """What a file of the kernel says; empty when there is none, or it cannot be read."""
    with contextlib.suppress(OSError):
        return Path(path).read_text("ascii", "replace").strip()
    return ""
