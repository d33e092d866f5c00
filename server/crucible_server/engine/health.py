"""How well the engine is, from what is true at this moment."""

from __future__ import annotations

import time

from crucible.v1 import server_info_pb2
from crucible_server.engine.engine import Engine, status_word

Status = server_info_pb2.ServiceStatus

# One restart of the interpreter may happen; as many as are remembered within this time are a fault.
_RESTARTS_SECONDS = 60.0
_MAX_FAULT_RATE = 0.05
# The store may take a probe, and yet not what executions bring.
_REFUSAL_SECONDS = 30.0


def assess(engine: Engine) -> tuple[Status, str]:
    """The state of the service in one word and one sentence."""
    if engine.status != Status.SERVICE_STATUS_HEALTHY:
        return engine.status, f"the service is {status_word(engine.status)}"
    if not engine.interpreter.alive:
        return Status.SERVICE_STATUS_UNHEALTHY, "the interpreter is down and is being restarted"
    if engine.development.ready.protocol_version and not engine.development.alive:
        return Status.SERVICE_STATUS_DEGRADED, "the interpreter of DEVELOPMENT is down and is being restarted"
    if engine.upkeep.store_failure:
        return Status.SERVICE_STATUS_UNHEALTHY, f"the store does not take writes: {engine.upkeep.store_failure}"
    if engine.files is not None and engine.files.failure:
        return Status.SERVICE_STATUS_DEGRADED, f"scripts have no files: {engine.files.failure}"
    if time.monotonic() - engine.upkeep.refused_at < _REFUSAL_SECONDS:
        return Status.SERVICE_STATUS_DEGRADED, f"the store refused an execution: {engine.upkeep.refusal}"
    if engine.admission.is_crowded:
        return (
            Status.SERVICE_STATUS_DEGRADED,
            f"{engine.admission.queued} executions wait for their turn, more than half of what the queue takes",
        )
    if engine.figures.fault_rate > _MAX_FAULT_RATE:
        return (
            Status.SERVICE_STATUS_DEGRADED,
            f"{engine.figures.fault_rate:.0%} of the latest executions ended by a fault of the server; see its log",
        )
    restarts = engine.interpreter.restart_times
    if len(restarts) == restarts.maxlen and time.monotonic() - restarts[0] < _RESTARTS_SECONDS:
        return (
            Status.SERVICE_STATUS_DEGRADED,
            f"the interpreter had to be restarted {len(restarts)} times within a minute; see the log",
        )
    return Status.SERVICE_STATUS_HEALTHY, "the service works"
