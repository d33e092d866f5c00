"""kill -9 between the acknowledgement of events and their delivery: none is lost, none comes twice."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from pathlib import Path

import pytest

import crucible
from tests.engine.processes import wait_until
from tests.lengths import LONG, TIMEOUT
from tests.servers import RunningServer

ROUNDS = 30 if LONG else 4

pytestmark = pytest.mark.timeout(TIMEOUT)


def emit(address: str, acknowledged: list[tuple[int, int]], stop: threading.Event) -> None:
    """Emits numbered events one by one, until told to stop; notes those that the server has acknowledged.

    One whose answer was lost is sent again under the same id, as clients do; also the last, which may be stored.
    """
    number = 0
    with crucible.Client(address) as client:
        while True:
            try:
                emitted = client.emit("kill.test", number, event_id=f"n-{number}")
            except crucible.CrucibleError:
                time.sleep(0.02)
                continue
            acknowledged.append((emitted.sequence, number))
            number += 1
            if stop.is_set():
                return


def has_more(events: list[tuple[int, int]], number: int) -> bool:
    return len(events) > number


def test_what_is_acknowledged_is_delivered_once_whenever_the_server_dies(tmp_path: Path) -> None:
    luck = random.Random(11)
    server = RunningServer(tmp_path).start()
    address = server.address
    acknowledged: list[tuple[int, int]] = []
    delivered: list[tuple[int, int]] = []
    stop = threading.Event()

    def follow() -> None:
        with crucible.Client(address) as client:
            # A server that is up for half a second at a time may be missed for a while.
            subscription = client.subscribe("kill.test", after=0, resume=TIMEOUT)
            subscriptions.append(subscription)
            # One by one as they come, not a list in the end.
            delivered.extend((event.sequence, event.data) for event in subscription)

    subscriptions: list[crucible.Subscription] = []
    threads = [
        threading.Thread(target=emit, args=(address, acknowledged, stop), daemon=True),
        threading.Thread(target=follow, daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        # To begin with, a subscription needs a server.
        wait_until(lambda: subscriptions, "the subscription does not begin")
        for _ in range(ROUNDS):
            # A client looks for a server that it has lost after some seconds only.
            enough = len(acknowledged) + 10
            wait_until(partial(has_more, acknowledged, enough), "nothing is acknowledged")
            time.sleep(luck.random() * 0.5)
            server.kill()
            server = RunningServer(tmp_path, listen=address).start()
        time.sleep(0.5)
        stop.set()
        threads[0].join(60)
        assert not threads[0].is_alive()
        until = time.monotonic() + 90
        while (not delivered or delivered[-1] != acknowledged[-1]) and time.monotonic() < until:
            time.sleep(0.05)
        assert delivered == acknowledged
        assert [number for _, number in delivered] == list(range(len(delivered)))
        assert len(delivered) > ROUNDS * 10
        subscriptions[0].close()
        threads[1].join(30)
    finally:
        stop.set()
        server.kill()
