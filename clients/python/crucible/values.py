"""Native Python values to `crucible.v1.Value` and back, exactly.

| Python                         | Value    | Rune     |
|--------------------------------|----------|----------|
| None                           | null     | `None`   |
| bool                           | bool     | `bool`   |
| int up to 2**63 - 1            | int64    | `i64`    |
| larger int, and any UInt64     | uint64   | `u64`    |
| float                          | double   | `f64`    |
| str                            | string   | `String` |
| bytes, bytearray, memoryview   | bytes    | `Bytes`  |
| list, tuple                    | list     | `Vec`    |
| mapping with str keys          | object   | `#{..}`  |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crucible.v1.value_pb2 import ListValue, NullValue, ObjectValue, Value

MAX_DEPTH = 32
"""How many values may be nested in one another; the outermost counts as one."""

_I64_MIN, _I64_MAX, _U64_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class UInt64(int):
    """An int that is sent as an unsigned one however small it is; unsigned results come back as this."""


def to_value(native: Any, path: str = "value", depth: int = 1) -> Value:
    """The Value that stands for a native one.

    `path` names it in errors. Raises ValueError for an int out of range, a str that is not Unicode and a
    value nested more than MAX_DEPTH deep (a cyclic one always is); TypeError for what has no counterpart.
    """
    if depth > MAX_DEPTH:
        message = f"{path}: nested deeper than {MAX_DEPTH} levels; flatten the value"
        raise ValueError(message)
    match native:
        case None:
            return Value(null_value=NullValue())
        case bool():
            return Value(bool_value=native)
        case int():
            return _integer(native, path)
        case float():
            return Value(double_value=native)
        case str():
            return Value(string_value=_text(native, path))
        case bytes() | bytearray() | memoryview():
            return Value(bytes_value=bytes(native))
        case list() | tuple():
            items = (to_value(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(native))
            return Value(list_value=ListValue(values=items))
        case Mapping():
            return Value(object_value=ObjectValue(fields=_fields(native, path, depth + 1)))
    message = (
        f"{path}: expected None, bool, int, float, str, bytes, list, tuple or a mapping, "
        f"got {type(native).__qualname__}"
    )
    raise TypeError(message)


def to_fields(natives: Mapping[str, Any], path: str) -> dict[str, Value]:
    """Named values, such as arguments, each of which may be MAX_DEPTH deep; raises what to_value raises."""
    return _fields(natives, path, 1)


def from_value(value: Value) -> Any:
    """The native value that a Value stands for. Raises ValueError for one whose kind is not set."""
    match value.WhichOneof("kind"):
        case "null_value":
            return None
        case "uint_value":
            return UInt64(value.uint_value)
        case "list_value":
            return [from_value(item) for item in value.list_value.values]
        case "object_value":
            return {name: from_value(field) for name, field in value.object_value.fields.items()}
        case None:
            message = "the value has no kind: this client is older than the server, or the server is at fault"
            raise ValueError(message)
        case kind:
            return getattr(value, kind)


def _fields(natives: Mapping[Any, Any], path: str, depth: int) -> dict[str, Value]:
    fields = {}
    for name, native in natives.items():
        if not isinstance(name, str):
            message = f"{path}: expected str keys, got the {type(name).__qualname__} {name!r}"
            raise TypeError(message)
        _text(name, f"key {name!r} of {path}")
        fields[str(name)] = to_value(native, f"{path}[{name!r}]", depth)
    return fields


def _integer(native: int, path: str) -> Value:
    unsigned = isinstance(native, UInt64)
    if not unsigned and _I64_MIN <= native <= _I64_MAX:
        return Value(int_value=native)
    if 0 <= native <= _U64_MAX:
        return Value(uint_value=native)
    least = "0" if unsigned else "-2**63"
    message = f"{path}: expected an integer from {least} to 2**64 - 1, got {native}; send it as a str or float"
    raise ValueError(message)


def _text(native: str, path: str) -> str:
    try:
        native.encode()
    except UnicodeEncodeError as error:
        message = f"{path}: expected Unicode text, got a lone surrogate at position {error.start}; send it as bytes"
        raise ValueError(message) from None
    return native
