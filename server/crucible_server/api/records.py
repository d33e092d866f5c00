"""How results, records and the server itself look to callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crucible.v1 import execution_pb2, security_pb2, server_info_pb2, value_pb2
from crucible_server.engine import values
from crucible_server.engine.engine import Engine, Status
from crucible_server.engine.execution import Execution, state_of
from crucible_server.engine.output import OutputChunk, OutputLog
from crucible_server.store import ExecutionRecord

MAX_UNARY_OUTPUT_BYTES = 256 * 1024
"""Standard output and error of unary results are cut here."""


@dataclass(frozen=True, slots=True)
class Presenter:
    """Turns what the engine knows into messages of the contract."""

    version: str
    start_time_ns: int
    max_request_bytes: int
    retention_ns: int
    max_concurrent_executions: int
    default_level: security_pb2.SecurityLevel

    def result(
        self, stored: execution_pb2.ExecutionResult, output: OutputLog | None, with_json: bool
    ) -> execution_pb2.ExecutionResult:
        """A result as a unary call returns it; without output when `output` is None."""
        result = execution_pb2.ExecutionResult()
        result.CopyFrom(stored)
        if output is not None and output.chunks:
            result.stdout, result.stdout_truncated = output.text(False, MAX_UNARY_OUTPUT_BYTES)
            result.stderr, result.stderr_truncated = output.text(True, MAX_UNARY_OUTPUT_BYTES)
        if with_json and result.HasField("return_value"):
            result.return_json = values.to_json(result.return_value)
        return result

    def output_chunk(self, execution_id: str, chunk: OutputChunk) -> execution_pb2.ExecutionChunk:
        """A piece of output."""
        message = chunk.message()
        message.execution_id = execution_id
        return message

    def last_chunk(
        self, execution_id: str, sequence: int, stored: execution_pb2.ExecutionResult, with_json: bool
    ) -> execution_pb2.ExecutionChunk:
        """The end of a stream."""
        result = self.result(stored, None, with_json)
        message = execution_pb2.ExecutionChunk(execution_id=execution_id, sequence=sequence)
        (message.complete if result.success else message.error).CopyFrom(result)
        return message

    def live_execution(self, execution: Execution) -> execution_pb2.Execution:
        """The record of an execution that lives."""
        message = self._record(execution.record)
        message.state = execution.state
        message.last_sequence = execution.output.last_sequence
        if execution.started_ns:
            message.start_time.FromNanoseconds(execution.started_ns)
        return message

    def stored_execution(self, record: ExecutionRecord, output: OutputLog, with_json: bool) -> execution_pb2.Execution:
        """The record of an execution that has ended."""
        message = self._record(record)
        if record.result is not None:
            stored = execution_pb2.ExecutionResult.FromString(record.result)
            message.state = state_of(stored)
            message.result.CopyFrom(self.result(stored, output, with_json))
        return message

    def _record(self, record: ExecutionRecord) -> execution_pb2.Execution:
        message = execution_pb2.Execution(
            execution_id=record.execution_id,
            script_id=record.script_id,
            script_name=record.script_name,
            function=record.function,
            state=execution_pb2.ExecutionState.Name(record.state),
            detached=record.detached,
            principal=record.principal,
            security_level=security_pb2.SecurityLevel.Name(record.security_level),
            last_sequence=record.last_sequence,
            redacted=record.redacted,
        )
        message.limits.ParseFromString(record.limits)
        message.create_time.FromNanoseconds(record.create_time)
        for field, time_ns in (
            (message.start_time, record.start_time),
            (message.end_time, record.end_time),
            (message.expire_time, record.expire_time),
        ):
            if time_ns is not None:
                field.FromNanoseconds(time_ns)
        return message

    def health(self, engine: Engine) -> server_info_pb2.HealthStatus:
        """The state of the service, from what is true now."""
        status, message = engine.status, "the service works"
        if status != Status.SERVICE_STATUS_HEALTHY:
            message = f"the service is {Status.Name(status).removeprefix('SERVICE_STATUS_').lower()}"
        elif not engine.interpreter.alive:
            status, message = (
                Status.SERVICE_STATUS_UNHEALTHY,
                "the interpreter is down and is being restarted",
            )
        health = server_info_pb2.HealthStatus(status=status, message=message)
        health.timestamp.GetCurrentTime()
        health.isolation_layers.extend(engine.interpreter.ready.layers)
        total = engine.total_executions
        for name, number in (
            ("active_executions", engine.active),
            ("queued_executions", engine.admission.queued),
            ("total_executions", total),
            ("cache_size", len(engine.scripts.cache)),
            ("cache_bytes", engine.scripts.cache.bytes),
            ("cache_hits", engine.scripts.cache.hits),
            ("cache_misses", engine.scripts.cache.misses),
            ("spare_children", engine.interpreter.spare_count),
            ("interpreter_restarts", engine.interpreter.restarts),
        ):
            health.details[name].CopyFrom(value_pb2.Value(int_value=number))
        rate = 100.0 * engine.successful_executions / total if total else 100.0
        health.details["success_rate"].CopyFrom(value_pb2.Value(double_value=rate))
        return health

    def server_info(
        self, engine: Engine, levels: Sequence[server_info_pb2.SecurityLevelInfo]
    ) -> server_info_pb2.ServerInfo:
        """What the server is."""
        ready = engine.interpreter.ready
        info = server_info_pb2.ServerInfo(
            version=self.version,
            rune_version=ready.rune_version,
            rune_patch_level=ready.rune_patch_level,
            vm_protocol_version=ready.protocol_version,
            instance_id=engine.instance_id,
            default_security_level=self.default_level,
            security_levels=levels,
            modules=ready.modules,
            isolation_layers=ready.layers,
            max_request_bytes=self.max_request_bytes,
            max_value_depth=values.MAX_DEPTH,
            max_unary_output_bytes=MAX_UNARY_OUTPUT_BYTES,
            max_concurrent_executions=self.max_concurrent_executions,
        )
        info.start_time.FromNanoseconds(self.start_time_ns)
        info.execution_retention.FromNanoseconds(self.retention_ns)
        return info
