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

class ConfigLayer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIG_LAYER_UNSPECIFIED: _ClassVar[ConfigLayer]
    CONFIG_LAYER_DEFAULT: _ClassVar[ConfigLayer]
    CONFIG_LAYER_FILE: _ClassVar[ConfigLayer]
    CONFIG_LAYER_ENVIRONMENT: _ClassVar[ConfigLayer]
    CONFIG_LAYER_FLAG: _ClassVar[ConfigLayer]
    CONFIG_LAYER_SERVICE: _ClassVar[ConfigLayer]

class ConfigEffect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONFIG_EFFECT_UNSPECIFIED: _ClassVar[ConfigEffect]
    CONFIG_EFFECT_LIVE: _ClassVar[ConfigEffect]
    CONFIG_EFFECT_RESTART: _ClassVar[ConfigEffect]
    CONFIG_EFFECT_LOCAL: _ClassVar[ConfigEffect]
CONFIG_LAYER_UNSPECIFIED: ConfigLayer
CONFIG_LAYER_DEFAULT: ConfigLayer
CONFIG_LAYER_FILE: ConfigLayer
CONFIG_LAYER_ENVIRONMENT: ConfigLayer
CONFIG_LAYER_FLAG: ConfigLayer
CONFIG_LAYER_SERVICE: ConfigLayer
CONFIG_EFFECT_UNSPECIFIED: ConfigEffect
CONFIG_EFFECT_LIVE: ConfigEffect
CONFIG_EFFECT_RESTART: ConfigEffect
CONFIG_EFFECT_LOCAL: ConfigEffect

class Config(_message.Message):
    __slots__ = ("version", "engine", "entries", "file_problem", "revision_problem")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FILE_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REVISION_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    version: int
    engine: ScriptEngineConfig
    entries: _containers.RepeatedCompositeFieldContainer[ConfigEntry]
    file_problem: str
    revision_problem: str
    def __init__(self, version: _Optional[int] = ..., engine: _Optional[_Union[ScriptEngineConfig, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[ConfigEntry, _Mapping]]] = ..., file_problem: _Optional[str] = ..., revision_problem: _Optional[str] = ...) -> None: ...

class ScriptEngineConfig(_message.Message):
    __slots__ = ("max_cache_size", "default_execution_timeout", "max_source_size", "enable_caching", "security_level", "resource_limits", "discovery", "health_check")
    MAX_CACHE_SIZE_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_EXECUTION_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_SOURCE_SIZE_FIELD_NUMBER: _ClassVar[int]
    ENABLE_CACHING_FIELD_NUMBER: _ClassVar[int]
    SECURITY_LEVEL_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_LIMITS_FIELD_NUMBER: _ClassVar[int]
    DISCOVERY_FIELD_NUMBER: _ClassVar[int]
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    max_cache_size: int
    default_execution_timeout: _duration_pb2.Duration
    max_source_size: int
    enable_caching: bool
    security_level: _security_pb2.SecurityLevel
    resource_limits: _security_pb2.ResourceLimits
    discovery: DiscoveryConfig
    health_check: EngineHealthCheckConfig
    def __init__(self, max_cache_size: _Optional[int] = ..., default_execution_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_source_size: _Optional[int] = ..., enable_caching: _Optional[bool] = ..., security_level: _Optional[_Union[_security_pb2.SecurityLevel, str]] = ..., resource_limits: _Optional[_Union[_security_pb2.ResourceLimits, _Mapping]] = ..., discovery: _Optional[_Union[DiscoveryConfig, _Mapping]] = ..., health_check: _Optional[_Union[EngineHealthCheckConfig, _Mapping]] = ...) -> None: ...

class DiscoveryConfig(_message.Message):
    __slots__ = ("endpoints", "refresh_interval")
    ENDPOINTS_FIELD_NUMBER: _ClassVar[int]
    REFRESH_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    endpoints: _containers.RepeatedScalarFieldContainer[str]
    refresh_interval: _duration_pb2.Duration
    def __init__(self, endpoints: _Optional[_Iterable[str]] = ..., refresh_interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class EngineHealthCheckConfig(_message.Message):
    __slots__ = ("interval", "timeout", "failure_threshold", "success_threshold")
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SUCCESS_THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    interval: _duration_pb2.Duration
    timeout: _duration_pb2.Duration
    failure_threshold: int
    success_threshold: int
    def __init__(self, interval: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failure_threshold: _Optional[int] = ..., success_threshold: _Optional[int] = ...) -> None: ...

class ConfigEntry(_message.Message):
    __slots__ = ("key", "value", "pending_value", "layer", "origin", "effect", "secret", "doc")
    KEY_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PENDING_VALUE_FIELD_NUMBER: _ClassVar[int]
    LAYER_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    key: str
    value: _value_pb2.Value
    pending_value: _value_pb2.Value
    layer: ConfigLayer
    origin: str
    effect: ConfigEffect
    secret: bool
    doc: str
    def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., pending_value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., layer: _Optional[_Union[ConfigLayer, str]] = ..., origin: _Optional[str] = ..., effect: _Optional[_Union[ConfigEffect, str]] = ..., secret: _Optional[bool] = ..., doc: _Optional[str] = ...) -> None: ...

class ConfigKeyChange(_message.Message):
    __slots__ = ("key", "old_value", "new_value", "restart_required")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OLD_VALUE_FIELD_NUMBER: _ClassVar[int]
    NEW_VALUE_FIELD_NUMBER: _ClassVar[int]
    RESTART_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    key: str
    old_value: _value_pb2.Value
    new_value: _value_pb2.Value
    restart_required: bool
    def __init__(self, key: _Optional[str] = ..., old_value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., new_value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ..., restart_required: _Optional[bool] = ...) -> None: ...

class ConfigRevision(_message.Message):
    __slots__ = ("version", "time", "principal", "comment", "reverted_to", "changes", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    PRINCIPAL_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    REVERTED_TO_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    version: int
    time: _timestamp_pb2.Timestamp
    principal: str
    comment: str
    reverted_to: int
    changes: _containers.RepeatedCompositeFieldContainer[ConfigKeyChange]
    values: _containers.MessageMap[str, _value_pb2.Value]
    def __init__(self, version: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., principal: _Optional[str] = ..., comment: _Optional[str] = ..., reverted_to: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[ConfigKeyChange, _Mapping]]] = ..., values: _Optional[_Mapping[str, _value_pb2.Value]] = ...) -> None: ...
