"""kill -9 at random moments under load, again and again: nothing acknowledged is lost, and nothing runs twice.

`LONG_TESTS=1 python -m pytest tests/load/test_kill_loop.py` kills a hundred times and at other moments each time;
KILLS says how often, KILL_SEED repeats one choice of moments as far as a race can be repeated.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

import crucible
from tests.conftest import StartServer
from tests.engine.processes import PATIENCE, wait_gone, wait_until
from tests.lengths import LONG, TIMEOUT
from tests.load.careful import TALKER, CarefulClients, History, Place
from tests.load.evidence import check_history, check_interrupted, left_behind
from tests.servers import RunningServer, children_of

pytestmark = pytest.mark.timeout(TIMEOUT)

KILLS = int(os.environ.get("KILLS", "100" if LONG else "7"))
SEED = int(os.environ.get("KILL_SEED", str(random.randrange(2**32)) if LONG else "4"))
CLIENTS = 8
# Fewer run at once than there are clients: some wait in the queue when the server is killed.
SETTINGS = {"CRUCIBLE_GRACE_PERIOD": "0.05", "CRUCIBLE_MAX_CONCURRENT_EXECUTIONS": "5"}
SHORTEST, LONGEST = 0.2, 1.2
"""Seconds from one kill to the next."""


def kill_all(pids: Sequence[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Killer:
    """Kills a server or parts of it; what it began on the same data takes its place."""

    def __init__(self, start_server: StartServer, data_dir: Path, chance: random.Random) -> None:
        self._start_server = start_server
        self._data_dir = data_dir
        self._chance = chance
        self.servers: list[RunningServer] = []
        self.interrupted = 0

    def start(self) -> RunningServer:
        self.servers.append(self._start_server(self._data_dir, **SETTINGS))
        return self.servers[-1]

    def kill_server(self, place: Place, copy: Path, *, with_family: bool) -> None:
        """Kills it, alone or with its zygote and children in any order; starts it again; looks at what it left."""
        server = self.servers[-1]
        zygotes = children_of(server.pid)
        family = zygotes + [child for zygote in zygotes for child in children_of(zygote)]
        doomed = [server.pid, *family] if with_family else [server.pid]
        self._chance.shuffle(doomed)
        kill_all(doomed)
        server.kill()
        wait_gone(family)
        left = left_behind(self._data_dir, copy)
        self.interrupted += len(left)
        # Clients come back at once, while this is compared.
        place.address = self.start().address
        with crucible.Client(place.address) as client:
            check_interrupted(client, left)

    def terminate_server(self, place: Place, copy: Path) -> None:
        """Stops it in order with what runs, and starts it again. It leaves nothing unfinished."""
        assert self.servers[-1].terminate() == 0
        assert left_behind(self._data_dir, copy) == {}
        place.address = self.start().address

    def kill_interpreter(self, *, zygote: bool, children: bool) -> None:
        """Kills the zygote, some of its children, or both at once. The server stays."""
        zygotes = children_of(self.servers[-1].pid)
        doomed = [child for pid in zygotes for child in children_of(pid) if self._chance.random() < 0.7 or zygote]
        kill_all(([*doomed] if children else []) + (zygotes if zygote else []))


def succeeded(history: History) -> int:
    # A copy first: clients write to it.
    return sum(result.success for result in list(history.results.values()))


@pytest.mark.sqlite
def test_kill_at_random_moments_under_load(start_server: StartServer, tmp_path: Path) -> None:
    print(f"KILL_SEED={SEED}")
    chance = random.Random(SEED)
    killer = Killer(start_server, tmp_path / "data", chance)
    place = Place(killer.start().address)
    with crucible.Client(place.address) as client:
        script_id = client.compile(TALKER).script_id
    with CarefulClients(place, script_id, CLIENTS, seed=1) as load:
        for number in range(KILLS):
            time.sleep(chance.uniform(SHORTEST, LONGEST))
            # In turns the server, what is below it, and all of it at once.
            match number % 7:
                case 2:
                    killer.kill_interpreter(zygote=True, children=chance.random() < 0.5)
                case 4:
                    killer.kill_interpreter(zygote=False, children=True)
                case 5:
                    killer.kill_server(place, tmp_path / "copy", with_family=True)
                case 6:
                    killer.terminate_server(place, tmp_path / "copy")
                case _:
                    killer.kill_server(place, tmp_path / "copy", with_family=False)
        # However slow the machine is, they get on.
        wait_until(
            lambda: bool(load.history.faults) or succeeded(load.history) > CLIENTS * KILLS,
            "too little has succeeded",
            3 * PATIENCE,
        )
    with crucible.Client(place.address) as client:
        states = check_history(client, load.history, killer.servers)
    print(f"{KILLS} kills, {len(killer.servers)} servers, {killer.interrupted} left unfinished, {dict(states)}")
    assert states["SUCCEEDED"] > CLIENTS * KILLS
    # Besides those that a server ended itself when it was stopped in order.
    assert states["INTERRUPTED"] >= killer.interrupted > 0
    assert states.keys() <= {"SUCCEEDED", "INTERRUPTED", "FAILED"}
