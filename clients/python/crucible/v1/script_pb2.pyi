import datetime

from crucible.v1 import security_pb2 as _security_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_ERROR: _ClassVar[Severity]
    SEVERITY_WARNING: _ClassVar[Severity]
    SEVERITY_INFO: _ClassVar[Severity]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_ERROR: Severity
SEVERITY_WARNING: Severity
SEVERITY_INFO: Severity

class ScriptSource(_message.Message):
    __slots__ = ("source", "file_name", "files")
    class FilesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FILE_NAME_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    source: str
    file_name: str
    files: _containers.ScalarMap[str, str]
    def __init__(self, source: _Optional[str] = ..., file_name: _Optional[str] = ..., files: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CompilationContext(_message.Message):
    __slots__ = ("name", "security_level", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    security_level: _security_pb2.SecurityLevel
    force: bool
    def __init__(self, name: _Optional[str] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., force: _Optional[bool] = ...) -> None: ...

class CompiledScript(_message.Message):
    __slots__ = ("script_id", "name", "functions", "modules", "security_level", "bytecode_bytes", "source_bytes", "cached", "compile_time", "rune_version", "rune_patch_level")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    BYTECODE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CACHED_FIELD_NUMBER: _ClassVar[int]
    COMPILE_TIME_FIELD_NUMBER: _ClassVar[int]
    RUNE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNE_PATCH_LEVEL_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    name: str
    functions: _containers.RepeatedCompositeFieldContainer[FunctionInfo]
    modules: _containers.RepeatedScalarFieldContainer[str]
    security_level: _security_pb2.SecurityLevel
    bytecode_bytes: int
    source_bytes: int
    cached: bool
    compile_time: _duration_pb2.Duration
    rune_version: str
    rune_patch_level: str
    def __init__(self, script_id: _Optional[str] = ..., name: _Optional[str] = ..., functions: _Optional[_Iterable[_Union[FunctionInfo, _Mapping]]] = ..., modules: _Optional[_Iterable[str]] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., bytecode_bytes: _Optional[int] = ..., source_bytes: _Optional[int] = ..., cached: _Optional[bool] = ..., compile_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rune_version: _Optional[str] = ..., rune_patch_level: _Optional[str] = ...) -> None: ...

class Script(_message.Message):
    __slots__ = ("script_id", "names", "create_time", "last_used_time", "functions", "modules", "source_bytes", "source", "principal")
    SCRIPT_ID_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_USED_TIME_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    script_id: str
    names: _containers.RepeatedScalarFieldContainer[str]
    create_time: _timestamp_pb2.Timestamp
    last_used_time: _timestamp_pb2.Timestamp
    functions: _containers.RepeatedCompositeFieldContainer[FunctionInfo]
    modules: _containers.RepeatedScalarFieldContainer[str]
    source_bytes: int
    source: ScriptSource
    principal: str
    def __init__(self, script_id: _Optional[str] = ..., names: _Optional[_Iterable[str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_used_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., functions: _Optional[_Iterable[_Union[FunctionInfo, _Mapping]]] = ..., modules: _Optional[_Iterable[str]] = ..., source_bytes: _Optional[int] = ..., source: _Optional[_Union[ScriptSource, _Mapping]] = ..., principal: _Optional[str] = ...) -> None: ...

class FunctionInfo(_message.Message):
    __slots__ = ("name", "parameters", "doc", "is_public", "is_async", "is_generator", "span")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    IS_PUBLIC_FIELD_NUMBER: _ClassVar[int]
    IS_ASYNC_FIELD_NUMBER: _ClassVar[int]
    IS_GENERATOR_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    name: str
    parameters: _containers.RepeatedCompositeFieldContainer[ParameterInfo]
    doc: str
    is_public: bool
    is_async: bool
    is_generator: bool
    span: Span
    def __init__(self, name: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[ParameterInfo, _Mapping]]] = ..., doc: _Optional[str] = ..., is_public: _Optional[bool] = ..., is_async: _Optional[bool] = ..., is_generator: _Optional[bool] = ..., span: _Optional[_Union[Span, _Mapping]] = ...) -> None: ...

class ParameterInfo(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class Span(_message.Message):
    __slots__ = ("file", "line", "column", "end_line", "end_column")
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    END_LINE_FIELD_NUMBER: _ClassVar[int]
    END_COLUMN_FIELD_NUMBER: _ClassVar[int]
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    def __init__(self, file: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., end_line: _Optional[int] = ..., end_column: _Optional[int] = ...) -> None: ...

class Diagnostic(_message.Message):
    __slots__ = ("severity", "message", "span", "hint", "code")
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SPAN_FIELD_NUMBER: _ClassVar[int]
    HINT_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    severity: Severity
    message: str
    span: Span
    hint: str
    code: str
    def __init__(self, severity: _Optional[_Union[Severity, str]] = ..., message: _Optional[str] = ..., span: _Optional[_Union[Span, _Mapping]] = ..., hint: _Optional[str] = ..., code: _Optional[str] = ...) -> None: ...
