"""Values: the checks at the border, and their form as JSON.

Source of the rules: `proto/crucible/v1/value.proto`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator

from crucible.v1 import value_pb2

MAX_DEPTH = 32
"""Values that may be nested in one another, the outermost included."""

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_UINT64_MAX = 2**64 - 1


class InvalidValueError(ValueError):
    """A value that cannot cross the border; `path` says where in it, such as `$.orders[3]`."""

    def __init__(self, path: str, description: str) -> None:
        super().__init__(f"{path}: {description}")
        self.path = path
        self.description = description


def check(value: value_pb2.Value, path: str = "$") -> None:
    """Refuses unset kinds and more than 32 levels.

    Walks with a stack of its own, so that no depth that the decoder let through can exhaust Python's.
    Raises InvalidValueError with the path of the first offence.
    """
    stack: list[tuple[value_pb2.Value, str, int]] = [(value, path, 1)]
    while stack:
        current, where, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise InvalidValueError(where, f"expected at most {MAX_DEPTH} levels of nesting; flatten the value")
        kind = current.WhichOneof("kind")
        if kind is None:
            raise InvalidValueError(where, "expected a value with one kind set, got none; use null_value for nothing")
        if kind == "list_value":
            stack.extend((v, f"{where}[{i}]", depth + 1) for i, v in enumerate(current.list_value.values))
        elif kind == "object_value":
            stack.extend((v, f"{where}.{k}", depth + 1) for k, v in current.object_value.fields.items())


def from_json(text: str, path: str) -> dict[str, value_pb2.Value]:
    """Parses a JSON object into values by key.

    Raises InvalidValueError for anything but an object, for integers outside int64 and uint64, for duplicate keys, for
    half surrogate pairs and for more than 32 levels.
    """
    try:
        parsed = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidValueError(path, f"expected at most {MAX_DEPTH} levels of nesting; flatten the value") from None
    except ValueError as error:
        raise InvalidValueError(path, f"expected a JSON object, got invalid JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise InvalidValueError(path, f"expected a JSON object of arguments by name, got {type(parsed).__name__}")
    return {_text(key, path): _from_native(item, f"{path}.{key}", 1) for key, item in parsed.items()}


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"the key {key!r} stands twice in one object")
            seen.add(key)
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON; pass it as a double_value in `arguments`")


def _text(text: str, path: str) -> str:
    # JSON can spell half of a surrogate pair, which no UTF-8 holds.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidValueError(path, "expected Unicode text, got half of a surrogate pair; pass it as bytes_value")
    return text


def _from_native(item: object, path: str, depth: int) -> value_pb2.Value:
    if depth > MAX_DEPTH:
        raise InvalidValueError(path, f"expected at most {MAX_DEPTH} levels of nesting; flatten the value")
    match item:
        case None:
            return value_pb2.Value(null_value=value_pb2.NullValue())
        case bool():
            return value_pb2.Value(bool_value=item)
        case int():
            if _INT64_MIN <= item <= _INT64_MAX:
                return value_pb2.Value(int_value=item)
            if 0 <= item <= _UINT64_MAX:
                return value_pb2.Value(uint_value=item)
            raise InvalidValueError(path, f"expected an integer of 64 bits, got {item}; pass it as a string")
        case float():
            if not math.isfinite(item):
                raise InvalidValueError(path, "the number is too large for a double; pass it as a string")
            return value_pb2.Value(double_value=item)
        case str():
            return value_pb2.Value(string_value=_text(item, path))
        case list():
            values = (_from_native(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(item))
            return value_pb2.Value(list_value=value_pb2.ListValue(values=values))
        case dict():
            fields = {_text(k, path): _from_native(v, f"{path}.{k}", depth + 1) for k, v in item.items()}
            return value_pb2.Value(object_value=value_pb2.ObjectValue(fields=fields))
    raise InvalidValueError(path, f"expected JSON, got {type(item).__name__}")


def to_json(value: value_pb2.Value) -> str:
    """The value as JSON: bytes as base64; NaN and the infinities, which JSON lacks, as strings."""
    return "".join(_json_parts(value))


def _json_parts(value: value_pb2.Value) -> Iterator[str]:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        yield "["
        for index, item in enumerate(value.list_value.values):
            yield "," if index else ""
            yield from _json_parts(item)
        yield "]"
    elif kind == "object_value":
        yield "{"
        for index, key in enumerate(sorted(value.object_value.fields)):
            yield ("," if index else "") + json.dumps(key, ensure_ascii=False) + ":"
            yield from _json_parts(value.object_value.fields[key])
        yield "}"
    elif kind == "double_value":
        number = value.double_value
        # Protobuf's own words for these in JSON: "NaN", "Infinity", "-Infinity".
        yield json.dumps(number) if math.isfinite(number) else f'"{json.dumps(number)}"'
    elif kind == "bytes_value":
        yield json.dumps(base64.b64encode(value.bytes_value).decode())
    elif kind is None or kind == "null_value":
        yield "null"
    else:
        yield json.dumps(getattr(value, kind), ensure_ascii=False)
