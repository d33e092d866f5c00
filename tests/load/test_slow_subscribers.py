"""Subscribers who never read cost the others nothing, and miss nothing once they do read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

import crucible
from crucible.v1 import event_service_pb2 as pb
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from tests.lengths import LONG, TIMEOUT
from tests.servers import RunningServer

STALLED = 20
SAMPLES = 5_000 if LONG else 1_000
TRIES = 4
# More than the server keeps in memory, and than the windows of a connection take.
HISTORY, DATA = 25_000, b"x" * 2000
SETTINGS = {"CRUCIBLE_EVENTS__MAX_EMITTED_PER_MINUTE": "100000000"}

pytestmark = pytest.mark.timeout(TIMEOUT)


def percentile(samples: list[float], share: float) -> float:
    """The sample below which `share` of them lie."""
    return sorted(samples)[int(share * len(samples))]


def fill(client: crucible.Client) -> None:
    """Emits a history."""
    for _ in range(HISTORY // 100):
        client.emit_all([crucible.NewEvent("slow.history", DATA)] * 100)


def delivery(client: crucible.Client) -> Callable[[], float]:
    """Emits an event and reads it as a subscriber; the seconds that took."""
    subscription = client.subscribe("slow.measured")
    events = iter(subscription)

    def once() -> float:
        began = time.perf_counter()
        emitted = client.emit("slow.measured")
        assert next(events).sequence == emitted.sequence
        return time.perf_counter() - began

    return once


def execution(client: crucible.Client) -> Callable[[], float]:
    """Runs a small script; the seconds that took."""
    script = client.compile("pub fn main() { 1 }")

    def once() -> float:
        began = time.perf_counter()
        client.run(script)
        return time.perf_counter() - began

    return once


def by_turns(calls: Sequence[Callable[[], float]], count: int) -> tuple[list[float], list[float]]:
    """Samples of two, one after the other: both see the same moods of the machine."""
    pairs = [(calls[0](), calls[1]()) for _ in range(count)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def test_who_never_reads_costs_the_others_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        clients = []
        for name in ("alone", "beset"):
            server = stack.enter_context(RunningServer(tmp_path / name, SETTINGS))
            clients.append(stack.enter_context(crucible.Client(server.address)))
        _, beset = clients
        calls = []
        for _ in range(STALLED):
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = stack.enter_context(grpc.insecure_channel(server.address, options))
            call = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(after_sequence=0))
            started = next(iter(call)).started
            assert started.subscription_id
            calls.append(call)
        for client in clients:
            fill(client)
        deliveries = [delivery(client) for client in clients]
        executions = [execution(client) for client in clients]
        by_turns(deliveries, 50)
        by_turns(executions, 20)
        ratios = []
        for _ in range(TRIES):
            # What else the machine does falls on either at random: it is the best of some tries that counts.
            ratios.append(
                tuple(
                    percentile(slow, 0.99) / percentile(quiet, 0.99)
                    for quiet, slow in (by_turns(deliveries, SAMPLES), by_turns(executions, SAMPLES // 10))
                )
            )
            if all(ratio <= 1.2 for ratio in ratios[-1]):
                break
        print(f"p99 with {STALLED} who never read / without: {ratios}")
        assert min(each[0] for each in ratios) <= 1.2
        assert min(each[1] for each in ratios) <= 1.2
        # They read at last: all of it, in order, and they are told that they were slow.
        last = beset.emit("slow.last").sequence
        for call in calls[:3]:
            seen: list[int] = []
            lagged = 0
            while not seen or seen[-1] < last:
                response = next(iter(call))
                lagged += response.WhichOneof("message") == "lagged"
                seen += [event.sequence for event in response.batch.events]
            # Other events than these are told as well, of scripts that ran.
            assert seen == list(range(started.last_sequence + 1, last + 1)) or seen == list(range(1, last + 1))
            assert lagged >= 1
