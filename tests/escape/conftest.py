"""The escape suite: a server whose children run hostile native code on request, and the table of what became of it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crucible
from tests.escape.canaries import NEIGHBOUR, SETTINGS, Canaries
from tests.escape.table import Rows
from tests.servers import RunningServer

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "vm" / "target" / "escape" / "crucible-vm"
REPORT = Path(os.environ.get("CRUCIBLE_ESCAPE_REPORT", ROOT / "build" / "escape.json"))
UNIT_KEY = "5ec2e7" * 10 + "0bad"

_rows: Rows = []
_about: dict[str, Any] = {}


@pytest.fixture(scope="session")
def escape_vm() -> Path:
    """The variant that runs hostile code: $CRUCIBLE_ESCAPE_VM, or where `make test-escape` builds it."""
    if named := os.environ.get("CRUCIBLE_ESCAPE_VM"):
        return Path(named)
    if not BUILT.exists():
        pytest.skip(f"there is no {BUILT}: run `make test-escape`")
    return BUILT


@pytest.fixture(scope="session")
def escape_server(escape_vm: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of that variant; in all else the shipped one."""
    settings = {**SETTINGS, "CRUCIBLE_VM": str(escape_vm), "CRUCIBLE_UNIT_KEY": UNIT_KEY}
    with RunningServer(tmp_path_factory.mktemp("escape"), settings) as running:
        with crucible.Client(running.address) as client:
            layers = client.health().isolation_layers
        _about.update(
            uid=os.getuid(),
            kernel=platform.release(),
            machine=platform.machine(),
            layers={layer.name: layer.active for layer in layers},
        )
        yield running


@pytest.fixture(scope="session")
def attacker(escape_server: RunningServer) -> Iterator[crucible.Client]:
    """A client of it, without retries: what is tried is tried once."""
    with crucible.Client(escape_server.address, options=[("grpc.enable_retries", 0)]) as client:
        yield client


@pytest.fixture(scope="session")
def canaries(
    escape_server: RunningServer, attacker: crucible.Client, tmp_path_factory: pytest.TempPathFactory
) -> Canaries:
    """What must not be harmed."""
    watched = Canaries(escape_server, tmp_path_factory.mktemp("canaries") / "open")
    watched.share_secret(attacker)
    return watched


@pytest.fixture(scope="session")
def neighbour(attacker: crucible.Client) -> crucible.CompiledScript:
    """The script of somebody else."""
    return attacker.compile(NEIGHBOUR)


@pytest.fixture(scope="session")
def rows() -> Rows:
    """The table so far."""
    return _rows


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table and writes it to build/escape.json."""
    if not _rows:
        return
    stopped = sum(row["stopped"] for row in _rows)
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(
        json.dumps({**_about, "tried": len(_rows), "stopped": stopped, "attempts": _rows}, indent=1) + "\n"
    )
    terminalreporter.section("escape suite")
    for row in _rows:
        mark = " " if row["stopped"] else "!"
        attempt = f"{row['attempt']} {row['argument']}".strip()
        terminalreporter.write_line(f"{mark} {attempt:44} {row['expected']:26} {row['stopped_by'][:88]}")
    terminalreporter.write_line(f"{stopped} of {len(_rows)} attempts stopped; written to {REPORT}")
