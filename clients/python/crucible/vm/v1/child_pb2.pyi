from crucible.v1 import error_pb2 as _error_pb2
from crucible.v1 import script_pb2 as _script_pb2
from crucible.v1 import security_pb2 as _security_pb2
from crucible.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ServerFrame(_message.Message):
    __slots__ = ("start", "host_reply", "output_credit", "cancel")
    START_FIELD_NUMBER: _ClassVar[int]
    HOST_REPLY_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CREDIT_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    start: Start
    host_reply: HostReply
    output_credit: OutputCredit
    cancel: Cancel
    def __init__(self, start: _Optional[_Union[Start, _Mapping]] = ..., host_reply: _Optional[_Union[HostReply, _Mapping]] = ..., output_credit: _Optional[_Union[OutputCredit, _Mapping]] = ..., cancel: _Optional[_Union[Cancel, _Mapping]] = ...) -> None: ...

class Start(_message.Message):
    __slots__ = ("protocol_version", "seed", "start_time_ns", "limits", "security_level", "modules", "output_credit_bytes", "journal", "environment", "working_directory", "heap_bytes", "compile", "execute")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    START_TIME_NS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    WORKING_DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    HEAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    COMPILE_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    seed: bytes
    start_time_ns: int
    limits: JobLimits
    security_level: _security_pb2.SecurityLevel
    modules: _containers.RepeatedScalarFieldContainer[str]
    output_credit_bytes: int
    journal: _containers.RepeatedCompositeFieldContainer[HostReply]
    environment: _containers.ScalarMap[str, str]
    working_directory: str
    heap_bytes: int
    compile: CompileJob
    execute: ExecuteJob
    def __init__(self, protocol_version: _Optional[int] = ..., seed: _Optional[bytes] = ..., start_time_ns: _Optional[int] = ..., limits: _Optional[_Union[JobLimits, _Mapping]] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., modules: _Optional[_Iterable[str]] = ..., output_credit_bytes: _Optional[int] = ..., journal: _Optional[_Iterable[_Union[HostReply, _Mapping]]] = ..., environment: _Optional[_Mapping[str, str]] = ..., working_directory: _Optional[str] = ..., heap_bytes: _Optional[int] = ..., compile: _Optional[_Union[CompileJob, _Mapping]] = ..., execute: _Optional[_Union[ExecuteJob, _Mapping]] = ...) -> None: ...

class JobLimits(_message.Message):
    __slots__ = ("memory_bytes", "max_operations", "native_depth", "output_bytes", "return_bytes", "value_depth", "cpu_percentage", "host_calls_in_flight", "max_host_calls", "frames_per_second")
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_OPERATIONS_FIELD_NUMBER: _ClassVar[int]
    NATIVE_DEPTH_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    RETURN_BYTES_FIELD_NUMBER: _ClassVar[int]
    VALUE_DEPTH_FIELD_NUMBER: _ClassVar[int]
    CPU_PERCENTAGE_FIELD_NUMBER: _ClassVar[int]
    HOST_CALLS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_HOST_CALLS_FIELD_NUMBER: _ClassVar[int]
    FRAMES_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    memory_bytes: int
    max_operations: int
    native_depth: int
    output_bytes: int
    return_bytes: int
    value_depth: int
    cpu_percentage: float
    host_calls_in_flight: int
    max_host_calls: int
    frames_per_second: int
    def __init__(self, memory_bytes: _Optional[int] = ..., max_operations: _Optional[int] = ..., native_depth: _Optional[int] = ..., output_bytes: _Optional[int] = ..., return_bytes: _Optional[int] = ..., value_depth: _Optional[int] = ..., cpu_percentage: _Optional[float] = ..., host_calls_in_flight: _Optional[int] = ..., max_host_calls: _Optional[int] = ..., frames_per_second: _Optional[int] = ...) -> None: ...

class CompileJob(_message.Message):
    __slots__ = ("source",)
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    source: _script_pb2.ScriptSource
    def __init__(self, source: _Optional[_Union[_script_pb2.ScriptSource, _Mapping]] = ...) -> None: ...

class ExecuteJob(_message.Message):
    __slots__ = ("unit", "function", "arguments", "file_name", "profile")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    unit: bytes
    function: str
    arguments: _containers.RepeatedCompositeFieldContainer[_value_pb2.Value]
    file_name: str
    profile: bool
    def __init__(self, unit: _Optional[bytes] = ..., function: _Optional[str] = ..., arguments: _Optional[_Iterable[_Union[_value_pb2.Value, _Mapping]]] = ..., file_name: _Optional[str] = ..., profile: _Optional[bool] = ...) -> None: ...

class HostReply(_message.Message):
    __slots__ = ("call_id", "time_ns", "value", "error")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    time_ns: int
    value: _value_pb2.Value
    error: str
    def __init__(self, call_id: _Optional[int] = ..., time_ns: _Optional[int] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., error: _Optional[str] = ...) -> None: ...

class OutputCredit(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class ChildFrame(_message.Message):
    __slots__ = ("sequence", "output", "host_call", "compile_result", "execute_result")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    HOST_CALL_FIELD_NUMBER: _ClassVar[int]
    COMPILE_RESULT_FIELD_NUMBER: _ClassVar[int]
    EXECUTE_RESULT_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    output: Output
    host_call: HostCall
    compile_result: CompileResult
    execute_result: ExecuteResult
    def __init__(self, sequence: _Optional[int] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., host_call: _Optional[_Union[HostCall, _Mapping]] = ..., compile_result: _Optional[_Union[CompileResult, _Mapping]] = ..., execute_result: _Optional[_Union[ExecuteResult, _Mapping]] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("is_stderr", "data")
    IS_STDERR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    is_stderr: bool
    data: bytes
    def __init__(self, is_stderr: _Optional[bool] = ..., data: _Optional[bytes] = ...) -> None: ...

class HostCall(_message.Message):
    __slots__ = ("call_id", "name", "schema_version", "arguments", "operations_count")
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_VERSION_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_COUNT_FIELD_NUMBER: _ClassVar[int]
    call_id: int
    name: str
    schema_version: int
    arguments: _value_pb2.Value
    operations_count: int
    def __init__(self, call_id: _Optional[int] = ..., name: _Optional[str] = ..., schema_version: _Optional[int] = ..., arguments: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., operations_count: _Optional[int] = ...) -> None: ...

class CompileResult(_message.Message):
    __slots__ = ("unit", "diagnostics", "rendered", "functions", "modules", "compile_time_us")
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    RENDERED_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    COMPILE_TIME_US_FIELD_NUMBER: _ClassVar[int]
    unit: bytes
    diagnostics: _containers.RepeatedCompositeFieldContainer[_script_pb2.Diagnostic]
    rendered: str
    functions: _containers.RepeatedCompositeFieldContainer[_script_pb2.FunctionInfo]
    modules: _containers.RepeatedScalarFieldContainer[str]
    compile_time_us: int
    def __init__(self, unit: _Optional[bytes] = ..., diagnostics: _Optional[_Iterable[_Union[_script_pb2.Diagnostic, _Mapping]]] = ..., rendered: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[_script_pb2.FunctionInfo, _Mapping]]] = ..., modules: _Optional[_Iterable[str]] = ..., compile_time_us: _Optional[int] = ...) -> None: ...

class ExecuteResult(_message.Message):
    __slots__ = ("value", "error", "operations_count", "memory_bytes", "profile")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    OPERATIONS_COUNT_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    value: _value_pb2.Value
    error: _error_pb2.ExecutionError
    operations_count: int
    memory_bytes: int
    profile: Profile
    def __init__(self, value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., error: _Optional[_Union[_error_pb2.ExecutionError, _Mapping]] = ..., operations_count: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., profile: _Optional[_Union[Profile, _Mapping]] = ...) -> None: ...

class Profile(_message.Message):
    __slots__ = ("names", "places", "samples")
    NAMES_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    places: _containers.RepeatedCompositeFieldContainer[ProfilePlace]
    samples: _containers.RepeatedCompositeFieldContainer[ProfileSample]
    def __init__(self, names: _Optional[_Iterable[str]] = ..., places: _Optional[_Iterable[_Union[ProfilePlace, _Mapping]]] = ..., samples: _Optional[_Iterable[_Union[ProfileSample, _Mapping]]] = ...) -> None: ...

class ProfilePlace(_message.Message):
    __slots__ = ("function", "file", "line")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    function: int
    file: int
    line: int
    def __init__(self, function: _Optional[int] = ..., file: _Optional[int] = ..., line: _Optional[int] = ...) -> None: ...

class ProfileSample(_message.Message):
    __slots__ = ("places", "instructions", "time_ns")
    PLACES_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    places: _containers.RepeatedScalarFieldContainer[int]
    instructions: int
    time_ns: int
    def __init__(self, places: _Optional[_Iterable[int]] = ..., instructions: _Optional[int] = ..., time_ns: _Optional[int] = ...) -> None: ...
