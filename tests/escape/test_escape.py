"""Native hostile code in the complete jail: each attempt is stopped, told as what it was, and harms nobody else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import crucible
from tests.escape.attempts import ATTEMPTS, HEAP, Attempt, on_this_machine
from tests.escape.canaries import MAX_GROWTH, Canaries, Neighbour, resident_bytes
from tests.escape.conftest import AS_USER, MODE, MODES, UNIT_KEY
from tests.escape.paths import PATHS, RACE
from tests.escape.requests import REQUESTS
from tests.escape.table import Rows, row
from tests.modules.web import Web
from tests.servers import children_of

SOURCES = Path(__file__).resolve().parents[2] / "vm" / "src" / "escape"
DEADLINE = 60.0


def fill_in(attempt: Attempt, canaries: Canaries, web: Web) -> str:
    """The argument of an attempt on this server."""
    siblings = children_of(canaries.zygote)
    return attempt.argument.format(
        server=canaries.server.pid,
        zygote=canaries.zygote,
        sibling=siblings[0] if siblings else canaries.zygote,
        port=canaries.server.address.rpartition(":")[2],
        own_port=canaries.own_port,
        canary=canaries.file,
        heap=HEAP,
        web=web.url,
        web_port=web.port,
        outside=canaries.places.outside,
        inside=canaries.inside.url,
        inside_port=canaries.inside.port,
        # Backwards, so that it does not find what it was given.
        secret=canaries.secret[::-1],
        key=UNIT_KEY[::-1],
    )


@pytest.mark.parametrize("attempt", ATTEMPTS + REQUESTS + PATHS, ids=lambda attempt: attempt.id)
def test_attempt(
    attempt: Attempt,
    attacker: crucible.Client,
    neighbour: crucible.CompiledScript,
    canaries: Canaries,
    web: Web,
    rows: Rows,
) -> None:
    source = f"//! escape: {attempt.name} {fill_in(attempt, canaries, web)}\npub fn main() {{ 1 }}"
    # Its limits would be those of the compiler as well, which some leave half a second.
    attacker.compile(source, level=attempt.level)
    before = resident_bytes(canaries.server.pid)
    with row(rows, attempt.name, attempt.tries, attempt.stop.layer, attempt.argument) as told:
        with Neighbour(attacker, neighbour):
            result = attacker.run(source, check=False, level=attempt.level, limits=attempt.limits, deadline=DEADLINE)
        told["stopped_by"] = attempt.stop.check(result)
        canaries.look(attacker)
        assert resident_bytes(canaries.server.pid) < before + MAX_GROWTH, "the server was made to grow"


def test_the_layers_are_those_of_the_mode(attacker: crucible.Client) -> None:
    layers = {layer.name: layer for layer in attacker.health().isolation_layers}
    off = MODES[MODE.removeprefix(AS_USER)]
    for name, layer in layers.items():
        if name.upper() in off or (name.endswith("_namespace") and "NAMESPACES" in off):
            assert (layer.active, layer.detail) == (False, "turned off by the operator"), name
        else:
            # What is missing besides is what the machine lacks.
            assert layer.active or "turned off" not in layer.detail, name


def test_the_search_finds_what_is_there(attacker: crucible.Client) -> None:
    """Text of the zygote: that a secret was not found then says something."""
    backwards = "hcuot stpircs tsom tahw sehcuoT"
    result = attacker.run(f"//! escape: search-memory {backwards}\npub fn main() {{ 1 }}", deadline=DEADLINE)
    assert "gained: a secret of another script" in result.value


def test_every_attempt_is_in_the_table() -> None:
    written = set()
    for path in SOURCES.glob("*.rs"):
        written |= set(re.findall(r'\(\s*"([a-z0-9-]+)",\s*\|', path.read_text()))
    # Any call by its number: see the test of the table of calls.
    written.remove("call")
    tried = {RACE, *(attempt.name for attempt in ATTEMPTS + REQUESTS + PATHS)}
    assert {name for name in written if on_this_machine(name)} == tried
    assert len(written) > 200
