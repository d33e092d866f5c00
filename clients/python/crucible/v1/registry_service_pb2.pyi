import datetime

from crucible.v1 import registry_pb2 as _registry_pb2
from crucible.v1 import server_info_pb2 as _server_info_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RegisterServiceRequest(_message.Message):
    __slots__ = ("service", "lease", "health_check")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    HEALTH_CHECK_FIELD_NUMBER: _ClassVar[int]
    service: _registry_pb2.ServiceInfo
    lease: _duration_pb2.Duration
    health_check: _registry_pb2.HealthCheckConfig
    def __init__(self, service: _Optional[_Union[_registry_pb2.ServiceInfo, _Mapping]] = ..., lease: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., health_check: _Optional[_Union[_registry_pb2.HealthCheckConfig, _Mapping]] = ...) -> None: ...

class RegisterServiceResponse(_message.Message):
    __slots__ = ("service", "replaced")
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    service: _registry_pb2.RegisteredService
    replaced: bool
    def __init__(self, service: _Optional[_Union[_registry_pb2.RegisteredService, _Mapping]] = ..., replaced: _Optional[bool] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("service_id", "status", "status_message")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STATUS_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    status: _server_info_pb2.ServiceStatus
    status_message: str
    def __init__(self, service_id: _Optional[str] = ..., status: _Optional[_Union[_server_info_pb2.ServiceStatus, str]] = ..., status_message: _Optional[str] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("lease_expire_time",)
    LEASE_EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    lease_expire_time: _timestamp_pb2.Timestamp
    def __init__(self, lease_expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UnregisterServiceRequest(_message.Message):
    __slots__ = ("service_id", "reason")
    SERVICE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    service_id: str
    reason: str
    def __init__(self, service_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class UnregisterServiceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class DiscoverServicesRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: _registry_pb2.ServiceFilter
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[_Union[_registry_pb2.ServiceFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class DiscoverServicesResponse(_message.Message):
    __slots__ = ("services", "next_page_token")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[_registry_pb2.RegisteredService]
    next_page_token: str
    def __init__(self, services: _Optional[_Iterable[_Union[_registry_pb2.RegisteredService, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchServicesRequest(_message.Message):
    __slots__ = ("filter",)
    FILTER_FIELD_NUMBER: _ClassVar[int]
    filter: _registry_pb2.ServiceFilter
    def __init__(self, filter: _Optional[_Union[_registry_pb2.ServiceFilter, _Mapping]] = ...) -> None: ...

class WatchServicesResponse(_message.Message):
    __slots__ = ("services", "removed_service_ids", "more")
    SERVICES_FIELD_NUMBER: _ClassVar[int]
    REMOVED_SERVICE_IDS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    services: _containers.RepeatedCompositeFieldContainer[_registry_pb2.RegisteredService]
    removed_service_ids: _containers.RepeatedScalarFieldContainer[str]
    more: bool
    def __init__(self, services: _Optional[_Iterable[_Union[_registry_pb2.RegisteredService, _Mapping]]] = ..., removed_service_ids: _Optional[_Iterable[str]] = ..., more: _Optional[bool] = ...) -> None: ...
