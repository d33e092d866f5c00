"""Figures that are there to be read: each is asked for when somebody wants it, in the thread of whoever does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import cast

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from crucible.v1 import server_info_pb2
from crucible_server.engine.engine import Engine
from crucible_server.engine.monitor import Monitor
from crucible_server.engine.resources import memory_bytes
from crucible_server.engine.service import status_word

Status = server_info_pb2.ServiceStatus
Read = Callable[[], float]


def observe(meter: Meter, engine: Engine, monitor: Monitor) -> None:
    """Makes the figures of an engine, and how it is, readable."""
    _counters(meter, engine)
    _gauges(meter, engine)
    _states(meter, engine, monitor)


def _counters(meter: Meter, engine: Engine) -> None:
    cache = engine.scripts.cache
    counters: tuple[tuple[str, str, str, Read], ...] = (
        ("crucible.cache.evictions", "{unit}", "Byte code dropped from the cache for room.", lambda: cache.evictions),
        (
            "crucible.cache.rejections",
            "{unit}",
            "Stored byte code that was not what this server sealed.",
            lambda: cache.rejections,
        ),
        (
            "crucible.interpreter.forks",
            "{child}",
            "Children forked, spares included.",
            lambda: engine.forks,
        ),
        (
            "crucible.interpreter.restarts",
            "{restart}",
            "Zygotes that died and were replaced.",
            lambda: engine.restarts,
        ),
    )
    for name, unit, description, read in counters:
        meter.create_observable_counter(name, [_one(read)], unit, description)

    def lookups(_: CallbackOptions) -> Iterable[Observation]:
        return Observation(cache.hits, {"crucible.hit": True}), Observation(cache.misses, {"crucible.hit": False})

    def refusals(_: CallbackOptions) -> Iterable[Observation]:
        return (
            Observation(engine.admission.refused, {"crucible.reason": "queue_full"}),
            Observation(engine.crashes.refused, {"crucible.reason": "crashes"}),
        )

    meter.create_observable_counter(
        "crucible.cache.lookups", [lookups], "{lookup}", "Byte code looked for in the cache."
    )
    meter.create_observable_counter(
        "crucible.execution.refusals", [refusals], "{execution}", "Executions that were refused."
    )


def _gauges(meter: Meter, engine: Engine) -> None:
    cache, interpreter, admission = engine.scripts.cache, engine.interpreter, engine.admission
    began = time.monotonic()
    gauges: tuple[tuple[str, str, str, Read], ...] = (
        ("crucible.executions.running", "{execution}", "Executions that run.", lambda: admission.running),
        ("crucible.executions.queued", "{execution}", "Executions that wait for their turn.", lambda: admission.queued),
        (
            "crucible.executions.reserved_memory",
            "By",
            "What the memory limits of the running executions add up to.",
            lambda: admission.reserved_bytes,
        ),
        ("crucible.cache.units", "{unit}", "Byte code in the cache.", lambda: len(cache)),
        ("crucible.cache.size", "By", "Size of that byte code.", lambda: cache.bytes),
        ("crucible.interpreter.spares", "{child}", "Children that wait for a job.", lambda: interpreter.spare_count),
        ("crucible.store.executions", "{execution}", "Stored executions.", lambda: engine.store.execution_count),
        ("crucible.store.scripts", "{script}", "Stored scripts.", lambda: engine.store.script_count),
        (
            "crucible.memory.usage",
            "By",
            "Resident memory of the server and its interpreter processes.",
            lambda: memory_bytes(engine.zygote_pids, engine.child_pids),
        ),
        (
            "crucible.cpu.utilization",
            "1",
            "Processors in use over the last ten seconds, children that have ended included.",
            lambda: engine.upkeep.resources.processor_percent / 100,
        ),
        ("crucible.uptime", "s", "Time since the start.", lambda: time.monotonic() - began),
    )
    for name, unit, description, read in gauges:
        meter.create_observable_gauge(name, [_one(read)], unit, description)


def _states(meter: Meter, engine: Engine, monitor: Monitor) -> None:
    words = {cast(Status, status): status_word(cast(Status, status)) for status in Status.values() if status}

    def status(_: CallbackOptions) -> Iterable[Observation]:
        now = monitor.current.status
        return [Observation(int(each == now), {"crucible.service.status": word}) for each, word in words.items()]

    def layers(_: CallbackOptions) -> Iterable[Observation]:
        # Of two of one name the jail's counts, which comes first.
        named = {layer.name: layer for layer in reversed(engine.isolation_layers)}
        return [Observation(int(layer.active), {"crucible.layer": name}) for name, layer in named.items()]

    meter.create_observable_gauge("crucible.service.status", [status], "", "1 for the state that the service is in.")
    meter.create_observable_gauge(
        "crucible.isolation.layer.active", [layers], "", "1 for each layer of isolation that is in force."
    )


def _one(read: Read) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: (Observation(read()),)
