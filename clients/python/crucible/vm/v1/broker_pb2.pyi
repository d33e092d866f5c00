from crucible.v1 import server_info_pb2 as _server_info_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_KIND_UNSPECIFIED: _ClassVar[FileKind]
    FILE_KIND_FILE: _ClassVar[FileKind]
    FILE_KIND_FOLDER: _ClassVar[FileKind]
    FILE_KIND_OTHER: _ClassVar[FileKind]
FILE_KIND_UNSPECIFIED: FileKind
FILE_KIND_FILE: FileKind
FILE_KIND_FOLDER: FileKind
FILE_KIND_OTHER: FileKind

class BrokerRequest(_message.Message):
    __slots__ = ("request_id", "setup", "read", "write", "metadata", "list", "create_folder", "remove", "rename", "copy")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SETUP_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    CREATE_FOLDER_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    RENAME_FIELD_NUMBER: _ClassVar[int]
    COPY_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    setup: BrokerSetup
    read: ReadFile
    write: WriteFile
    metadata: ReadMetadata
    list: ListFolder
    create_folder: CreateFolder
    remove: RemovePath
    rename: RenamePath
    copy: CopyFile
    def __init__(self, request_id: _Optional[int] = ..., setup: _Optional[_Union[BrokerSetup, _Mapping]] = ..., read: _Optional[_Union[ReadFile, _Mapping]] = ..., write: _Optional[_Union[WriteFile, _Mapping]] = ..., metadata: _Optional[_Union[ReadMetadata, _Mapping]] = ..., list: _Optional[_Union[ListFolder, _Mapping]] = ..., create_folder: _Optional[_Union[CreateFolder, _Mapping]] = ..., remove: _Optional[_Union[RemovePath, _Mapping]] = ..., rename: _Optional[_Union[RenamePath, _Mapping]] = ..., copy: _Optional[_Union[CopyFile, _Mapping]] = ...) -> None: ...

class BrokerSetup(_message.Message):
    __slots__ = ("protocol_version", "roots", "max_file_bytes", "max_read_bytes", "max_list_entries", "uid", "gid")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROOTS_FIELD_NUMBER: _ClassVar[int]
    MAX_FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_READ_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_LIST_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    UID_FIELD_NUMBER: _ClassVar[int]
    GID_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    roots: _containers.RepeatedCompositeFieldContainer[BrokerRoot]
    max_file_bytes: int
    max_read_bytes: int
    max_list_entries: int
    uid: int
    gid: int
    def __init__(self, protocol_version: _Optional[int] = ..., roots: _Optional[_Iterable[_Union[BrokerRoot, _Mapping]]] = ..., max_file_bytes: _Optional[int] = ..., max_read_bytes: _Optional[int] = ..., max_list_entries: _Optional[int] = ..., uid: _Optional[int] = ..., gid: _Optional[int] = ...) -> None: ...

class BrokerRoot(_message.Message):
    __slots__ = ("name", "path", "is_writable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    IS_WRITABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    is_writable: bool
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., is_writable: _Optional[bool] = ...) -> None: ...

class FilePath(_message.Message):
    __slots__ = ("root", "path")
    ROOT_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    root: int
    path: str
    def __init__(self, root: _Optional[int] = ..., path: _Optional[str] = ...) -> None: ...

class ReadFile(_message.Message):
    __slots__ = ("at", "offset", "length", "is_whole")
    AT_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    IS_WHOLE_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    offset: int
    length: int
    is_whole: bool
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ..., is_whole: _Optional[bool] = ...) -> None: ...

class WriteFile(_message.Message):
    __slots__ = ("at", "data", "is_append")
    AT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    IS_APPEND_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    data: bytes
    is_append: bool
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ..., data: _Optional[bytes] = ..., is_append: _Optional[bool] = ...) -> None: ...

class ReadMetadata(_message.Message):
    __slots__ = ("at",)
    AT_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ...) -> None: ...

class ListFolder(_message.Message):
    __slots__ = ("at", "after")
    AT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    after: str
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ..., after: _Optional[str] = ...) -> None: ...

class CreateFolder(_message.Message):
    __slots__ = ("at",)
    AT_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ...) -> None: ...

class RemovePath(_message.Message):
    __slots__ = ("at",)
    AT_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ...) -> None: ...

class RenamePath(_message.Message):
    __slots__ = ("at", "to")
    AT_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    to: FilePath
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ..., to: _Optional[_Union[FilePath, _Mapping]] = ...) -> None: ...

class CopyFile(_message.Message):
    __slots__ = ("at", "to")
    AT_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    at: FilePath
    to: FilePath
    def __init__(self, at: _Optional[_Union[FilePath, _Mapping]] = ..., to: _Optional[_Union[FilePath, _Mapping]] = ...) -> None: ...

class BrokerReply(_message.Message):
    __slots__ = ("request_id", "ready", "done", "data", "metadata", "entries", "copied", "failure")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COPIED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    ready: BrokerReady
    done: BrokerDone
    data: bytes
    metadata: FileMetadata
    entries: FolderEntries
    copied: int
    failure: BrokerFailure
    def __init__(self, request_id: _Optional[int] = ..., ready: _Optional[_Union[BrokerReady, _Mapping]] = ..., done: _Optional[_Union[BrokerDone, _Mapping]] = ..., data: _Optional[bytes] = ..., metadata: _Optional[_Union[FileMetadata, _Mapping]] = ..., entries: _Optional[_Union[FolderEntries, _Mapping]] = ..., copied: _Optional[int] = ..., failure: _Optional[_Union[BrokerFailure, _Mapping]] = ...) -> None: ...

class BrokerReady(_message.Message):
    __slots__ = ("protocol_version", "layers")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    layers: _containers.RepeatedCompositeFieldContainer[_server_info_pb2.IsolationLayer]
    def __init__(self, protocol_version: _Optional[int] = ..., layers: _Optional[_Iterable[_Union[_server_info_pb2.IsolationLayer, _Mapping]]] = ...) -> None: ...

class BrokerDone(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class FileMetadata(_message.Message):
    __slots__ = ("size", "kind", "modified_ns")
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    MODIFIED_NS_FIELD_NUMBER: _ClassVar[int]
    size: int
    kind: FileKind
    modified_ns: int
    def __init__(self, size: _Optional[int] = ..., kind: _Optional[_Union[FileKind, str]] = ..., modified_ns: _Optional[int] = ...) -> None: ...

class FolderEntries(_message.Message):
    __slots__ = ("entries", "is_more")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    IS_MORE_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[FolderEntry]
    is_more: bool
    def __init__(self, entries: _Optional[_Iterable[_Union[FolderEntry, _Mapping]]] = ..., is_more: _Optional[bool] = ...) -> None: ...

class FolderEntry(_message.Message):
    __slots__ = ("name", "kind")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: FileKind
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[FileKind, str]] = ...) -> None: ...

class BrokerFailure(_message.Message):
    __slots__ = ("message", "is_missing")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    IS_MISSING_FIELD_NUMBER: _ClassVar[int]
    message: str
    is_missing: bool
    def __init__(self, message: _Optional[str] = ..., is_missing: _Optional[bool] = ...) -> None: ...
