"""Links that come and go under the file broker while native code asks for what is behind them."""

from __future__ import annotations

import pytest

import crucible
from tests.escape.canaries import Canaries
from tests.escape.paths import RACE, RACES, Places
from tests.escape.table import Rows, row
from tests.escape.test_escape import DEADLINE

TIMES = 1000
"""In one execution."""
ROUNDS = 3


@pytest.mark.parametrize("call", RACES)
def test_a_link_in_the_place_of_a_folder(
    call: str, attacker: crucible.Client, canaries: Canaries, places: Places, rows: Rows
) -> None:
    argument = f"{TIMES} crucible.fs.{call} {RACES[call]}"
    source = f"//! escape: {RACE} {argument}\npub fn main() {{ 1 }}"
    with row(rows, RACE, "win a race with a link", "file broker", argument) as told:
        with places.turning() as turning:
            for _ in range(ROUNDS):
                result = attacker.run(source, level="production", deadline=DEADLINE)
                assert "secret" not in str(result.value).replace("turning/secret", ""), result.value
            assert turning.turns > TIMES, "nothing turned"
            told["stopped_by"] = f"{turning.turns} turns in {ROUNDS * TIMES} calls: {result.value}"
        places.look()
        canaries.look(attacker)
