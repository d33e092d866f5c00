"""How health and metrics look to callers."""

from __future__ import annotations

import asyncio

from google.protobuf.duration_pb2 import Duration

from crucible.v1 import server_info_pb2, value_pb2
from crucible_server.engine.engine import Engine
from crucible_server.engine.monitor import Assessment
from crucible_server.engine.resources import memory_bytes
from crucible_server.policy.principals import Caller
from crucible_server.policy.roles import Role
from crucible_server.store import ScriptStats


def health(engine: Engine, assessment: Assessment, caller: Caller) -> server_info_pb2.HealthStatus:
    """The state of the service as it was found, with the figures of this moment.

    Paths, values and what the database said are for operators only.
    """
    is_operator = Role.OPERATOR in caller.roles
    told = [each.message if is_operator else each.public or each.message for each in assessment.reasons]
    answer = server_info_pb2.HealthStatus(status=assessment.status, message=told[0] if told else assessment.message)
    answer.timestamp.GetCurrentTime()
    answer.since.FromNanoseconds(assessment.since_ns)
    for each, message in zip(assessment.reasons, told, strict=True):
        reason = answer.reasons.add(code=each.code, status=each.status, message=message)
        reason.since.FromNanoseconds(assessment.reasons_since[each.code])
    answer.isolation_layers.extend(engine.isolation_layers)
    cache, interpreter, figures = engine.scripts.cache, engine.interpreter, engine.figures
    for name, number in (
        ("active_executions", engine.active),
        ("queued_executions", engine.admission.queued),
        ("max_queued_executions", engine.admission.max_queue),
        ("refused_executions", engine.admission.refused + engine.crashes.refused),
        ("total_executions", figures.total),
        ("reserved_memory_bytes", engine.admission.reserved_bytes),
        ("cache_size", len(cache)),
        ("cache_bytes", cache.bytes),
        ("cache_hits", cache.hits),
        ("cache_misses", cache.misses),
        ("cache_evictions", cache.evictions),
        ("cache_rejections", cache.rejections),
        ("spare_children", interpreter.spare_count),
        ("interpreter_restarts", engine.restarts),
        ("interpreter_renewals", sum(each.renewals for each in engine.interpreters)),
        ("file_broker_restarts", engine.files.restarts if engine.files is not None else 0),
        ("stored_executions", engine.store.execution_count),
        ("stored_scripts", engine.store.script_count),
    ):
        answer.details[name].CopyFrom(value_pb2.Value(int_value=number))
    for name, share in (
        ("success_rate", figures.success_percent),
        ("fault_rate", 100.0 * figures.fault_rate),
        ("uptime_seconds", figures.uptime_seconds),
    ):
        answer.details[name].CopyFrom(value_pb2.Value(double_value=share))
    return answer


async def performance(engine: Engine) -> server_info_pb2.PerformanceMetrics:
    """What the service has done since its start, and what it uses now."""
    compiler, cache = engine.scripts.compiler, engine.scripts.cache
    interpreter, figures = engine.interpreter, engine.figures
    # Reading what each process has touched takes the kernel a while.
    memory = await asyncio.to_thread(memory_bytes, engine.zygote_pids, engine.child_pids)
    mean_compilation = compiler.compile_seconds / compiler.compilations if compiler.compilations else 0.0
    return server_info_pb2.PerformanceMetrics(
        memory_usage=memory,
        cpu_usage=engine.upkeep.resources.processor_percent,
        active_connections=engine.admission.running,
        queued_executions=engine.admission.queued,
        total_compilations=compiler.compilations,
        successful_compilations=compiler.compilations - compiler.failed_compilations,
        total_executions=figures.total,
        successful_executions=figures.successful,
        failed_executions=figures.total - figures.successful,
        refused_executions=engine.admission.refused + engine.crashes.refused,
        average_compile_time=_duration(mean_compilation),
        average_execution_time=_duration(figures.mean_seconds),
        cache_hits=cache.hits,
        cache_misses=cache.misses,
        cache_evictions=cache.evictions,
        cache_entries=len(cache),
        cache_bytes=cache.bytes,
        cache_rejections=cache.rejections,
        spare_hits=interpreter.spare_hits,
        spare_misses=interpreter.spare_misses,
        spare_children=interpreter.spare_count,
        forked_children=engine.forks,
        reserved_memory_bytes=engine.admission.reserved_bytes,
        uptime=_duration(figures.uptime_seconds),
    )


def script_stats(stats: ScriptStats) -> server_info_pb2.ScriptExecutionStats:
    """What the executions of one script have been like."""
    total = stats.total_executions
    message = server_info_pb2.ScriptExecutionStats(
        script_id=stats.script_id,
        total_executions=total,
        successful_executions=stats.successful_executions,
        max_memory_bytes=stats.max_memory_bytes,
    )
    message.average_execution_time.FromNanoseconds(stats.total_time_ns // total if total else 0)
    message.max_execution_time.FromNanoseconds(stats.max_time_ns)
    if stats.last_execution_time is not None:
        message.last_execution_time.FromNanoseconds(stats.last_execution_time)
    return message


def _duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message
