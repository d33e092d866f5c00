import datetime

from crucible.v1 import error_pb2 as _error_pb2
from crucible.v1 import execution_pb2 as _execution_pb2
from crucible.v1 import security_pb2 as _security_pb2
from crucible.v1 import server_info_pb2 as _server_info_pb2
from crucible.v1 import value_pb2 as _value_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("sequence", "event_id", "time", "type", "source", "trace_id", "principal", "script_id", "execution_id", "script_compiled", "script_executed", "health_status_changed", "migration_started", "migration_completed", "service_registered", "service_unregistered", "script_cached", "script_evicted", "execution_started", "execution_cancelled", "security_violation", "policy_changed", "configuration_changed", "custom")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_COMPILED_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_EXECUTED_FIELD_NUMBER: _ClassVar[int]
    HEALTH_STATUS_CHANGED_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_STARTED_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_COMPLETED_FIELD_NUMBER: _ClassVar[int]
    SERVICE_REGISTERED_FIELD_NUMBER: _ClassVar[int]
    SERVICE_UNREGISTERED_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_CACHED_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_EVICTED_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_STARTED_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    SECURITY_VIOLATION_FIELD_NUMBER: _ClassVar[int]
    POLICY_CHANGED_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_CHANGED_FIELD_NUMBER: _ClassVar[int]
    CUSTOM_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    event_id: str
    time: _timestamp_pb2.Timestamp
    type: str
    source: str
    trace_id: str
    principal: str
    script_id: str
    execution_id: str
    script_compiled: ScriptCompiled
    script_executed: ScriptExecuted
    health_status_changed: HealthStatusChanged
    migration_started: MigrationStarted
    migration_completed: MigrationCompleted
    service_registered: ServiceRegistered
    service_unregistered: ServiceUnregistered
    script_cached: ScriptCached
    script_evicted: ScriptEvicted
    execution_started: ExecutionStarted
    execution_cancelled: ExecutionCancelled
    security_violation: SecurityViolation
    policy_changed: PolicyChanged
    configuration_changed: ConfigurationChanged
    custom: Custom
    def __init__(self, sequence: _Optional[int] = ..., event_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., type: _Optional[str] = ..., source: _Optional[str] = ..., trace_id: _Optional[str] = ..., principal: _Optional[str] = ..., script_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., script_compiled: _Optional[_Union[ScriptCompiled, _Mapping]] = ..., script_executed: _Optional[_Union[ScriptExecuted, _Mapping]] = ..., health_status_changed: _Optional[_Union[HealthStatusChanged, _Mapping]] = ..., migration_started: _Optional[_Union[MigrationStarted, _Mapping]] = ..., migration_completed: _Optional[_Union[MigrationCompleted, _Mapping]] = ..., service_registered: _Optional[_Union[ServiceRegistered, _Mapping]] = ..., service_unregistered: _Optional[_Union[ServiceUnregistered, _Mapping]] = ..., script_cached: _Optional[_Union[ScriptCached, _Mapping]] = ..., script_evicted: _Optional[_Union[ScriptEvicted, _Mapping]] = ..., execution_started: _Optional[_Union[ExecutionStarted, _Mapping]] = ..., execution_cancelled: _Optional[_Union[ExecutionCancelled, _Mapping]] = ..., security_violation: _Optional[_Union[SecurityViolation, _Mapping]] = ..., policy_changed: _Optional[_Union[PolicyChanged, _Mapping]] = ..., configuration_changed: _Optional[_Union[ConfigurationChanged, _Mapping]] = ..., custom: _Optional[_Union[Custom, _Mapping]] = ...) -> None: ...

class ScriptCompiled(_message.Message):
    __slots__ = ("script_id", "success", "duration", "error")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    success: bool
    duration: _duration_pb2.Duration
    error: str
    def __init__(self, script_id: _Optional[str] = ..., success: _Optional[bool] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class ScriptExecuted(_message.Message):
    __slots__ = ("script_id", "execution_id", "success", "duration", "resource_usage", "state", "error_kind", "function")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_USAGE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_KIND_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    execution_id: str
    success: bool
    duration: _duration_pb2.Duration
    resource_usage: _security_pb2.ResourceUsage
    state: _execution_pb2.ExecutionState
    error_kind: _error_pb2.ExecutionErrorKind
    function: str
    def __init__(self, script_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., success: _Optional[bool] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., resource_usage: _Optional[_Union[_security_pb2.ResourceUsage, _Mapping]] = ..., state: _Optional[_Union[_execution_pb2.ExecutionState, str]] = ..., error_kind: _Optional[_Union[_error_pb2.ExecutionErrorKind, str]] = ..., function: _Optional[str] = ...) -> None: ...

class HealthStatusChanged(_message.Message):
    __slots__ = ("service_id", "status", "timestamp", "previous_status", "message")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    status: _server_info_pb2.ServiceStatus
    timestamp: _timestamp_pb2.Timestamp
    previous_status: _server_info_pb2.ServiceStatus
    message: str
    def __init__(self, service_id: _Optional[str] = ..., status: _Optional[_Union[_server_info_pb2.ServiceStatus, str]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., previous_status: _Optional[_Union[_server_info_pb2.ServiceStatus, str]] = ..., message: _Optional[str] = ...) -> None: ...

class MigrationStarted(_message.Message):
    __slots__ = ("tool_name", "migration_id")
    TOOL_NAME_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_ID_FIELD_NUMBER: _ClassVar[int]
    tool_name: str
    migration_id: str
    def __init__(self, tool_name: _Optional[str] = ..., migration_id: _Optional[str] = ...) -> None: ...

class MigrationCompleted(_message.Message):
    __slots__ = ("tool_name", "migration_id", "success", "new_tool_id", "duration", "warnings", "errors")
    TOOL_NAME_FIELD_NUMBER: _ClassVar[int]
    MIGRATION_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    NEW_TOOL_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    tool_name: str
    migration_id: str
    success: bool
    new_tool_id: str
    duration: _duration_pb2.Duration
    warnings: _containers.RepeatedScalarFieldContainer[str]
    errors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tool_name: _Optional[str] = ..., migration_id: _Optional[str] = ..., success: _Optional[bool] = ..., new_tool_id: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., errors: _Optional[_Iterable[str]] = ...) -> None: ...

class ServiceRegistered(_message.Message):
    __slots__ = ("service_id", "service_type", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TYPE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    service_type: str
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, service_id: _Optional[str] = ..., service_type: _Optional[str] = ..., metadata: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...

class ServiceUnregistered(_message.Message):
    __slots__ = ("service_id", "reason")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    reason: str
    def __init__(self, service_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ScriptCached(_message.Message):
    __slots__ = ("script_id", "bytecode_bytes")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    BYTECODE_BYTES_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    bytecode_bytes: int
    def __init__(self, script_id: _Optional[str] = ..., bytecode_bytes: _Optional[int] = ...) -> None: ...

class ScriptEvicted(_message.Message):
    __slots__ = ("script_id", "bytecode_bytes")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    BYTECODE_BYTES_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    bytecode_bytes: int
    def __init__(self, script_id: _Optional[str] = ..., bytecode_bytes: _Optional[int] = ...) -> None: ...

class ExecutionStarted(_message.Message):
    __slots__ = ("script_id", "execution_id", "function", "detached", "security_level")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    execution_id: str
    function: str
    detached: bool
    security_level: _security_pb2.SecurityLevel
    def __init__(self, script_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., function: _Optional[str] = ..., detached: _Optional[bool] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ...) -> None: ...

class ExecutionCancelled(_message.Message):
    __slots__ = ("script_id", "execution_id", "reason")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    execution_id: str
    reason: str
    def __init__(self, script_id: _Optional[str] = ..., execution_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class SecurityViolation(_message.Message):
    __slots__ = ("subject", "message", "security_level")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    subject: str
    message: str
    security_level: _security_pb2.SecurityLevel
    def __init__(self, subject: _Optional[str] = ..., message: _Optional[str] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ...) -> None: ...

class PolicyChanged(_message.Message):
    __slots__ = ("policy_id", "change")
    POLICY_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    policy_id: str
    change: str
    def __init__(self, policy_id: _Optional[str] = ..., change: _Optional[str] = ...) -> None: ...

class ConfigurationChanged(_message.Message):
    __slots__ = ("version", "keys", "origin", "restart_keys")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    RESTART_KEYS_FIELD_NUMBER: _ClassVar[int]
    version: int
    keys: _containers.RepeatedScalarFieldContainer[str]
    origin: str
    restart_keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[int] = ..., keys: _Optional[_Iterable[str]] = ..., origin: _Optional[str] = ..., restart_keys: _Optional[_Iterable[str]] = ...) -> None: ...

class Custom(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: _value_pb2.Value
    def __init__(self, data: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...

class EventFilter(_message.Message):
    __slots__ = ("types", "script_id", "principal")
    TYPES_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    types: _containers.RepeatedScalarFieldContainer[str]
    script_id: str
    principal: str
    def __init__(self, types: _Optional[_Iterable[str]] = ..., script_id: _Optional[str] = ..., principal: _Optional[str] = ...) -> None: ...
