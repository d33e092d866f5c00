"""Native Python values become Values and come back as they were."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crucible import UInt64
from crucible.v1 import script_service_pb2
from crucible.v1.value_pb2 import Value
from crucible.values import MAX_DEPTH, from_value, to_fields, to_value

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 2**64 - 1).map(UInt64)
    | st.floats(allow_nan=False)
    | TEXT
    | st.binary()
)
NATIVES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=30)


def same(left: Any, right: Any) -> bool:
    """Equal with equal types all the way down: in Python 1, 1.0, True and UInt64(1) are equal."""
    if isinstance(left, list):
        return type(right) is list and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(field, right[name]) for name, field in left.items())
    return type(left) is type(right) and repr(left) == repr(right)


@settings(deadline=None)
@given(NATIVES)
def test_values_come_back_exactly(native: Any) -> None:
    over_the_wire = Value.FromString(to_value(native).SerializeToString())
    assert same(from_value(over_the_wire), native)


@pytest.mark.parametrize(
    ("native", "kind"),
    [
        (True, "bool_value"),
        (1, "int_value"),
        (2**63 - 1, "int_value"),
        (-(2**63), "int_value"),
        (2**63, "uint_value"),
        (2**64 - 1, "uint_value"),
        (UInt64(1), "uint_value"),
        (1.0, "double_value"),
        (math.nan, "double_value"),
        ("", "string_value"),
        (b"", "bytes_value"),
        (bytearray(b"x"), "bytes_value"),
        (memoryview(b"x"), "bytes_value"),
        ((), "list_value"),
        (MappingProxyType({}), "object_value"),
        (None, "null_value"),
    ],
)
def test_each_type_has_its_kind(native: Any, kind: str) -> None:
    assert to_value(native).WhichOneof("kind") == kind


def nest(depth: int, wrap: Callable[[Any], Any]) -> Any:
    """A value of `depth` levels, the innermost a str."""
    native: Any = "bottom"
    for _ in range(depth - 1):
        native = wrap(native)
    return native


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}], ids=["list", "object"])
def test_the_deepest_value_survives_the_deepest_message(wrap: Callable[[Any], Any]) -> None:
    native = nest(MAX_DEPTH, wrap)
    request = script_service_pb2.ExecuteScriptStreamRequest()
    request.context.arguments["x"].CopyFrom(to_value(native))
    parsed = script_service_pb2.ExecuteScriptStreamRequest.FromString(request.SerializeToString())
    assert from_value(parsed.context.arguments["x"]) == native
    with pytest.raises(ValueError, match=r"^args\['x'\].*nested deeper than 32"):
        to_fields({"x": wrap(native)}, "args")


def test_a_cyclic_value_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ValueError, match="nested deeper than 32"):
        to_value(cycle)


@pytest.mark.parametrize(
    ("native", "error", "message"),
    [
        ([0, 2**64], ValueError, r"^value\[1\]: expected an integer from .* got 18446744073709551616"),
        (UInt64(-1), ValueError, "from 0 to"),
        ({"n": -(2**63) - 1}, ValueError, r"^value\['n'\]: expected an integer"),
        ({"a": {1: 2}}, TypeError, r"^value\['a'\]: expected str keys, got the int 1"),
        (["\ud800"], ValueError, r"^value\[0\]: expected Unicode text"),
        ({"\ud800": 1}, ValueError, r"^key .* of value: expected Unicode text"),
        ([{"x": object()}], TypeError, r"^value\[0\]\['x'\]: expected None, bool.* got object"),
        ({1, 2}, TypeError, "got set"),
        (1j, TypeError, "got complex"),
    ],
)
def test_what_cannot_be_sent_is_named_by_its_path(native: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        to_value(native)


def test_a_value_without_a_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="no kind"):
        from_value(Value())
