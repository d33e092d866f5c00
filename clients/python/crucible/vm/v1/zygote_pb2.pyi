from crucible.v1 import server_info_pb2 as _server_info_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ZygoteRequest(_message.Message):
    __slots__ = ("spawn", "assign", "ping")
    SPAWN_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    PING_FIELD_NUMBER: _ClassVar[int]
    spawn: Spawn
    assign: Assign
    ping: Ping
    def __init__(self, spawn: _Optional[_Union[Spawn, _Mapping]] = ..., assign: _Optional[_Union[Assign, _Mapping]] = ..., ping: _Optional[_Union[Ping, _Mapping]] = ...) -> None: ...

class Spawn(_message.Message):
    __slots__ = ("child_id", "limits", "is_spare")
    CHILD_ID_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    IS_SPARE_FIELD_NUMBER: _ClassVar[int]
    child_id: int
    limits: ChildLimits
    is_spare: bool
    def __init__(self, child_id: _Optional[int] = ..., limits: _Optional[_Union[ChildLimits, _Mapping]] = ..., is_spare: _Optional[bool] = ...) -> None: ...

class Assign(_message.Message):
    __slots__ = ("child_id", "limits")
    CHILD_ID_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    child_id: int
    limits: ChildLimits
    def __init__(self, child_id: _Optional[int] = ..., limits: _Optional[_Union[ChildLimits, _Mapping]] = ...) -> None: ...

class Ping(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class ChildLimits(_message.Message):
    __slots__ = ("wall_time_ms", "cpu_time_ms", "heap_bytes")
    WALL_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    HEAP_BYTES_FIELD_NUMBER: _ClassVar[int]
    wall_time_ms: int
    cpu_time_ms: int
    heap_bytes: int
    def __init__(self, wall_time_ms: _Optional[int] = ..., cpu_time_ms: _Optional[int] = ..., heap_bytes: _Optional[int] = ...) -> None: ...

class ZygoteEvent(_message.Message):
    __slots__ = ("ready", "spawned", "spawn_failed", "exited", "entered", "pong", "refused")
    READY_FIELD_NUMBER: _ClassVar[int]
    SPAWNED_FIELD_NUMBER: _ClassVar[int]
    SPAWN_FAILED_FIELD_NUMBER: _ClassVar[int]
    EXITED_FIELD_NUMBER: _ClassVar[int]
    ENTERED_FIELD_NUMBER: _ClassVar[int]
    PONG_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    ready: Ready
    spawned: Spawned
    spawn_failed: SpawnFailed
    exited: Exited
    entered: Entered
    pong: Pong
    refused: Refused
    def __init__(self, ready: _Optional[_Union[Ready, _Mapping]] = ..., spawned: _Optional[_Union[Spawned, _Mapping]] = ..., spawn_failed: _Optional[_Union[SpawnFailed, _Mapping]] = ..., exited: _Optional[_Union[Exited, _Mapping]] = ..., entered: _Optional[_Union[Entered, _Mapping]] = ..., pong: _Optional[_Union[Pong, _Mapping]] = ..., refused: _Optional[_Union[Refused, _Mapping]] = ...) -> None: ...

class Entered(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Pong(_message.Message):
    __slots__ = ("number",)
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    number: int
    def __init__(self, number: _Optional[int] = ...) -> None: ...

class Ready(_message.Message):
    __slots__ = ("protocol_version", "vm_version", "rune_version", "rune_patch_level", "layers", "modules", "baseline_bytes")
    PROTOCOL_VERSION_FIELD_NUMBER: _ClassVar[int]
    VM_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RUNE_PATCH_LEVEL_FIELD_NUMBER: _ClassVar[int]
    LAYERS_FIELD_NUMBER: _ClassVar[int]
    MODULES_FIELD_NUMBER: _ClassVar[int]
    BASELINE_BYTES_FIELD_NUMBER: _ClassVar[int]
    protocol_version: int
    vm_version: str
    rune_version: str
    rune_patch_level: str
    layers: _containers.RepeatedCompositeFieldContainer[_server_info_pb2.IsolationLayer]
    modules: _containers.RepeatedCompositeFieldContainer[_server_info_pb2.ModuleInfo]
    baseline_bytes: int
    def __init__(self, protocol_version: _Optional[int] = ..., vm_version: _Optional[str] = ..., rune_version: _Optional[str] = ..., rune_patch_level: _Optional[str] = ..., layers: _Optional[_Iterable[_Union[_server_info_pb2.IsolationLayer, _Mapping]]] = ..., modules: _Optional[_Iterable[_Union[_server_info_pb2.ModuleInfo, _Mapping]]] = ..., baseline_bytes: _Optional[int] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class Spawned(_message.Message):
    __slots__ = ("child_id", "pid")
    CHILD_ID_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    child_id: int
    pid: int
    def __init__(self, child_id: _Optional[int] = ..., pid: _Optional[int] = ...) -> None: ...

class SpawnFailed(_message.Message):
    __slots__ = ("child_id", "message", "errno")
    CHILD_ID_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ERRNO_FIELD_NUMBER: _ClassVar[int]
    child_id: int
    message: str
    errno: int
    def __init__(self, child_id: _Optional[int] = ..., message: _Optional[str] = ..., errno: _Optional[int] = ...) -> None: ...

class Exited(_message.Message):
    __slots__ = ("child_id", "exit_code", "signal", "wall_time_exceeded", "cpu_time_us", "max_resident_bytes", "lifetime_us", "cpu_time_exceeded", "detail")
    CHILD_ID_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    WALL_TIME_EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_US_FIELD_NUMBER: _ClassVar[int]
    MAX_RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    LIFETIME_US_FIELD_NUMBER: _ClassVar[int]
    CPU_TIME_EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    child_id: int
    exit_code: int
    signal: int
    wall_time_exceeded: bool
    cpu_time_us: int
    max_resident_bytes: int
    lifetime_us: int
    cpu_time_exceeded: bool
    detail: str
    def __init__(self, child_id: _Optional[int] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., wall_time_exceeded: _Optional[bool] = ..., cpu_time_us: _Optional[int] = ..., max_resident_bytes: _Optional[int] = ..., lifetime_us: _Optional[int] = ..., cpu_time_exceeded: _Optional[bool] = ..., detail: _Optional[str] = ...) -> None: ...
