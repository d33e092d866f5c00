"""How a server is, and what it has done."""

from __future__ import annotations

from typing import Any

from google.protobuf.duration_pb2 import Duration

from crucible.v1 import script_service_pb2 as pb
from crucible.v1 import server_info_pb2
from crucible_server.cli.calls.connection import answer, complete, connect
from crucible_server.cli.calls.plain import emit_json, enum_word, plain
from crucible_server.cli.calls.times import day_time, seconds
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import emit_sheet, emit_table, size, span

_WELL = (server_info_pb2.SERVICE_STATUS_HEALTHY, server_info_pb2.SERVICE_STATUS_DEGRADED)
_SIZES = frozenset({"memory_usage"})


def show_health(server: str, *, as_json: bool) -> Exit:
    """Prints how a server is; OK when it takes executions. Raises CommandError."""
    health: server_info_pb2.HealthStatus = complete(_ask(server, "HealthCheck", pb.HealthCheckRequest())).health
    if as_json:
        emit_json(plain(health))
    else:
        details = plain(health)["details"]
        missing = [layer.name for layer in health.isolation_layers if not layer.active]
        emit_sheet(
            (
                ("status", enum_word(server_info_pb2.ServiceStatus.DESCRIPTOR, health.status)),
                ("message", health.message),
                ("besides", "\n".join(reason.message for reason in health.reasons[1:])),
                ("at", day_time(health.timestamp)),
                *((name, _figure(name, value)) for name, value in details.items()),
                ("isolation", ", ".join(layer.name for layer in health.isolation_layers if layer.active)),
                ("not there", ", ".join(missing)),
            )
        )
    return Exit.OK if health.status in _WELL else Exit.REFUSED


def show_metrics(server: str, scripts: list[str], *, as_json: bool) -> None:
    """Prints the figures of a server, and of some of its scripts. Raises CommandError."""
    response: pb.GetMetricsResponse = complete(_ask(server, "GetMetrics", pb.GetMetricsRequest(script_ids=scripts)))
    if as_json:
        emit_json(plain(response))
        return
    emit_sheet((name.name, _metric(name.name, getattr(response.metrics, name.name))) for name in _fields())
    if response.script_stats:
        emit_table(
            ("SCRIPT", "EXECUTIONS", "SUCCEEDED", "MEAN", "LONGEST", "MEMORY", "LAST"),
            (
                (
                    figures.script_id,
                    str(figures.total_executions),
                    str(figures.successful_executions),
                    span(seconds(figures.average_execution_time)),
                    span(seconds(figures.max_execution_time)),
                    size(figures.max_memory_bytes),
                    day_time(figures.last_execution_time),
                )
                for figures in response.script_stats
            ),
            shrink=("SCRIPT",),
        )


async def _ask(server: str, method: str, request: Any) -> Any:
    async with connect(server) as client:
        return await answer(getattr(client.stub, method), request)


def _fields() -> Any:
    return server_info_pb2.PerformanceMetrics.DESCRIPTOR.fields


def _metric(name: str, value: Any) -> str:
    if isinstance(value, Duration):
        return span(seconds(value))
    return _figure(name, value)


def _figure(name: str, value: Any) -> str:
    if isinstance(value, int) and (name.endswith("_bytes") or name in _SIZES):
        return size(value)
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
