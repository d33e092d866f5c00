"""How well the engine is, from what is true at this moment."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from crucible.v1 import server_info_pb2
from crucible_server.engine.engine import Engine
from crucible_server.engine.service import status_word

Status = server_info_pb2.ServiceStatus
HEALTHY = Status.SERVICE_STATUS_HEALTHY
DEGRADED = Status.SERVICE_STATUS_DEGRADED
UNHEALTHY = Status.SERVICE_STATUS_UNHEALTHY

# One restart of the interpreter may happen; as many as are remembered within this time are a fault.
_RESTARTS_SECONDS = 60.0
_MAX_FAULT_RATE = 0.05
# The store may take a probe, and yet not what executions bring.
_REFUSAL_SECONDS = 30.0
# How long a call that found the queue full is remembered.
_FULL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that keeps the service from being healthy."""

    code: str
    """For programs."""
    status: Status
    message: str
    """What is wrong, and what to do about it."""
    public: str = ""
    """What others than operators are told, when the message says more than is meant for them."""
    concerns_store: bool = False
    """Whether it keeps also those services from working that only need the store."""


def reasons(engine: Engine, patience: float) -> Iterator[Reason]:
    """All that is wrong with a running engine. `patience`: seconds that zygote and store may take to answer."""
    yield from _of_interpreter(engine, patience)
    yield from _of_store(engine, patience)
    yield from _of_load(engine)


def _of_interpreter(engine: Engine, patience: float) -> Iterator[Reason]:
    interpreter = engine.interpreter
    if not interpreter.alive:
        yield Reason("interpreter_down", UNHEALTHY, "the interpreter is down and is being restarted")
    elif interpreter.is_stopped:
        yield Reason(
            "interpreter_stopped",
            UNHEALTHY,
            f"the interpreter (process {interpreter.zygote_pid}) is stopped by a signal or a debugger: unless it is "
            "continued with SIGCONT within some seconds, the server kills it and starts another",
        )
    elif interpreter.unanswered_seconds > patience:
        yield Reason(
            "interpreter_unresponsive",
            UNHEALTHY,
            f"the interpreter (process {interpreter.zygote_pid}) was asked more than {patience:g} s ago whether it "
            "works and has not answered: look at the load of the machine; the server is about to start another",
        )
    if engine.development.ready.protocol_version and not engine.development.alive:
        yield Reason("development_down", DEGRADED, "the interpreter of DEVELOPMENT is down and is being restarted")
    if engine.files is not None and engine.files.failure:
        yield Reason("files_down", DEGRADED, f"scripts have no files: {engine.files.failure}", "scripts have no files")
    restarts = interpreter.restart_times
    if len(restarts) == restarts.maxlen and time.monotonic() - restarts[0] < _RESTARTS_SECONDS:
        yield Reason(
            "interpreter_restarts",
            DEGRADED,
            f"the interpreter had to be restarted {len(restarts)} times within a minute; see the log",
        )


def _of_store(engine: Engine, patience: float) -> Iterator[Reason]:
    upkeep = engine.upkeep
    if engine.store.trouble:
        waits = "writes wait until the store is back"
        yield Reason("store_trouble", DEGRADED, f"{waits}: {engine.store.trouble}", waits)
    elif upkeep.store_failure:
        fails = "the store does not take writes"
        yield Reason("store_failed", UNHEALTHY, f"{fails}: {upkeep.store_failure}", fails, concerns_store=True)
    elif upkeep.probe_seconds > patience:
        slow = f"a write to the store has been waiting for more than {patience:g} s"
        yield Reason("store_slow", DEGRADED, f"{slow}: look at its load, and at who holds a lock on it", slow)
    elif time.monotonic() - upkeep.refused_at < _REFUSAL_SECONDS:
        refused = "the store refused an execution"
        yield Reason("store_refused", DEGRADED, f"{refused}: {upkeep.refusal}", refused)


def _of_load(engine: Engine) -> Iterator[Reason]:
    admission = engine.admission
    if time.monotonic() - admission.refused_at < _FULL_SECONDS:
        yield Reason(
            "queue_full",
            DEGRADED,
            f"executions were refused: {admission.running} ran and all {admission.max_queue} places of the queue were "
            "taken; send fewer at once, or raise max_concurrent_executions or max_queued_executions",
        )
    elif admission.is_crowded:
        yield Reason(
            "queue_crowded",
            DEGRADED,
            f"{admission.queued} executions wait for their turn, more than half of what the queue takes "
            f"({admission.max_queue})",
        )
    if engine.figures.fault_rate > _MAX_FAULT_RATE:
        yield Reason(
            "error_rate",
            DEGRADED,
            f"{engine.figures.fault_rate:.0%} of the latest executions ended by a fault of the server; see its log",
        )


def of_life(engine: Engine) -> Reason | None:
    """Why an engine takes nothing that is starting, stopping or stopped."""
    if engine.status == HEALTHY:
        return None
    word = status_word(engine.status)
    return Reason(word, engine.status, f"the service is {word}")
