import datetime

from crucible.v1 import error_pb2 as _error_pb2
from crucible.v1 import script_pb2 as _script_pb2
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

class ExecutionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_STATE_UNSPECIFIED: _ClassVar[ExecutionState]
    EXECUTION_STATE_QUEUED: _ClassVar[ExecutionState]
    EXECUTION_STATE_RUNNING: _ClassVar[ExecutionState]
    EXECUTION_STATE_SUCCEEDED: _ClassVar[ExecutionState]
    EXECUTION_STATE_FAILED: _ClassVar[ExecutionState]
    EXECUTION_STATE_CANCELLED: _ClassVar[ExecutionState]
    EXECUTION_STATE_INTERRUPTED: _ClassVar[ExecutionState]
EXECUTION_STATE_UNSPECIFIED: ExecutionState
EXECUTION_STATE_QUEUED: ExecutionState
EXECUTION_STATE_RUNNING: ExecutionState
EXECUTION_STATE_SUCCEEDED: ExecutionState
EXECUTION_STATE_FAILED: ExecutionState
EXECUTION_STATE_CANCELLED: ExecutionState
EXECUTION_STATE_INTERRUPTED: ExecutionState

class ExecutionContext(_message.Message):
    __slots__ = ("execution_id", "script_id", "script_name", "source", "function", "arguments", "arguments_json", "environment", "working_directory", "security_context", "timeout", "available_tools", "user_context", "limits", "detached", "seed", "profile")
    class ArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_NAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    SECURITY_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    AVAILABLE_TOOLS_FIELD_NUMBER: _ClassVar[int]
    USER_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    script_id: str
    script_name: str
    source: _script_pb2.ScriptSource
    function: str
    arguments: _containers.MessageMap[str, _value_pb2.Value]
    arguments_json: str
    environment: _containers.ScalarMap[str, str]
    working_directory: str
    security_context: _security_pb2.SecurityContext
    timeout: _duration_pb2.Duration
    available_tools: _containers.RepeatedScalarFieldContainer[str]
    user_context: UserContext
    limits: _security_pb2.ResourceLimits
    detached: bool
    seed: bytes
    profile: bool
    def __init__(self, execution_id: _Optional[str] = ..., script_id: _Optional[str] = ..., script_name: _Optional[str] = ..., source: _Optional[_Union[_script_pb2.ScriptSource, _Mapping]] = ..., function: _Optional[str] = ..., arguments: _Optional[_Mapping[str, _value_pb2.Value]] = ..., arguments_json: _Optional[str] = ..., environment: _Optional[_Mapping[str, str]] = ..., working_directory: _Optional[str] = ..., security_context: _Optional[_Union[_security_pb2.SecurityContext, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., available_tools: _Optional[_Iterable[str]] = ..., user_context: _Optional[_Union[UserContext, _Mapping]] = ..., limits: _Optional[_Union[_security_pb2.ResourceLimits, _Mapping]] = ..., detached: _Optional[bool] = ..., seed: _Optional[bytes] = ..., profile: _Optional[bool] = ...) -> None: ...

class UserContext(_message.Message):
    __slots__ = ("preferences", "settings")
    class PreferencesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    class SettingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    PREFERENCES_FIELD_NUMBER: _ClassVar[int]
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    preferences: _containers.MessageMap[str, _value_pb2.Value]
    settings: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, preferences: _Optional[_Mapping[str, _value_pb2.Value]] = ..., settings: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...

class ExecutionResult(_message.Message):
    __slots__ = ("execution_id", "script_id", "return_value", "stdout", "stderr", "execution_time", "success", "error", "resource_usage", "metadata", "stdout_bytes", "stderr_bytes", "stdout_truncated", "stderr_truncated", "return_json", "profile")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    RETURN_VALUE_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    EXECUTION_TIME_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_USAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    STDERR_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    RETURN_JSON_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    script_id: str
    return_value: _value_pb2.Value
    stdout: str
    stderr: str
    execution_time: _duration_pb2.Duration
    success: bool
    error: _error_pb2.ExecutionError
    resource_usage: _security_pb2.ResourceUsage
    metadata: _containers.MessageMap[str, _value_pb2.Value]
    stdout_bytes: int
    stderr_bytes: int
    stdout_truncated: bool
    stderr_truncated: bool
    return_json: str
    profile: bytes
    def __init__(self, execution_id: _Optional[str] = ..., script_id: _Optional[str] = ..., return_value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., stdout: _Optional[str] = ..., stderr: _Optional[str] = ..., execution_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., success: _Optional[bool] = ..., error: _Optional[_Union[_error_pb2.ExecutionError, _Mapping]] = ..., resource_usage: _Optional[_Union[_security_pb2.ResourceUsage, _Mapping]] = ..., metadata: _Optional[_Mapping[str, _value_pb2.Value]] = ..., stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., stdout_truncated: _Optional[bool] = ..., stderr_truncated: _Optional[bool] = ..., return_json: _Optional[str] = ..., profile: _Optional[bytes] = ...) -> None: ...

class ExecutionChunk(_message.Message):
    __slots__ = ("execution_id", "sequence", "stdout", "stderr", "complete", "error")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    sequence: int
    stdout: str
    stderr: str
    complete: ExecutionResult
    error: ExecutionResult
    def __init__(self, execution_id: _Optional[str] = ..., sequence: _Optional[int] = ..., stdout: _Optional[str] = ..., stderr: _Optional[str] = ..., complete: _Optional[_Union[ExecutionResult, _Mapping]] = ..., error: _Optional[_Union[ExecutionResult, _Mapping]] = ...) -> None: ...

class Execution(_message.Message):
    __slots__ = ("execution_id", "script_id", "script_name", "function", "state", "detached", "principal", "security_level", "limits", "create_time", "start_time", "end_time", "expire_time", "result", "last_sequence", "redacted")
    EXECUTION_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_NAME_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DETACHED_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    REDACTED_FIELD_NUMBER: _ClassVar[int]
    execution_id: str
    script_id: str
    script_name: str
    function: str
    state: ExecutionState
    detached: bool
    principal: str
    security_level: _security_pb2.SecurityLevel
    limits: _security_pb2.ResourceLimits
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    result: ExecutionResult
    last_sequence: int
    redacted: bool
    def __init__(self, execution_id: _Optional[str] = ..., script_id: _Optional[str] = ..., script_name: _Optional[str] = ..., function: _Optional[str] = ..., state: _Optional[_Union[ExecutionState, str]] = ..., detached: _Optional[bool] = ..., principal: _Optional[str] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., limits: _Optional[_Union[_security_pb2.ResourceLimits, _Mapping]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., result: _Optional[_Union[ExecutionResult, _Mapping]] = ..., last_sequence: _Optional[int] = ..., redacted: _Optional[bool] = ...) -> None: ...
