"""Executions: listing, showing, following, waiting, cancelling, deleting."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from crucible import AsyncClient
from crucible.v1 import execution_pb2, security_pb2
from crucible.v1 import script_service_pb2 as pb
from crucible_server.cli.calls.arguments import moment, state_numbers
from crucible_server.cli.calls.batch import each
from crucible_server.cli.calls.connection import answer, complete, connect
from crucible_server.cli.calls.output import failure, on_lines
from crucible_server.cli.calls.pages import ListOptions, ListView, print_list
from crucible_server.cli.calls.plain import emit_json, enum_word, plain
from crucible_server.cli.calls.times import day_time, seconds
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import emit_sheet, size, span
from crucible_server.cli.terminal import emit

Execution = execution_pb2.Execution

_LIMITS = {
    "max_execution_time": "time",
    "max_cpu_time": "processor time",
    "max_cpu_percentage": "processor share",
    "max_memory_bytes": "memory",
    "max_operations": "instructions",
    "max_output_bytes": "output",
    "max_return_bytes": "value",
    "max_host_calls": "host calls",
    "max_native_depth": "native depth",
    "operation_timeout": "time with queue",
    "max_concurrent_operations": "at once",
}


def state_word(record: Execution) -> str:
    """The state of an execution in one word."""
    return enum_word(execution_pb2.ExecutionState.DESCRIPTOR, record.state)


def list_executions(options: ListOptions) -> None:
    """Prints a list. Raises CommandError."""
    request = pb.ListExecutionsRequest(
        states=state_numbers(options.states),
        script_id=options.script,
        principal=options.principal,
        created_after=moment("--since", options.since),
        created_before=moment("--until", options.until),
    )
    print_list(_LIST, request, options)


def _row(record: Execution) -> tuple[str, ...]:
    took = record.HasField("result") and record.result.HasField("execution_time")
    return (
        record.execution_id,
        state_word(record) + (" (redacted)" if record.redacted else ""),
        record.script_name or record.script_id,
        record.function,
        record.principal,
        day_time(record.create_time),
        span(seconds(record.result.execution_time)) if took else "",
    )


_LIST = ListView(
    rows="executions",
    method=lambda client: client.stub.ListExecutions,
    id_of=lambda record: record.execution_id,
    header=("EXECUTION", "STATE", "SCRIPT", "FUNCTION", "PRINCIPAL", "CREATED", "TOOK"),
    row=_row,
    shrink=("SCRIPT",),
)


def show_execution(execution_id: str, *, server: str, as_json: bool) -> None:
    """Prints the record of an execution. Raises CommandError."""
    record = complete(_get(execution_id, server))
    if as_json:
        emit_json(plain(record))
        return
    detached = "yes: it lives on without its caller" if record.detached else ""
    emit_sheet(
        (
            ("execution", record.execution_id),
            ("state", state_word(record)),
            ("script", record.script_id + (f" ({record.script_name})" if record.script_name else "")),
            ("function", record.function),
            ("level", enum_word(security_pb2.SecurityLevel.DESCRIPTOR, record.security_level)),
            ("principal", record.principal),
            ("detached", detached),
            ("created", day_time(record.create_time)),
            ("started", day_time(record.start_time)),
            ("ended", day_time(record.end_time)),
            ("kept until", day_time(record.expire_time)),
            ("redacted", "yes: arguments, output and value have been erased" if record.redacted else ""),
            ("pieces", f"{record.last_sequence}; `crucible executions watch` shows them"),
        )
    )
    emit(sys.stdout, "limits\n")
    emit_sheet(_limits(record.limits), indent=2)
    if record.HasField("result"):
        _show_result(record)


def _show_result(record: Execution) -> None:
    result = record.result
    used = result.resource_usage
    emit(sys.stdout, "used\n")
    emit_sheet(
        (
            ("time", span(seconds(result.execution_time))),
            ("processor time", f"{span(seconds(used.cpu_time))} ({used.cpu_percentage:.0f} %)"),
            ("memory", f"{size(used.memory_bytes)}; the process had {size(used.max_resident_bytes)} resident"),
            ("instructions", f"{used.operations_count:,}"),
            ("host calls", f"{used.host_calls_count:,}" if used.host_calls_count else ""),
            ("standard output", size(result.stdout_bytes)),
            ("standard error", size(result.stderr_bytes)),
        ),
        indent=2,
    )
    if result.success and not record.redacted:
        emit(sys.stdout, f"value\n  {on_lines(result.return_json)}\n")
    elif not result.success:
        emit(sys.stdout, failure(result.error) + "\n")


def _limits(limits: security_pb2.ResourceLimits) -> list[tuple[str, str]]:
    facts = []
    for field, name in _LIMITS.items():
        if not limits.HasField(field):
            continue
        value = getattr(limits, field)
        if field.endswith("_bytes"):
            text = size(value)
        elif field.endswith("_percentage"):
            text = f"{value:g} % of one processor"
        elif isinstance(value, int):
            text = f"{value:,}"
        else:
            text = span(seconds(value))
        facts.append((name, text))
    return facts


async def _get(execution_id: str, server: str) -> Execution:
    async with connect(server) as client:
        request = pb.GetExecutionRequest(execution_id=execution_id, include_return_json=True)
        response: pb.GetExecutionResponse = await answer(client.stub.GetExecution, request)
        return response.execution


def cancel_executions(ids: Sequence[str], *, reason: str, server: str, as_json: bool) -> Exit:
    """Ends each execution; the exit code of the worst."""

    async def cancel(client: AsyncClient, execution_id: str) -> str:
        request = pb.CancelExecutionRequest(execution_id=execution_id, reason=reason)
        response: pb.CancelExecutionResponse = await answer(client.stub.CancelExecution, request)
        state = state_word(response.execution)
        return state if state == "cancelled" else f"had ended: {state}"

    return each(server, ids, cancel, as_json=as_json)


def delete_executions(ids: Sequence[str], *, redact: bool, server: str, as_json: bool) -> Exit:
    """Deletes each record, or what it contains; the exit code of the worst."""

    async def delete(client: AsyncClient, execution_id: str) -> str:
        request = pb.DeleteExecutionRequest(execution_id=execution_id, redact_only=redact)
        await answer(client.stub.DeleteExecution, request)
        return "redacted" if redact else "deleted"

    return each(server, ids, delete, as_json=as_json)
