"""`crucible.v1.ScriptEngineConfig`: the part of the configuration that the contract names field by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from crucible.v1 import config_pb2, security_pb2
from crucible_server.config import ScriptEngineConfig
from crucible_server.errors import invalid

_SECTION = "engine"
_LEVEL = "SECURITY_LEVEL_"


def engine_message(config: ScriptEngineConfig) -> config_pb2.ScriptEngineConfig:
    """The message of a configuration."""
    message = config_pb2.ScriptEngineConfig()
    _fill(message, config)
    return message


def masked_values(message: config_pb2.ScriptEngineConfig, paths: Sequence[str]) -> Mapping[str, Any]:
    """Values by key of what a mask names. Raises ServiceError (VALIDATION_ERROR) for a path that is no field."""
    values: dict[str, Any] = {}
    for path in paths:
        current: Message = message
        *parents, last = path.split(".")
        for part in parents:
            field = current.DESCRIPTOR.fields_by_name.get(part)
            if not _is_section(field):
                raise _no_path(path)
            current = getattr(current, part)
        field = current.DESCRIPTOR.fields_by_name.get(last)
        if field is None:
            raise _no_path(path)
        if _is_section(field):
            below: Message = getattr(current, last)
            for name in _names(below):
                values[f"{_SECTION}.{path}.{name}"] = _plain(below, below.DESCRIPTOR.fields_by_name[name])
        else:
            values[f"{_SECTION}.{path}"] = _plain(current, field)
    return values


def _names(message: Message) -> list[str]:
    # Limits of executions have fields that a server does not configure.
    return [name for name in message.DESCRIPTOR.fields_by_name if name not in ("max_source_bytes", "max_cpu_time")]


def _no_path(path: str) -> Exception:
    fields = ", ".join(config_pb2.ScriptEngineConfig.DESCRIPTOR.fields_by_name)
    return invalid("update_mask", f"expected paths of fields of ScriptEngineConfig ({fields}), got {path[:200]!r}")


def _is_section(field: Any) -> bool:
    if field is None or field.message_type is None or field.is_repeated:
        return False
    return bool(field.message_type.full_name != Duration.DESCRIPTOR.full_name)


def _plain(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return list(value)
    if field.has_presence and not message.HasField(field.name):
        return None
    if isinstance(value, Duration):
        return value.ToNanoseconds() / 1e9
    if field.enum_type is not None:
        name = security_pb2.SecurityLevel.Name(value) if value in security_pb2.SecurityLevel.values() else str(value)
        return name.removeprefix(_LEVEL).lower()
    return value


def _fill(message: Message, config: Any) -> None:
    for field in message.DESCRIPTOR.fields:
        value = getattr(config, field.name, None)
        if value is None:
            continue
        if _is_section(field):
            section: Message = getattr(message, field.name)
            section.SetInParent()
            _fill(section, value)
        elif field.is_repeated:
            getattr(message, field.name).extend(value)
        elif field.message_type is not None:
            getattr(message, field.name).FromNanoseconds(round(value * 1e9))
        elif field.enum_type is not None:
            setattr(message, field.name, security_pb2.SecurityLevel.Value(_LEVEL + value.upper()))
        else:
            setattr(message, field.name, value)
