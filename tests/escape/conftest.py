"""The escape suite: a server whose children run hostile native code on request, and the table of what became of it."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import crucible
from tests.escape.canaries import NEIGHBOUR, SETTINGS, Canaries
from tests.escape.paths import Places
from tests.escape.requests import redirecting
from tests.escape.table import Rows
from tests.modules.web import Web
from tests.servers import RunningServer

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "escape" / "crucible-vm"
MODES = {
    "deep": (),
    "without-namespaces": ("NAMESPACES",),
    "without-landlock": ("LANDLOCK",),
    "without-cgroup": ("CGROUP",),
    # What is left is never optional.
    "bare": ("NAMESPACES", "LANDLOCK", "CGROUP"),
}
AS_USER = "unprivileged-"


def mode_of(text: str | None) -> str:
    """The mode that CRUCIBLE_ESCAPE_MODE names, `deep` when it is empty or not set. Raises UsageError for one that is
    none."""
    mode = text or "deep"
    if mode.removeprefix(AS_USER) not in MODES:
        known = f"{', '.join(MODES)}, with or without {AS_USER} before"
        raise pytest.UsageError(f"CRUCIBLE_ESCAPE_MODE: expected {known}, got {text!r}")
    return mode


MODE = mode_of(os.environ.get("CRUCIBLE_ESCAPE_MODE"))
"""With every layer the machine gives, or one of MODES; with `unprivileged-` before it as another user than root."""
USER = 12345
REPORT = ROOT / "build" / ("escape.json" if MODE == "deep" else f"escape-{MODE}.json")
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
def web() -> Iterator[Web]:
    """The one server that scripts may ask."""
    with Web() as running:
        yield running


@pytest.fixture(scope="session")
def inside() -> Iterator[Web]:
    """A server on the same machine that they may not."""
    with Web("127.0.0.1") as running:
        yield running


@pytest.fixture(scope="session")
def user() -> int | None:
    """Whom the server runs as; None is whoever runs the tests."""
    if not MODE.startswith(AS_USER):
        return None
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    return USER


@pytest.fixture(scope="session")
def places(user: int | None) -> Iterator[Places]:
    """The files that scripts may ask for."""
    # Not below the folders of pytest, which are closed to other users.
    with tempfile.TemporaryDirectory(prefix="escape-files-") as folder:
        made = Places(_given_to(user, Path(folder)))
        if user is not None:
            made.own(user)
        yield made


@pytest.fixture(scope="session")
def escape_server(escape_vm: Path, web: Web, inside: Web, places: Places, user: int | None) -> Iterator[RunningServer]:
    """A server of that variant; in all else the shipped one."""
    settings = {
        **{f"CRUCIBLE_ISOLATION__{layer}": "false" for layer in MODES[MODE.removeprefix(AS_USER)]},
        **SETTINGS,
        **places.settings(),
        "CRUCIBLE_VM": str(escape_vm),
        "CRUCIBLE_UNIT_KEY": UNIT_KEY,
        # Names without a port are those of public hosts, wherever they lead.
        "CRUCIBLE_ENGINE__HTTP__ALLOW": json.dumps([web.url, "http://localhost"]),
    }
    with (
        tempfile.TemporaryDirectory(prefix="escape-") as folder,
        RunningServer(_given_to(user, Path(folder)), settings, user) as running,
    ):
        port = running.address.rpartition(":")[2]
        redirecting(web, inside=inside.url, inside_port=f"{inside.port}", port=port)
        with crucible.Client(running.address) as client:
            layers = client.health().isolation_layers
        _about.update(
            mode=MODE,
            uid=os.getuid() if user is None else user,
            kernel=platform.release(),
            machine=platform.machine(),
            layers={layer.name: layer.active for layer in layers},
        )
        yield running


def _given_to(user: int | None, folder: Path) -> Path:
    if user is not None:
        os.chown(folder, user, user)
    return folder


@pytest.fixture(scope="session")
def attacker(escape_server: RunningServer) -> Iterator[crucible.Client]:
    """A client of it, without retries: what is tried is tried once."""
    with crucible.Client(escape_server.address, options=[("grpc.enable_retries", 0)]) as client:
        yield client


@pytest.fixture(scope="session")
def canaries(
    escape_server: RunningServer,
    attacker: crucible.Client,
    tmp_path_factory: pytest.TempPathFactory,
    inside: Web,
    places: Places,
) -> Canaries:
    """What must not be harmed."""
    watched = Canaries(escape_server, tmp_path_factory.mktemp("canaries") / "open", inside, places)
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
        terminalreporter.write_line(f"{mark} {attempt[:72]:44} {row['expected']:26} {row['stopped_by'][:88]}")
    if _about:
        layers = ", ".join(name for name, is_active in _about["layers"].items() if is_active)
        terminalreporter.write_line(f"as user {_about['uid']}, with {layers}")
    terminalreporter.write_line(f"{stopped} of {len(_rows)} attempts stopped; written to {REPORT}")
