import datetime

from crucible.v1 import config_pb2 as _config_pb2
from crucible.v1 import value_pb2 as _value_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetConfigRequest(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...

class GetConfigResponse(_message.Message):
    __slots__ = ("config",)
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    config: _config_pb2.Config
    def __init__(self, config: _Optional[_Union[_config_pb2.Config, _Mapping]] = ...) -> None: ...

class UpdateConfigRequest(_message.Message):
    __slots__ = ("values", "reset_keys", "engine", "update_mask", "expected_version", "comment", "validate_only")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _value_pb2.Value
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_value_pb2.Value, _Mapping]] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    RESET_KEYS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    values: _containers.MessageMap[str, _value_pb2.Value]
    reset_keys: _containers.RepeatedScalarFieldContainer[str]
    engine: _config_pb2.ScriptEngineConfig
    update_mask: _field_mask_pb2.FieldMask
    expected_version: int
    comment: str
    validate_only: bool
    def __init__(self, values: _Optional[_Mapping[str, _value_pb2.Value]] = ..., reset_keys: _Optional[_Iterable[str]] = ..., engine: _Optional[_Union[_config_pb2.ScriptEngineConfig, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., expected_version: _Optional[int] = ..., comment: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class UpdateConfigResponse(_message.Message):
    __slots__ = ("config", "changes")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    config: _config_pb2.Config
    changes: _containers.RepeatedCompositeFieldContainer[_config_pb2.ConfigKeyChange]
    def __init__(self, config: _Optional[_Union[_config_pb2.Config, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[_config_pb2.ConfigKeyChange, _Mapping]]] = ...) -> None: ...

class WatchConfigRequest(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchConfigResponse(_message.Message):
    __slots__ = ("version", "entries", "time", "file_problem", "revision_problem")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    FILE_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REVISION_PROBLEM_FIELD_NUMBER: _ClassVar[int]
    version: int
    entries: _containers.RepeatedCompositeFieldContainer[_config_pb2.ConfigEntry]
    time: _timestamp_pb2.Timestamp
    file_problem: str
    revision_problem: str
    def __init__(self, version: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[_config_pb2.ConfigEntry, _Mapping]]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., file_problem: _Optional[str] = ..., revision_problem: _Optional[str] = ...) -> None: ...

class ListConfigRevisionsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListConfigRevisionsResponse(_message.Message):
    __slots__ = ("revisions", "next_page_token")
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    revisions: _containers.RepeatedCompositeFieldContainer[_config_pb2.ConfigRevision]
    next_page_token: str
    def __init__(self, revisions: _Optional[_Iterable[_Union[_config_pb2.ConfigRevision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RevertConfigRequest(_message.Message):
    __slots__ = ("version", "expected_version", "comment")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_VERSION_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    version: int
    expected_version: int
    comment: str
    def __init__(self, version: _Optional[int] = ..., expected_version: _Optional[int] = ..., comment: _Optional[str] = ...) -> None: ...

class RevertConfigResponse(_message.Message):
    __slots__ = ("config", "changes")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    config: _config_pb2.Config
    changes: _containers.RepeatedCompositeFieldContainer[_config_pb2.ConfigKeyChange]
    def __init__(self, config: _Optional[_Union[_config_pb2.Config, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[_config_pb2.ConfigKeyChange, _Mapping]]] = ...) -> None: ...
