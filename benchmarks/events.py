"""What it costs to tell what happens: events stored and delivered a second, and how long one takes to arrive."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc

from benchmarks.rows import Row, row
from benchmarks.service import ServiceBench, paired
from crucible.v1 import event_pb2
from crucible.v1 import event_service_pb2 as pb
from crucible.v1.event_service_pb2_grpc import EventServiceStub

SUBSCRIBERS = 16
_BATCH = 100
_EMITTERS = 4
_UNLIMITED = {"CRUCIBLE_EVENTS__MAX_EMITTED_PER_MINUTE": "1000000000"}


def rows(
    folder: Path, rounds: int, seconds: float, settings: Mapping[str, str] | None = None, store: str = ""
) -> list[Row]:
    """Against a server of its own; `store` names what `settings` make it store in."""
    on = f", {store}" if store else ""
    with (
        ServiceBench(folder, {**_UNLIMITED, **(settings or {})}) as bench,
        grpc.insecure_channel(bench.server.address) as channel,
    ):
        stub = EventServiceStub(channel)
        one = pb.EmitRequest(events=[pb.NewEvent(type="bench.one")])
        checks, emits = paired(bench.check, lambda: stub.Emit(one), rounds)
        check = row(f"Health.Check{on}", checks, "ms")
        found = [row(f"Emit, one event{on}", emits, "ms", against=check)]
        checks, deliveries = paired(bench.check, _delivery(bench.server.address, stub), rounds)
        check = row(f"Health.Check{on}", checks, "ms")
        found.append(row(f"Emit to arrival at a subscriber{on}", deliveries, "ms", against=check))
        stored = _rate(bench.server.address, seconds)
        found.append(Row(f"events stored, {_EMITTERS} callers, {_BATCH} at a time{on}", stored, stored, "1/s"))
        delivered = _fan_out(bench.server.address, stub, seconds)
        found.append(Row(f"events delivered, {SUBSCRIBERS} subscribers{on}", delivered, delivered, "1/s"))
    return found


def _delivery(address: str, stub: EventServiceStub) -> Callable[[], object]:
    call = iter(_subscribe(address, "bench.delivered"))
    next(call)
    request = pb.EmitRequest(events=[pb.NewEvent(type="bench.delivered")])

    def once() -> None:
        (emitted,) = stub.Emit(request).events
        (event,) = next(call).batch.events
        if event.sequence != emitted.sequence:
            raise RuntimeError(f"expected event {emitted.sequence}, got {event.sequence}")

    return once


def _rate(address: str, seconds: float) -> float:
    """Events stored a second by some callers at once."""
    request = pb.EmitRequest(events=[pb.NewEvent(type="bench.many")] * _BATCH)
    counts = [0] * _EMITTERS
    began = time.perf_counter()

    def work(index: int) -> None:
        with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = EventServiceStub(channel)
            while time.perf_counter() - began < seconds:
                stub.Emit(request)
                counts[index] += _BATCH

    _together([lambda index=index: work(index) for index in range(_EMITTERS)])  # type: ignore[misc]
    return sum(counts) / (time.perf_counter() - began)


def _fan_out(address: str, stub: EventServiceStub, seconds: float) -> float:
    """Events that arrive a second at all subscribers together, each of which reads the same history."""
    request = pb.EmitRequest(events=[pb.NewEvent(type="bench.history")] * _BATCH)
    first = last = 0
    for _ in range(max(int(seconds * 20), 10)):
        events = stub.Emit(request).events
        first, last = first or events[0].sequence, events[-1].sequence

    def read() -> None:
        for response in _subscribe(address, "bench.history", first - 1):
            if response.batch.events and response.batch.events[-1].sequence >= last:
                return

    began = time.perf_counter()
    _together([read] * SUBSCRIBERS)
    return SUBSCRIBERS * (last - first + 1) / (time.perf_counter() - began)


def _subscribe(address: str, type_name: str, after: int | None = None) -> grpc.CallIterator[pb.SubscribeResponse]:
    # On a connection of its own, as subscribers are; it ends with the process.
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    wanted = event_pb2.EventFilter(types=[type_name])
    return EventServiceStub(channel).Subscribe(pb.SubscribeRequest(filter=wanted, after_sequence=after))


def _together(deeds: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=deed) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
