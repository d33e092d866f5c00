"""Messages of the contract as JSON: plain numbers, names and times that any program reads.

64-bit integers stay numbers, times are RFC 3339, durations are seconds, enum values lower-case words without
their prefix, bytes base64. Every field is there; one that is not set is null.
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from crucible.v1 import execution_pb2
from crucible.v1.value_pb2 import Value
from crucible_server.cli.terminal import emit

_Convert = Callable[[Any], Any]


def emit_json(document: Any) -> None:
    """Prints one JSON document on a line of standard output."""
    emit(sys.stdout, json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")


def plain(message: Message) -> Any:
    """The message as what `json.dumps` takes."""
    match message:
        case Value():
            return _value(message)
        case Timestamp():
            return message.ToJsonString()
        case Duration():
            return message.seconds + message.nanos / 10**9
        case execution_pb2.ExecutionResult():
            return _result(message)
    return _members(message)


def enum_word(enum: EnumDescriptor, number: int) -> str:
    """The word for an enum value: its name in lower case, without the prefix that all of its enum share."""
    # From a newer server it may be one without a name here.
    return _words(enum).get(number, str(number))


@cache
def _words(enum: EnumDescriptor) -> dict[int, str]:
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {number: value.name.removeprefix(prefix).lower() for number, value in enum.values_by_number.items()}


def _members(message: Message) -> dict[str, Any]:
    return {
        name: None if has_presence and not message.HasField(name) else convert(getattr(message, name))
        for name, has_presence, convert in _fields(message.DESCRIPTOR)
    }


@cache
def _fields(descriptor: Any) -> list[tuple[str, bool, _Convert]]:
    # Lists may have a hundred thousand rows: what does not change is found out once.
    return [(field.name, field.has_presence, _conversion(field)) for field in descriptor.fields]


def _conversion(field: Any) -> _Convert:
    if not field.is_repeated:
        return _single(field)
    entry = field.message_type
    if entry is not None and entry.GetOptions().map_entry:
        inner = _single(entry.fields_by_name["value"])
        return lambda value: {str(key): inner(value[key]) for key in sorted(value)}
    item = _single(field)
    return lambda value: [item(element) for element in value]


def _single(field: Any) -> _Convert:
    if field.enum_type is not None:
        return partial(enum_word, field.enum_type)
    if field.message_type is not None:
        return plain
    if field.type == field.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode("ascii")
    if field.type in (field.TYPE_DOUBLE, field.TYPE_FLOAT):
        return _number
    return _itself


def _itself(value: Any) -> Any:
    return value


def _result(message: execution_pb2.ExecutionResult) -> dict[str, Any]:
    members = _members(message)
    # The exact kinds matter to programs that speak protobuf; at a shell a value is JSON.
    del members["return_value"], members["return_json"]
    if message.return_json:
        members["value"] = json.loads(message.return_json)
    elif message.HasField("return_value"):
        members["value"] = _value(message.return_value)
    return members


def _value(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "list_value":
            return [_value(item) for item in value.list_value.values]
        case "object_value":
            return {name: _value(value.object_value.fields[name]) for name in sorted(value.object_value.fields)}
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode("ascii")
        case "double_value":
            return _number(value.double_value)
        case None | "null_value":
            return None
        case kind:
            return getattr(value, kind)


def _number(value: float) -> float | str:
    # JSON has no other way to write these; the server does the same.
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
