"""What the engine tells of scripts and executions, as events."""

from __future__ import annotations

from crucible.v1 import event_pb2, execution_pb2, script_pb2, security_pb2, server_info_pb2
from crucible_server.configuration.changes import ConfigurationChange
from crucible_server.engine.cache import CompiledUnit
from crucible_server.engine.job import Kind
from crucible_server.engine.results import State, state_of
from crucible_server.events.journal import EventSink
from crucible_server.policy.changes import policy_changes
from crucible_server.policy.grants import Grant
from crucible_server.policy.principals import Caller
from crucible_server.store import EventDraft, ExecutionRecord

Status = server_info_pb2.ServiceStatus
_MAX_TEXT = 500


def compiled(
    sink: EventSink, grant: Grant, script_id: str, seconds: float, failure: script_pb2.Diagnostic | None
) -> list[EventDraft]:
    """A source was compiled, or could not be; when its level forbids what it imports, that as well."""
    kind = event_pb2.ScriptCompiled(script_id=script_id, success=failure is None)
    kind.duration.FromNanoseconds(int(seconds * 1e9))
    told = []
    if failure is not None:
        kind.error = failure.message[:_MAX_TEXT]
        if failure.code.startswith("security."):
            told.append(_violation(sink, grant, "compilation", failure.message, grant.level, script_id))
    return [sink.draft(kind, tenant=grant.tenant, principal=grant.principal), *told]


def cached(sink: EventSink, grant: Grant, unit: CompiledUnit) -> EventDraft:
    """Byte code was taken into memory."""
    kind = event_pb2.ScriptCached(script_id=unit.script_id, bytecode_bytes=len(unit.unit))
    return sink.draft(kind, tenant=grant.tenant, principal=grant.principal)


def evicted(sink: EventSink, unit: CompiledUnit) -> EventDraft:
    """Byte code was dropped from memory."""
    kind = event_pb2.ScriptEvicted(script_id=unit.script_id, bytecode_bytes=len(unit.unit))
    return sink.draft(kind, tenant=unit.tenant)


def started(sink: EventSink, record: ExecutionRecord) -> EventDraft:
    """An execution runs."""
    kind = event_pb2.ExecutionStarted(
        script_id=record.script_id,
        execution_id=record.execution_id,
        function=record.function,
        detached=record.detached,
        security_level=security_pb2.SecurityLevel.Name(record.security_level),
    )
    return sink.draft(kind, tenant=record.tenant, principal=record.principal)


def ended(sink: EventSink, record: ExecutionRecord, result: execution_pb2.ExecutionResult) -> list[EventDraft]:
    """An execution came to its end; when it was cancelled or did what is not permitted, that before."""
    state = state_of(result)
    told = []
    if state == State.EXECUTION_STATE_CANCELLED:
        cancelled = event_pb2.ExecutionCancelled(
            script_id=record.script_id, execution_id=record.execution_id, reason=result.error.message[:_MAX_TEXT]
        )
        told.append(sink.draft(cancelled, tenant=record.tenant, principal=record.principal))
    if not result.success and result.error.kind == Kind.EXECUTION_ERROR_KIND_SECURITY_VIOLATION:
        violation = event_pb2.SecurityViolation(
            subject="execution",
            message=result.error.message[:_MAX_TEXT],
            security_level=security_pb2.SecurityLevel.Name(record.security_level),
        )
        told.append(
            sink.draft(
                violation,
                tenant=record.tenant,
                principal=record.principal,
                script_id=record.script_id,
                execution_id=record.execution_id,
            )
        )
    return [*told, _executed(sink, record, result, state)]


def interrupted(sink: EventSink, record: ExecutionRecord) -> EventDraft:
    """An execution was found unfinished by a server that started after the one that ran it."""
    result = execution_pb2.ExecutionResult()
    result.error.kind = Kind.EXECUTION_ERROR_KIND_INTERRUPTED
    return _executed(sink, record, result, State.EXECUTION_STATE_INTERRUPTED)


def refused(sink: EventSink, caller: Caller, level: int, message: str) -> EventDraft:
    """A request asked for what is not permitted."""
    return _violation(sink, caller, "request", message, level)


def configured(sink: EventSink, change: ConfigurationChange) -> list[EventDraft]:
    """Another configuration is in force, or will be at the next start; and what levels permit by it."""
    kind = event_pb2.ConfigurationChanged(
        version=change.version,
        keys=[each.key.path for each in change.keys],
        origin=change.cause,
        restart_keys=[each.key.path for each in change.keys if each.needs_restart],
    )
    policies = [event_pb2.PolicyChanged(policy_id=level, change=what) for level, what in policy_changes(change.keys)]
    return [sink.draft(each, principal=change.principal) for each in (kind, *policies)]


def status_changed(sink: EventSink, service_id: str, previous: Status, status: Status, message: str) -> EventDraft:
    """The server is well, or no longer."""
    kind = event_pb2.HealthStatusChanged(
        service_id=service_id, status=status, previous_status=previous, message=message[:_MAX_TEXT]
    )
    kind.timestamp.GetCurrentTime()
    return sink.draft(kind)


def _violation(
    sink: EventSink, who: Grant | Caller, subject: str, message: str, level: int, script_id: str = ""
) -> EventDraft:
    kind = event_pb2.SecurityViolation(subject=subject, message=message[:_MAX_TEXT])
    # Requests may ask for levels that do not exist.
    if level in security_pb2.SecurityLevel.values():
        kind.security_level = security_pb2.SecurityLevel.Name(level)  # type: ignore[assignment]
    return sink.draft(kind, tenant=who.tenant, principal=who.principal, script_id=script_id)


def _executed(
    sink: EventSink, record: ExecutionRecord, result: execution_pb2.ExecutionResult, state: State
) -> EventDraft:
    kind = event_pb2.ScriptExecuted(
        script_id=record.script_id,
        execution_id=record.execution_id,
        success=result.success,
        duration=result.execution_time,
        resource_usage=result.resource_usage,
        state=state,
        error_kind=result.error.kind,
        function=record.function,
    )
    return sink.draft(kind, tenant=record.tenant, principal=record.principal)
