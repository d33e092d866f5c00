import datetime

from crucible.v1 import execution_pb2 as _execution_pb2
from crucible.v1 import script_pb2 as _script_pb2
from crucible.v1 import server_info_pb2 as _server_info_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CompileScriptRequest(_message.Message):
    __slots__ = ("source", "context")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    source: _script_pb2.ScriptSource
    context: _script_pb2.CompilationContext
    def __init__(self, source: _Optional[_Union[_script_pb2.ScriptSource, _Mapping]] = ..., context: _Optional[_Union[_script_pb2.CompilationContext, _Mapping]] = ...) -> None: ...

class CompileScriptResponse(_message.Message):
    __slots__ = ("success", "script", "diagnostics", "rendered_diagnostics")
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    RENDERED_DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    success: bool
    script: _script_pb2.CompiledScript
    diagnostics: _containers.RepeatedCompositeFieldContainer[_script_pb2.Diagnostic]
    rendered_diagnostics: str
    def __init__(self, success: _Optional[bool] = ..., script: _Optional[_Union[_script_pb2.CompiledScript, _Mapping]] = ..., diagnostics: _Optional[_Iterable[_Union[_script_pb2.Diagnostic, _Mapping]]] = ..., rendered_diagnostics: _Optional[str] = ...) -> None: ...

class ExecuteScriptRequest(_message.Message):
    __slots__ = ("context", "include_return_json")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RETURN_JSON_FIELD_NUMBER: _ClassVar[int]
    context: _execution_pb2.ExecutionContext
    include_return_json: bool
    def __init__(self, context: _Optional[_Union[_execution_pb2.ExecutionContext, _Mapping]] = ..., include_return_json: _Optional[bool] = ...) -> None: ...

class ExecuteScriptResponse(_message.Message):
    __slots__ = ("result",)
    RESULT_FIELD_NUMBER: _ClassVar[int]
    result: _execution_pb2.ExecutionResult
    def __init__(self, result: _Optional[_Union[_execution_pb2.ExecutionResult, _Mapping]] = ...) -> None: ...

class ExecuteScriptStreamRequest(_message.Message):
    __slots__ = ("context", "include_return_json")
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RETURN_JSON_FIELD_NUMBER: _ClassVar[int]
    context: _execution_pb2.ExecutionContext
    include_return_json: bool
    def __init__(self, context: _Optional[_Union[_execution_pb2.ExecutionContext, _Mapping]] = ..., include_return_json: _Optional[bool] = ...) -> None: ...

class ExecuteScriptStreamResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _execution_pb2.ExecutionChunk
    def __init__(self, chunk: _Optional[_Union[_execution_pb2.ExecutionChunk, _Mapping]] = ...) -> None: ...

class WaitExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "after_sequence", "include_return_json", "skip_output")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RETURN_JSON_FIELD_NUMBER: _ClassVar[int]
    SKIP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    after_sequence: int
    include_return_json: bool
    skip_output: bool
    def __init__(self, execution_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., include_return_json: _Optional[bool] = ..., skip_output: _Optional[bool] = ...) -> None: ...

class WaitExecutionResponse(_message.Message):
    __slots__ = ("chunk",)
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    chunk: _execution_pb2.ExecutionChunk
    def __init__(self, chunk: _Optional[_Union[_execution_pb2.ExecutionChunk, _Mapping]] = ...) -> None: ...

class CancelExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "reason")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    reason: str
    def __init__(self, execution_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: _execution_pb2.Execution
    def __init__(self, execution: _Optional[_Union[_execution_pb2.Execution, _Mapping]] = ...) -> None: ...

class GetExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "include_return_json")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RETURN_JSON_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    include_return_json: bool
    def __init__(self, execution_id: _Optional[str] = ..., include_return_json: _Optional[bool] = ...) -> None: ...

class GetExecutionResponse(_message.Message):
    __slots__ = ("execution",)
    EXECUTION_FIELD_NUMBER: _ClassVar[int]
    execution: _execution_pb2.Execution
    def __init__(self, execution: _Optional[_Union[_execution_pb2.Execution, _Mapping]] = ...) -> None: ...

class ListExecutionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "states", "script_id", "principal", "created_after", "created_before")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[_execution_pb2.ExecutionState]
    script_id: str
    principal: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[_execution_pb2.ExecutionState, str]]] = ..., script_id: _Optional[str] = ..., principal: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListExecutionsResponse(_message.Message):
    __slots__ = ("executions", "next_page_token")
    EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    executions: _containers.RepeatedCompositeFieldContainer[_execution_pb2.Execution]
    next_page_token: str
    def __init__(self, executions: _Optional[_Iterable[_Union[_execution_pb2.Execution, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteExecutionRequest(_message.Message):
    __slots__ = ("execution_id", "redact_only")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REDACT_ONLY_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    redact_only: bool
    def __init__(self, execution_id: _Optional[str] = ..., redact_only: _Optional[bool] = ...) -> None: ...

class DeleteExecutionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetScriptRequest(_message.Message):
    __slots__ = ("script_id", "script_name", "include_source")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_NAME_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_SOURCE_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    script_name: str
    include_source: bool
    def __init__(self, script_id: _Optional[str] = ..., script_name: _Optional[str] = ..., include_source: _Optional[bool] = ...) -> None: ...

class GetScriptResponse(_message.Message):
    __slots__ = ("script",)
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    script: _script_pb2.Script
    def __init__(self, script: _Optional[_Union[_script_pb2.Script, _Mapping]] = ...) -> None: ...

class ListScriptsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "name_prefix", "principal", "created_after", "created_before")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    NAME_PREFIX_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    name_prefix: str
    principal: str
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., name_prefix: _Optional[str] = ..., principal: _Optional[str] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListScriptsResponse(_message.Message):
    __slots__ = ("scripts", "next_page_token")
    SCRIPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    scripts: _containers.RepeatedCompositeFieldContainer[_script_pb2.Script]
    next_page_token: str
    def __init__(self, scripts: _Optional[_Iterable[_Union[_script_pb2.Script, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class NameScriptRequest(_message.Message):
    __slots__ = ("name", "script_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    script_id: str
    def __init__(self, name: _Optional[str] = ..., script_id: _Optional[str] = ...) -> None: ...

class NameScriptResponse(_message.Message):
    __slots__ = ("script",)
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    script: _script_pb2.Script
    def __init__(self, script: _Optional[_Union[_script_pb2.Script, _Mapping]] = ...) -> None: ...

class DeleteScriptRequest(_message.Message):
    __slots__ = ("script_id",)
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    def __init__(self, script_id: _Optional[str] = ...) -> None: ...

class DeleteScriptResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthCheckRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HealthCheckResponse(_message.Message):
    __slots__ = ("health",)
    HEALTH_FIELD_NUMBER: _ClassVar[int]
    health: _server_info_pb2.HealthStatus
    def __init__(self, health: _Optional[_Union[_server_info_pb2.HealthStatus, _Mapping]] = ...) -> None: ...

class GetMetricsRequest(_message.Message):
    __slots__ = ("script_ids",)
    SCRIPT_IDS_FIELD_NUMBER: _ClassVar[int]
    script_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, script_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class GetMetricsResponse(_message.Message):
    __slots__ = ("metrics", "script_stats")
    METRICS_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_STATS_FIELD_NUMBER: _ClassVar[int]
    metrics: _server_info_pb2.PerformanceMetrics
    script_stats: _containers.RepeatedCompositeFieldContainer[_server_info_pb2.ScriptExecutionStats]
    def __init__(self, metrics: _Optional[_Union[_server_info_pb2.PerformanceMetrics, _Mapping]] = ..., script_stats: _Optional[_Iterable[_Union[_server_info_pb2.ScriptExecutionStats, _Mapping]]] = ...) -> None: ...

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("server",)
    SERVER_FIELD_NUMBER: _ClassVar[int]
    server: _server_info_pb2.ServerInfo
    def __init__(self, server: _Optional[_Union[_server_info_pb2.ServerInfo, _Mapping]] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: _server_info_pb2.ServiceStatus
    def __init__(self, status: _Optional[_Union[_server_info_pb2.ServiceStatus, str]] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("grace_period",)
    GRACE_PERIOD_FIELD_NUMBER: _ClassVar[int]
    grace_period: _duration_pb2.Duration
    def __init__(self, grace_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ("status", "interrupted_executions")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    INTERRUPTED_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    status: _server_info_pb2.ServiceStatus
    interrupted_executions: int
    def __init__(self, status: _Optional[_Union[_server_info_pb2.ServiceStatus, str]] = ..., interrupted_executions: _Optional[int] = ...) -> None: ...
