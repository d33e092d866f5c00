from crucible.v1 import value_pb2 as _value_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_KIND_UNSPECIFIED: _ClassVar[ErrorKind]
    ERROR_KIND_EXECUTION_ERROR: _ClassVar[ErrorKind]
    ERROR_KIND_COMPILATION_ERROR: _ClassVar[ErrorKind]
    ERROR_KIND_CONFIGURATION_ERROR: _ClassVar[ErrorKind]
    ERROR_KIND_VALIDATION_ERROR: _ClassVar[ErrorKind]
    ERROR_KIND_SECURITY_VIOLATION: _ClassVar[ErrorKind]
    ERROR_KIND_RESOURCE_EXCEEDED: _ClassVar[ErrorKind]
    ERROR_KIND_TIMEOUT: _ClassVar[ErrorKind]
    ERROR_KIND_SERVICE_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_SCRIPT_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_MIGRATION_ERROR: _ClassVar[ErrorKind]
    ERROR_KIND_INTERNAL_ERROR: _ClassVar[ErrorKind]
    ERROR_KIND_EXECUTION_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_EXECUTION_EXISTS: _ClassVar[ErrorKind]
    ERROR_KIND_UNAVAILABLE: _ClassVar[ErrorKind]
    ERROR_KIND_UNIMPLEMENTED: _ClassVar[ErrorKind]
    ERROR_KIND_EXECUTION_UNFINISHED: _ClassVar[ErrorKind]
    ERROR_KIND_EVENTS_EXPIRED: _ClassVar[ErrorKind]
    ERROR_KIND_SUBSCRIPTION_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_EVENT_EXISTS: _ClassVar[ErrorKind]
    ERROR_KIND_SERVICE_EXISTS: _ClassVar[ErrorKind]
    ERROR_KIND_VERSION_CONFLICT: _ClassVar[ErrorKind]
    ERROR_KIND_REVISION_NOT_FOUND: _ClassVar[ErrorKind]

class ExecutionErrorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXECUTION_ERROR_KIND_UNSPECIFIED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_RUNTIME: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_PANIC: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_RETURNED_ERR: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_TIMEOUT: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_CPU_TIME_EXCEEDED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_MEMORY_EXCEEDED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_OPERATIONS_EXCEEDED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_OUTPUT_EXCEEDED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_STACK_OVERFLOW: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_DEPTH_EXCEEDED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_INVALID_RETURN_VALUE: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_CANCELLED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_INTERRUPTED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_SECURITY_VIOLATION: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_CRASHED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_DEADLOCK: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_HOST_CALLS_EXCEEDED: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_INTERNAL: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_INVALID_ARGUMENTS: _ClassVar[ExecutionErrorKind]
    EXECUTION_ERROR_KIND_RESOURCE_EXCEEDED: _ClassVar[ExecutionErrorKind]
ERROR_KIND_UNSPECIFIED: ErrorKind
ERROR_KIND_EXECUTION_ERROR: ErrorKind
ERROR_KIND_COMPILATION_ERROR: ErrorKind
ERROR_KIND_CONFIGURATION_ERROR: ErrorKind
ERROR_KIND_VALIDATION_ERROR: ErrorKind
ERROR_KIND_SECURITY_VIOLATION: ErrorKind
ERROR_KIND_RESOURCE_EXCEEDED: ErrorKind
ERROR_KIND_TIMEOUT: ErrorKind
ERROR_KIND_SERVICE_NOT_FOUND: ErrorKind
ERROR_KIND_SCRIPT_NOT_FOUND: ErrorKind
ERROR_KIND_MIGRATION_ERROR: ErrorKind
ERROR_KIND_INTERNAL_ERROR: ErrorKind
ERROR_KIND_EXECUTION_NOT_FOUND: ErrorKind
ERROR_KIND_EXECUTION_EXISTS: ErrorKind
ERROR_KIND_UNAVAILABLE: ErrorKind
ERROR_KIND_UNIMPLEMENTED: ErrorKind
ERROR_KIND_EXECUTION_UNFINISHED: ErrorKind
ERROR_KIND_EVENTS_EXPIRED: ErrorKind
ERROR_KIND_SUBSCRIPTION_NOT_FOUND: ErrorKind
ERROR_KIND_EVENT_EXISTS: ErrorKind
ERROR_KIND_SERVICE_EXISTS: ErrorKind
ERROR_KIND_VERSION_CONFLICT: ErrorKind
ERROR_KIND_REVISION_NOT_FOUND: ErrorKind
EXECUTION_ERROR_KIND_UNSPECIFIED: ExecutionErrorKind
EXECUTION_ERROR_KIND_RUNTIME: ExecutionErrorKind
EXECUTION_ERROR_KIND_PANIC: ExecutionErrorKind
EXECUTION_ERROR_KIND_RETURNED_ERR: ExecutionErrorKind
EXECUTION_ERROR_KIND_TIMEOUT: ExecutionErrorKind
EXECUTION_ERROR_KIND_CPU_TIME_EXCEEDED: ExecutionErrorKind
EXECUTION_ERROR_KIND_MEMORY_EXCEEDED: ExecutionErrorKind
EXECUTION_ERROR_KIND_OPERATIONS_EXCEEDED: ExecutionErrorKind
EXECUTION_ERROR_KIND_OUTPUT_EXCEEDED: ExecutionErrorKind
EXECUTION_ERROR_KIND_STACK_OVERFLOW: ExecutionErrorKind
EXECUTION_ERROR_KIND_DEPTH_EXCEEDED: ExecutionErrorKind
EXECUTION_ERROR_KIND_INVALID_RETURN_VALUE: ExecutionErrorKind
EXECUTION_ERROR_KIND_CANCELLED: ExecutionErrorKind
EXECUTION_ERROR_KIND_INTERRUPTED: ExecutionErrorKind
EXECUTION_ERROR_KIND_SECURITY_VIOLATION: ExecutionErrorKind
EXECUTION_ERROR_KIND_CRASHED: ExecutionErrorKind
EXECUTION_ERROR_KIND_DEADLOCK: ExecutionErrorKind
EXECUTION_ERROR_KIND_HOST_CALLS_EXCEEDED: ExecutionErrorKind
EXECUTION_ERROR_KIND_INTERNAL: ExecutionErrorKind
EXECUTION_ERROR_KIND_INVALID_ARGUMENTS: ExecutionErrorKind
EXECUTION_ERROR_KIND_RESOURCE_EXCEEDED: ExecutionErrorKind

class ExecutionError(_message.Message):
    __slots__ = ("kind", "message", "file", "line", "column", "stack_trace", "rendered", "value", "limit_name", "limit_value")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    STACK_TRACE_FIELD_NUMBER: _ClassVar[int]
    RENDERED_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_VALUE_FIELD_NUMBER: _ClassVar[int]
    kind: ExecutionErrorKind
    message: str
    file: str
    line: int
    column: int
    stack_trace: _containers.RepeatedCompositeFieldContainer[StackFrame]
    rendered: str
    value: _value_pb2.Value
    limit_name: str
    limit_value: int
    def __init__(self, kind: _Optional[_Union[ExecutionErrorKind, str]] = ..., message: _Optional[str] = ..., file: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., stack_trace: _Optional[_Iterable[_Union[StackFrame, _Mapping]]] = ..., rendered: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., limit_name: _Optional[str] = ..., limit_value: _Optional[int] = ...) -> None: ...

class StackFrame(_message.Message):
    __slots__ = ("function", "file", "line", "column")
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    function: str
    file: str
    line: int
    column: int
    def __init__(self, function: _Optional[str] = ..., file: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ...) -> None: ...
