"""Subscribers who come back to a long history of large events: they catch up, and do not fill the server's memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest

import crucible
from crucible.v1 import event_service_pb2 as pb
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from crucible_server.events.flight import MAX_BATCH_BYTES, SMALL_BYTES, Flight
from tests.engine.processes import resident_bytes
from tests.servers import RunningServer

EVENTS, DATA = 700, b"x" * 60_000
STALLED = 40


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with more than it keeps in memory."""
    with RunningServer(tmp_path_factory.mktemp("history")) as server, crucible.Client(server.address) as client:
        for _ in range(EVENTS // 50):
            client.emit_all([crucible.NewEvent("long.history", DATA)] * 50)
        yield server


def test_a_client_with_the_default_limits_gets_all_of_it(history: RunningServer) -> None:
    with grpc.insecure_channel(history.address) as channel:
        call = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(after_sequence=0), timeout=60)
        last = next(iter(call)).started.last_sequence
        seen: list[int] = []
        while not seen or seen[-1] < last:
            response = next(iter(call))
            assert response.batch.ByteSize() <= MAX_BATCH_BYTES + 1024
            seen += [event.sequence for event in response.batch.events]
        # What comes meanwhile may be in the last message as well.
        assert seen == list(range(1, seen[-1] + 1))
        assert last >= EVENTS


def test_a_page_of_a_list_is_what_clients_take(history: RunningServer) -> None:
    with grpc.insecure_channel(history.address) as channel:
        stub, request = EventServiceStub(channel), pb.ListEventsRequest(page_size=1000)
        request.filter.types.append("long.history")
        seen: list[int] = []
        while True:
            page = stub.ListEvents(request)
            assert page.ByteSize() <= 2 * 1024 * 1024 + 64 * 1024
            seen += [event.sequence for event in page.events]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        assert len(seen) == EVENTS
        assert seen == sorted(seen, reverse=True)


def test_those_who_stop_reading_hold_little_memory(history: RunningServer) -> None:
    with ExitStack() as stack:
        before = resident_bytes(history.pid)
        calls = []
        for _ in range(STALLED):
            options = [("grpc.use_local_subchannel_pool", 1)]
            channel = stack.enter_context(grpc.insecure_channel(history.address, options))
            call = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(after_sequence=0))
            assert next(iter(call)).started.subscription_id
            calls.append(call)
        most, until = 0, time.monotonic() + 5
        while time.monotonic() < until:
            most = max(most, resident_bytes(history.pid) - before)
            time.sleep(0.1)
        # Of a page of the history, as many events as a page has, each holds a small part.
        ratio = most / STALLED / (256 * len(DATA))
        print(f"{most / STALLED / 1e6:.2f} MB for each, {ratio:.2f} of a page")
        assert ratio < 0.25
        with grpc.insecure_channel(history.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = EventServiceStub(channel).Subscribe(pb.SubscribeRequest(after_sequence=0), timeout=60)
            last, seen = next(iter(call)).started.last_sequence, 0
            while seen < last:
                seen = next(iter(call)).batch.events[-1].sequence


async def test_what_is_on_its_way_is_bounded_and_goes_in_turn() -> None:
    flight = Flight(total=100 * 1024)
    await flight.take(60 * 1024)
    second, third = (asyncio.create_task(flight.take(size)) for size in (90 * 1024, 40 * 1024))
    await asyncio.sleep(0)
    # Whoever reads what happens waits for nobody.
    await flight.take(SMALL_BYTES)
    assert not second.done()
    assert not third.done()
    flight.give_back(60 * 1024)
    await asyncio.sleep(0)
    assert not second.done()
    flight.give_back(SMALL_BYTES)
    await second
    assert not third.done()
    flight.give_back(90 * 1024)
    await third
    assert flight.used == 40 * 1024


async def test_who_gives_up_waiting_leaves_the_place_to_the_next() -> None:
    flight = Flight(total=100 * 1024)
    await flight.take(60 * 1024)
    second, third = (asyncio.create_task(flight.take(size)) for size in (90 * 1024, 40 * 1024))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait_for(third, 5)
    assert flight.used == 100 * 1024
    flight.give_back(100 * 1024)
    assert flight.used == 0


def test_a_share_is_a_message_at_most_and_smaller_for_many() -> None:
    flight = Flight()
    assert flight.share(0) == flight.share(1) == MAX_BATCH_BYTES
    assert flight.share(1_000) * 1_000 < flight.share(10_000) * 10_000
    assert flight.share(100) * 100 <= 64 * 1024 * 1024
