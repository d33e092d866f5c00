import datetime

from crucible.v1 import security_pb2 as _security_pb2
from crucible.v1 import value_pb2 as _value_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ServiceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVICE_STATUS_UNSPECIFIED: _ClassVar[ServiceStatus]
    SERVICE_STATUS_HEALTHY: _ClassVar[ServiceStatus]
    SERVICE_STATUS_DEGRADED: _ClassVar[ServiceStatus]
    SERVICE_STATUS_UNHEALTHY: _ClassVar[ServiceStatus]
    SERVICE_STATUS_STARTING: _ClassVar[ServiceStatus]
    SERVICE_STATUS_STOPPING: _ClassVar[ServiceStatus]
    SERVICE_STATUS_STOPPED: _ClassVar[ServiceStatus]
SERVICE_STATUS_UNSPECIFIED: ServiceStatus
SERVICE_STATUS_HEALTHY: ServiceStatus
SERVICE_STATUS_DEGRADED: ServiceStatus
SERVICE_STATUS_UNHEALTHY: ServiceStatus
SERVICE_STATUS_STARTING: ServiceStatus
SERVICE_STATUS_STOPPING: ServiceStatus
SERVICE_STATUS_STOPPED: ServiceStatus

class ServerInfo(_message.Message):
    __slots__ = ("version", "rune_version", "rune_patch_level", "vm_protocol_version", "instance_id", "start_time", "default_security_level", "security_levels", "modules", "isolation_layers", "execution_retention", "max_request_bytes", "max_value_depth", "max_unary_output_bytes", "max_concurrent_executions", "max_queued_executions", "max_executions_memory_bytes", "max_stored_executions", "script_retention", "max_stored_scripts")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNE_PATCH_LEVEL_FIELD_NUMBER: _ClassVar[int]
    VM_PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVELS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_LAYERS_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_RETENTION_FIELD_NUMBER: _ClassVar[int]
    MAX_REQUEST_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_VALUE_DEPTH_FIELD_NUMBER: _ClassVar[int]
    MAX_UNARY_OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    MAX_EXECUTIONS_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_STORED_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_RETENTION_FIELD_NUMBER: _ClassVar[int]
    MAX_STORED_SCRIPTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    rune_version: str
    rune_patch_level: str
    vm_protocol_version: int
    instance_id: str
    start_time: _timestamp_pb2.Timestamp
    default_security_level: _security_pb2.SecurityLevel
    security_levels: _containers.RepeatedCompositeFieldContainer[SecurityLevelInfo]
    modules: _containers.RepeatedCompositeFieldContainer[ModuleInfo]
    isolation_layers: _containers.RepeatedCompositeFieldContainer[IsolationLayer]
    execution_retention: _duration_pb2.Duration
    max_request_bytes: int
    max_value_depth: int
    max_unary_output_bytes: int
    max_concurrent_executions: int
    max_queued_executions: int
    max_executions_memory_bytes: int
    max_stored_executions: int
    script_retention: _duration_pb2.Duration
    max_stored_scripts: int
    def __init__(self, version: _Optional[str] = ..., rune_version: _Optional[str] = ..., rune_patch_level: _Optional[str] = ..., vm_protocol_version: _Optional[int] = ..., instance_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., default_security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., security_levels: _Optional[_Iterable[_Union[SecurityLevelInfo, _Mapping]]] = ..., modules: _Optional[_Iterable[_Union[ModuleInfo, _Mapping]]] = ..., isolation_layers: _Optional[_Iterable[_Union[IsolationLayer, _Mapping]]] = ..., execution_retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_request_bytes: _Optional[int] = ..., max_value_depth: _Optional[int] = ..., max_unary_output_bytes: _Optional[int] = ..., max_concurrent_executions: _Optional[int] = ..., max_queued_executions: _Optional[int] = ..., max_executions_memory_bytes: _Optional[int] = ..., max_stored_executions: _Optional[int] = ..., script_retention: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_stored_scripts: _Optional[int] = ...) -> None: ...

class SecurityLevelInfo(_message.Message):
    __slots__ = ("level", "enabled", "disabled_reason", "limits", "modules")
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    DISABLED_REASON_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    level: _security_pb2.SecurityLevel
    enabled: bool
    disabled_reason: str
    limits: _security_pb2.ResourceLimits
    modules: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., enabled: _Optional[bool] = ..., disabled_reason: _Optional[str] = ..., limits: _Optional[_Union[_security_pb2.ResourceLimits, _Mapping]] = ..., modules: _Optional[_Iterable[str]] = ...) -> None: ...

class ModuleInfo(_message.Message):
    __slots__ = ("name", "doc", "functions")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    doc: str
    functions: _containers.RepeatedCompositeFieldContainer[ModuleFunction]
    def __init__(self, name: _Optional[str] = ..., doc: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[ModuleFunction, _Mapping]]] = ...) -> None: ...

class ModuleFunction(_message.Message):
    __slots__ = ("name", "signature", "doc", "is_async", "host_call")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    IS_ASYNC_FIELD_NUMBER: _ClassVar[int]
    HOST_CALL_FIELD_NUMBER: _ClassVar[int]
    name: str
    signature: str
    doc: str
    is_async: bool
    host_call: str
    def __init__(self, name: _Optional[str] = ..., signature: _Optional[str] = ..., doc: _Optional[str] = ..., is_async: _Optional[bool] = ..., host_call: _Optional[str] = ...) -> None: ...

class IsolationLayer(_message.Message):
    __slots__ = ("name", "active", "required", "detail")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    name: str
    active: bool
    required: bool
    detail: str
    def __init__(self, name: _Optional[str] = ..., active: _Optional[bool] = ..., required: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...

class HealthStatus(_message.Message):
    __slots__ = ("status", "message", "details", "timestamp", "isolation_layers", "reasons", "since")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_LAYERS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    status: ServiceStatus
    message: str
    details: _containers.MessageMap[str, _value_pb2.Value]
    timestamp: _timestamp_pb2.Timestamp
    isolation_layers: _containers.RepeatedCompositeFieldContainer[IsolationLayer]
    reasons: _containers.RepeatedCompositeFieldContainer[HealthReason]
    since: _timestamp_pb2.Timestamp
    def __init__(self, status: _Optional[_Union[ServiceStatus, str]] = ..., message: _Optional[str] = ..., details: _Optional[_Mapping[str, _value_pb2.Value]] = ..., timestamp: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., isolation_layers: _Optional[_Iterable[_Union[IsolationLayer, _Mapping]]] = ..., reasons: _Optional[_Iterable[_Union[HealthReason, _Mapping]]] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class HealthReason(_message.Message):
    __slots__ = ("code", "status", "message", "since")
    CODE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    code: str
    status: ServiceStatus
    message: str
    since: _timestamp_pb2.Timestamp
    def __init__(self, code: _Optional[str] = ..., status: _Optional[_Union[ServiceStatus, str]] = ..., message: _Optional[str] = ..., since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PerformanceMetrics(_message.Message):
    __slots__ = ("memory_usage", "cpu_usage", "active_connections", "queued_executions", "total_compilations", "successful_compilations", "total_executions", "successful_executions", "average_compile_time", "average_execution_time", "cache_hits", "cache_misses", "cache_evictions", "cache_entries", "cache_bytes", "uptime", "cache_rejections", "spare_hits", "spare_misses", "spare_children", "reserved_memory_bytes", "forked_children", "failed_executions", "refused_executions")
    MEMORY_USAGE_FIELD_NUMBER: _ClassVar[int]
    CPU_USAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COMPILATIONS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSFUL_COMPILATIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSFUL_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_COMPILE_TIME_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_EXECUTION_TIME_FIELD_NUMBER: _ClassVar[int]
    CACHE_HITS_FIELD_NUMBER: _ClassVar[int]
    CACHE_MISSES_FIELD_NUMBER: _ClassVar[int]
    CACHE_EVICTIONS_FIELD_NUMBER: _ClassVar[int]
    CACHE_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    CACHE_BYTES_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    CACHE_REJECTIONS_FIELD_NUMBER: _ClassVar[int]
    SPARE_HITS_FIELD_NUMBER: _ClassVar[int]
    SPARE_MISSES_FIELD_NUMBER: _ClassVar[int]
    SPARE_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    RESERVED_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    FORKED_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    FAILED_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    memory_usage: int
    cpu_usage: float
    active_connections: int
    queued_executions: int
    total_compilations: int
    successful_compilations: int
    total_executions: int
    successful_executions: int
    average_compile_time: _duration_pb2.Duration
    average_execution_time: _duration_pb2.Duration
    cache_hits: int
    cache_misses: int
    cache_evictions: int
    cache_entries: int
    cache_bytes: int
    uptime: _duration_pb2.Duration
    cache_rejections: int
    spare_hits: int
    spare_misses: int
    spare_children: int
    reserved_memory_bytes: int
    forked_children: int
    failed_executions: int
    refused_executions: int
    def __init__(self, memory_usage: _Optional[int] = ..., cpu_usage: _Optional[float] = ..., active_connections: _Optional[int] = ..., queued_executions: _Optional[int] = ..., total_compilations: _Optional[int] = ..., successful_compilations: _Optional[int] = ..., total_executions: _Optional[int] = ..., successful_executions: _Optional[int] = ..., average_compile_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., average_execution_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cache_hits: _Optional[int] = ..., cache_misses: _Optional[int] = ..., cache_evictions: _Optional[int] = ..., cache_entries: _Optional[int] = ..., cache_bytes: _Optional[int] = ..., uptime: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., cache_rejections: _Optional[int] = ..., spare_hits: _Optional[int] = ..., spare_misses: _Optional[int] = ..., spare_children: _Optional[int] = ..., reserved_memory_bytes: _Optional[int] = ..., forked_children: _Optional[int] = ..., failed_executions: _Optional[int] = ..., refused_executions: _Optional[int] = ...) -> None: ...

class ScriptExecutionStats(_message.Message):
    __slots__ = ("script_id", "total_executions", "successful_executions", "average_execution_time", "max_execution_time", "max_memory_bytes", "last_execution_time")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    TOTAL_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    SUCCESSFUL_EXECUTIONS_FIELD_NUMBER: _ClassVar[int]
    AVERAGE_EXECUTION_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_EXECUTION_TIME_FIELD_NUMBER: _ClassVar[int]
    MAX_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAST_EXECUTION_TIME_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    total_executions: int
    successful_executions: int
    average_execution_time: _duration_pb2.Duration
    max_execution_time: _duration_pb2.Duration
    max_memory_bytes: int
    last_execution_time: _timestamp_pb2.Timestamp
    def __init__(self, script_id: _Optional[str] = ..., total_executions: _Optional[int] = ..., successful_executions: _Optional[int] = ..., average_execution_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_execution_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_memory_bytes: _Optional[int] = ..., last_execution_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
