"""Host calls are checked when they are made: what a child says of its level counts for nothing."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, cast

import pytest

from crucible.v1 import security_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.config import HttpConfig
from crucible_server.engine.host_calls import HostCallContext, HostCalls
from crucible_server.engine.job import HostCallError
from crucible_server.outbound.allowance import Allowance
from crucible_server.store import ExecutionRecord

SAFE = frozenset({"crucible::basic"})
PRODUCTION = SAFE | {"crucible::http", "crucible::json"}


@dataclass
class _Record:
    """As much of an execution as host calls look at."""

    security_level: int = security_pb2.SECURITY_LEVEL_PRODUCTION


def answer(call: child_pb2.HostCall, modules: frozenset[str]) -> str:
    """The message with which a call is refused."""

    async def run() -> str:
        context = HostCallContext(cast(ExecutionRecord, _Record()), Allowance(10))
        handler = HostCalls(HttpConfig()).handler(context, modules)
        with pytest.raises(HostCallError) as raised:
            await handler(call)
        return str(raised.value)

    return asyncio.run(run())


def call_of(name: str, version: int = 1, /, **fields: Any) -> child_pb2.HostCall:
    call = child_pb2.HostCall(call_id=1, name=name, schema_version=version)
    call.arguments.object_value.SetInParent()
    for key, value in fields.items():
        field = call.arguments.object_value.fields[key]
        if isinstance(value, str):
            field.string_value = value
        else:
            field.double_value = value
    return call


def test_a_forged_call_of_another_level_is_refused() -> None:
    call = call_of("crucible.http.request", method="GET", url="http://a.example/")
    assert "does not exist at this level" in answer(call, SAFE)
    assert "allows no HTTP requests" in answer(call, PRODUCTION)
    assert "does not exist at this level" in answer(call_of("crucible.fs.read"), PRODUCTION)
    assert "expected version 1" in answer(call_of("crucible.http.request", 2), PRODUCTION)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"method": "GET"},
        {"method": 1.0, "url": "http://a.example/"},
        {"method": "GET", "url": "http://a.example/", "timeout": "1"},
        {"method": "GET", "url": "http://a.example/", "timeout": math.nan},
        {"method": "GET", "url": "http://a.example/", "headers": "x"},
        {"method": "POST", "url": "http://a.example/", "body": 1.0},
        {"method": "GET", "url": "http://a.example/", "redirects": 1.0},
        {"method": "GET", "url": "http://a.example/", "verify": "no"},
    ],
)
def test_forged_arguments_are_refused(fields: dict[str, Any]) -> None:
    assert answer(call_of("crucible.http.request", **fields), PRODUCTION).startswith("http: expected")


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf, 1e9])
def test_sleeping_for_what_is_no_time_is_refused(seconds: float) -> None:
    assert answer(call_of("crucible.basic.sleep", seconds=seconds), SAFE).startswith("sleep: expected")
