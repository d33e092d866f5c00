"""How results, records and the server itself look to callers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crucible.v1 import execution_pb2, script_pb2, security_pb2, server_info_pb2
from crucible_server.engine import values
from crucible_server.engine.engine import Engine
from crucible_server.engine.execution import Execution
from crucible_server.engine.output import HEAD_BYTES, Output, OutputChunk
from crucible_server.engine.upkeep import Retention
from crucible_server.store import ExecutionRecord, ScriptSummary


@dataclass(frozen=True, slots=True)
class Terms:
    """What the server says of itself that the configuration decides."""

    max_request_bytes: int
    retention: Retention
    max_concurrent_executions: int
    max_queued_executions: int
    max_executions_memory: int
    default_level: security_pb2.SecurityLevel


@dataclass(slots=True)
class Presenter:
    """Turns what the engine knows into messages of the contract."""

    version: str
    start_time_ns: int
    terms: Terms
    """Replaced when the configuration changes."""

    async def result(
        self, stored: execution_pb2.ExecutionResult, output: Output | None, with_json: bool
    ) -> execution_pb2.ExecutionResult:
        """A result as a unary call returns it; without output when `output` is None."""
        result = execution_pb2.ExecutionResult()
        result.CopyFrom(stored)
        if output is not None and output.last_sequence:
            result.stdout, result.stdout_truncated = await output.head(False)
            result.stderr, result.stderr_truncated = await output.head(True)
        if with_json and result.HasField("return_value"):
            result.return_json = values.to_json(result.return_value)
        return result

    def output_chunk(self, execution_id: str, chunk: OutputChunk) -> execution_pb2.ExecutionChunk:
        """A piece of output."""
        message = chunk.message()
        message.execution_id = execution_id
        return message

    async def last_chunk(
        self, execution_id: str, sequence: int, stored: execution_pb2.ExecutionResult, with_json: bool
    ) -> execution_pb2.ExecutionChunk:
        """The end of a stream."""
        result = await self.result(stored, None, with_json)
        message = execution_pb2.ExecutionChunk(execution_id=execution_id, sequence=sequence)
        (message.complete if result.success else message.error).CopyFrom(result)
        return message

    def execution(self, record: ExecutionRecord) -> execution_pb2.Execution:
        """The record of an execution as it is stored, without its result."""
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

    def live_execution(self, execution: Execution) -> execution_pb2.Execution:
        """The record of an execution that lives."""
        message = self.execution(execution.record)
        message.state = execution.state
        message.last_sequence = execution.output.last_sequence
        if execution.started_ns:
            message.start_time.FromNanoseconds(execution.started_ns)
        return message

    async def stored_execution(
        self, record: ExecutionRecord, result: execution_pb2.ExecutionResult, output: Output, with_json: bool
    ) -> execution_pb2.Execution:
        """The record of an execution that has ended."""
        message = self.execution(record)
        message.result.CopyFrom(await self.result(result, output, with_json))
        return message

    def listed_execution(self, record: ExecutionRecord, live: Execution | None) -> execution_pb2.Execution:
        """The record of an execution without outputs and values."""
        if live is not None:
            return self.live_execution(live)
        message = self.execution(record)
        if record.result is not None:
            message.result.ParseFromString(record.result)
            message.result.ClearField("profile")
            if message.result.HasField("error"):
                message.result.error.ClearField("rendered")
        return message

    def script(self, summary: ScriptSummary) -> script_pb2.Script:
        """A stored script without its text."""
        compiled = script_pb2.CompiledScript.FromString(summary.functions)
        message = script_pb2.Script(
            script_id=summary.script_id,
            names=summary.names,
            functions=compiled.functions,
            modules=compiled.modules,
            source_bytes=summary.source_bytes,
            principal=summary.principal,
        )
        message.create_time.FromNanoseconds(summary.create_time)
        message.last_used_time.FromNanoseconds(summary.last_used_time)
        return message

    def server_info(
        self, engine: Engine, levels: Sequence[server_info_pb2.SecurityLevelInfo]
    ) -> server_info_pb2.ServerInfo:
        """What the server is."""
        ready = engine.interpreter.ready
        reachable = {module for level in levels for module in level.modules}
        info = server_info_pb2.ServerInfo(
            version=self.version,
            rune_version=ready.rune_version,
            rune_patch_level=ready.rune_patch_level,
            vm_protocol_version=ready.protocol_version,
            instance_id=engine.instance_id,
            default_security_level=self.terms.default_level,
            security_levels=levels,
            modules=[module for module in ready.modules if module.name in reachable],
            isolation_layers=engine.isolation_layers,
            max_request_bytes=self.terms.max_request_bytes,
            max_value_depth=values.MAX_DEPTH,
            max_unary_output_bytes=HEAD_BYTES,
            max_concurrent_executions=self.terms.max_concurrent_executions,
            max_queued_executions=self.terms.max_queued_executions,
            max_executions_memory_bytes=self.terms.max_executions_memory,
            max_stored_executions=self.terms.retention.max_executions,
            max_stored_scripts=self.terms.retention.max_scripts,
        )
        info.start_time.FromNanoseconds(self.start_time_ns)
        info.execution_retention.FromNanoseconds(self.terms.retention.executions_ns)
        info.script_retention.FromNanoseconds(self.terms.retention.scripts_ns)
        return info
