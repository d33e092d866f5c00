"""What each level grants, and what a request gets of it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crucible.v1 import security_pb2
from crucible_server.config import ServerConfig, load_config
from crucible_server.policy import levels
from crucible_server.policy.levels import DEVELOPMENT, PRODUCTION, SAFE, Limits, PolicyError

MIB = 1024 * 1024
NAMES = tuple(field.name for field in dataclasses.fields(Limits))
TIMES = ("operation_timeout", "max_execution_time", "max_cpu_time")
COUNTS = tuple(name for name in NAMES if name not in (*TIMES, "max_cpu_percentage"))


def configured(**overrides: Any) -> ServerConfig:
    return load_config(None, overrides)


CONFIG = configured()


def refusal(requested: security_pb2.ResourceLimits | None, timeout: Duration | None = None) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        levels.effective_limits(SAFE, CONFIG, requested, timeout)
    return caught.value


def test_limits_have_the_fields_of_the_message() -> None:
    assert tuple(security_pb2.ResourceLimits.DESCRIPTOR.fields_by_name) == NAMES


@pytest.mark.parametrize(
    ("level", "memory", "seconds", "share", "concurrent"),
    [(SAFE, 50 * MIB, 10.0, 50.0, 10), (PRODUCTION, 100 * MIB, 30.0, 75.0, 50)],
)
def test_the_table(level: int, memory: int, seconds: float, share: float, concurrent: int) -> None:
    limits = levels.effective_limits(level, CONFIG)
    assert limits.max_memory_bytes == memory
    assert limits.max_execution_time == seconds
    assert limits.max_cpu_percentage == share
    assert limits.max_concurrent_operations == concurrent
    assert limits.operation_timeout == 60.0
    assert limits.max_source_bytes == MIB
    assert limits.max_return_bytes == MIB
    # Everything that the child or the kernel enforces is bounded, but for instructions, which time bounds.
    unbounded = {name for name in NAMES if getattr(limits, name) is None}
    assert unbounded == {"max_operations"}
    assert limits.max_cpu_time is not None
    assert seconds * share / 100 < limits.max_cpu_time < seconds


def test_safe_scripts_have_no_network() -> None:
    assert levels.effective_limits(SAFE, CONFIG).max_network_requests == 0


def test_a_request_lowers_and_never_raises() -> None:
    low = security_pb2.ResourceLimits(max_memory_bytes=MIB, max_cpu_percentage=10, max_operations=1000)
    limits = levels.effective_limits(SAFE, CONFIG, low)
    assert (limits.max_memory_bytes, limits.max_cpu_percentage, limits.max_operations) == (MIB, 10.0, 1000)
    high = security_pb2.ResourceLimits(max_network_requests=5, max_execution_time=Duration(seconds=3600))
    for name in COUNTS:
        setattr(high, name, 2**32 - 1)
    high.max_cpu_percentage = 400
    high.operation_timeout.seconds = high.max_cpu_time.seconds = 3600
    granted = levels.effective_limits(SAFE, CONFIG)
    assert levels.effective_limits(SAFE, CONFIG, high) == dataclasses.replace(granted, max_operations=2**32 - 1)


@given(
    level=st.sampled_from([SAFE, PRODUCTION]),
    counts=st.dictionaries(st.sampled_from(COUNTS), st.integers(1, 2**32 - 1)),
    share=st.none() | st.floats(0.001, 1e9),
    times=st.dictionaries(st.sampled_from(TIMES), st.integers(1, 10**9)),
    timeout=st.none() | st.integers(1, 10**9),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_request_gets_more_than_the_level_nor_more_than_it_asked_for(
    level: int, counts: dict[str, int], share: float | None, times: dict[str, int], timeout: int | None
) -> None:
    request = security_pb2.ResourceLimits(**counts, max_cpu_percentage=share)  # type: ignore[arg-type]
    for name, milliseconds in times.items():
        getattr(request, name).FromMilliseconds(milliseconds)
    wait = None
    if timeout is not None:
        wait = Duration()
        wait.FromMilliseconds(timeout)
        times = {**times, "max_execution_time": min(timeout, times.get("max_execution_time", timeout))}
    limits = levels.effective_limits(level, CONFIG, request, wait)
    granted = levels.level_limits(level, CONFIG)
    asked = {**counts, **{name: milliseconds / 1000 for name, milliseconds in times.items()}}
    if share is not None:
        asked["max_cpu_percentage"] = share
    for name in NAMES:
        value, most = getattr(limits, name), getattr(granted, name)
        assert most is None or (value is not None and value <= most), name
        assert name not in asked or value <= asked[name], name


def test_the_default_timeout_is_for_requests_that_name_none() -> None:
    config = configured(engine={"default_execution_timeout": "5s"})
    assert levels.effective_limits(SAFE, config).max_execution_time == 5.0
    assert levels.effective_limits(SAFE, config, None, Duration(seconds=8)).max_execution_time == 8.0
    request = security_pb2.ResourceLimits(max_execution_time=Duration(seconds=7))
    assert levels.effective_limits(SAFE, config, request).max_execution_time == 7.0
    assert levels.effective_limits(SAFE, config, request, Duration(seconds=6)).max_execution_time == 6.0
    assert levels.effective_limits(SAFE, config, None, Duration(seconds=99)).max_execution_time == 10.0
    assert levels.level_limits(SAFE, config).max_execution_time == 10.0


def test_the_operator_lowers_what_levels_stand_for_and_sets_the_rest() -> None:
    config = configured(
        engine={
            "max_source_size": "2MiB",
            "resource_limits": {
                "max_memory_bytes": "10MiB",
                "max_cpu_percentage": 400,
                "max_execution_time": "1h",
                "max_network_requests": 7,
                "max_output_bytes": "100MiB",
                "max_return_bytes": "2MiB",
                "max_host_calls": 3,
            },
        }
    )
    limits = levels.level_limits(PRODUCTION, config)
    assert limits.max_memory_bytes == 10 * MIB
    assert (limits.max_cpu_percentage, limits.max_execution_time) == (75.0, 30.0)
    assert limits.max_network_requests == 7
    assert (limits.max_output_bytes, limits.max_return_bytes) == (100 * MIB, 2 * MIB)
    assert (limits.max_host_calls, limits.max_source_bytes) == (3, 2 * MIB)
    assert levels.level_limits(SAFE, config).max_network_requests == 0


def test_processor_time_follows_time_and_share() -> None:
    request = security_pb2.ResourceLimits(max_cpu_percentage=10)
    limits = levels.effective_limits(SAFE, CONFIG, request, Duration(seconds=1))
    assert limits.max_cpu_time == pytest.approx(0.1, abs=0.15)
    request = security_pb2.ResourceLimits(max_cpu_time=Duration(nanos=20_000_000))
    assert levels.effective_limits(SAFE, CONFIG, request).max_cpu_time == pytest.approx(0.02)


@pytest.mark.parametrize("name", COUNTS)
def test_a_limit_of_zero_is_refused_by_its_name(name: str) -> None:
    error = refusal(security_pb2.ResourceLimits(**{name: 0}))  # type: ignore[arg-type]
    assert error.field == f"context.limits.{name}"
    assert "above zero, got 0" in error.message
    assert not error.denied


@pytest.mark.parametrize("share", [0.0, -0.0, -1.0, math.nan, math.inf, -math.inf])
def test_shares_that_are_none(share: float) -> None:
    error = refusal(security_pb2.ResourceLimits(max_cpu_percentage=share))
    assert error.field == "context.limits.max_cpu_percentage"


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [(0, 0), (-1, 0), (0, -1), (1, -1), (-1, 1), (0, 1_000_000_000), (1, 2_000_000_000), (2**60, 0)],
)
def test_times_that_are_none(name: str, seconds: int, nanos: int) -> None:
    duration = Duration(seconds=seconds, nanos=nanos)
    error = refusal(security_pb2.ResourceLimits(**{name: duration}))  # type: ignore[arg-type]
    assert error.field == f"context.limits.{name}"
    assert refusal(None, duration).field == "context.timeout"


def test_a_nanosecond_is_a_time() -> None:
    assert levels.effective_limits(SAFE, CONFIG, None, Duration(nanos=1)).max_execution_time == 1e-9


def test_levels_are_resolved_and_never_rounded() -> None:
    assert levels.resolve_level(0, CONFIG) == SAFE
    assert levels.resolve_level(0, configured(engine={"security_level": "production"})) == PRODUCTION
    assert levels.resolve_level(SAFE, CONFIG) == SAFE
    assert levels.resolve_level(PRODUCTION, CONFIG) == PRODUCTION
    for unknown in (-1, 4, 99, 2**31 - 1):
        with pytest.raises(PolicyError, match=f"got {unknown}") as caught:
            levels.resolve_level(unknown, CONFIG)
        assert not caught.value.denied
        assert caught.value.field == "context.security_context.security_level"


OPEN = configured(allow_development=True)


def test_development_is_denied_unless_it_is_allowed() -> None:
    with pytest.raises(PolicyError, match="DEVELOPMENT is off on this server") as caught:
        levels.resolve_level(DEVELOPMENT, CONFIG)
    assert caught.value.denied
    assert levels.disabled_reason(DEVELOPMENT, CONFIG)
    assert not levels.disabled_reason(DEVELOPMENT, OPEN)
    for level in (SAFE, PRODUCTION):
        assert not levels.disabled_reason(level, CONFIG)
    assert levels.resolve_level(DEVELOPMENT, OPEN) == DEVELOPMENT
    assert levels.resolve_level(0, OPEN) == SAFE


def test_development_has_the_limits_that_are_asked_for() -> None:
    limits = levels.effective_limits(DEVELOPMENT, OPEN)
    bounded = {name for name in NAMES if getattr(limits, name) is not None}
    assert bounded == {"max_output_bytes", "max_return_bytes", "max_native_depth", "max_source_bytes"}
    asked = security_pb2.ResourceLimits(max_memory_bytes=5 * MIB, max_cpu_percentage=10)
    limits = levels.effective_limits(DEVELOPMENT, OPEN, asked, Duration(seconds=20))
    assert (limits.max_memory_bytes, limits.max_cpu_percentage, limits.max_execution_time) == (5 * MIB, 10, 20)
    # What the operator has written down holds here as well, the defaults that nobody wrote do not.
    written = configured(
        allow_development=True,
        engine={"default_execution_timeout": "7s", "resource_limits": {"max_memory_bytes": "9MiB"}},
    )
    limits = levels.effective_limits(DEVELOPMENT, written)
    assert (limits.max_memory_bytes, limits.max_execution_time) == (9 * MIB, 7)
    assert limits.max_cpu_percentage is None


def test_the_jail_cannot_be_left() -> None:
    levels.check_sandbox(SAFE, None)
    levels.check_sandbox(PRODUCTION, True)
    for level in (SAFE, PRODUCTION):
        with pytest.raises(PolicyError) as caught:
            levels.check_sandbox(level, False)
        assert caught.value.denied
        assert caught.value.field == "context.security_context.sandbox"


def test_modules_are_those_of_the_level_that_the_interpreter_has() -> None:
    every = ["crucible::json", "crucible::http", "crucible::basic", "crucible::process"]
    assert levels.modules_of(SAFE, every) == ("crucible::basic",)
    assert levels.modules_of(PRODUCTION, every) == ("crucible::basic", "crucible::http", "crucible::json")
    assert levels.modules_of(PRODUCTION, ["crucible::basic"]) == ("crucible::basic",)
    assert levels.modules_of(SAFE, []) == ()


def test_the_message_says_the_same() -> None:
    limits = levels.effective_limits(SAFE, CONFIG, None, Duration(seconds=1, nanos=500_000_000))
    message = levels.to_message(limits)
    assert not message.HasField("max_operations")
    assert message.HasField("max_network_requests")
    assert message.max_network_requests == 0
    assert message.max_execution_time == Duration(seconds=1, nanos=500_000_000)
    assert message.max_memory_bytes == 50 * MIB
    unlimited = levels.to_message(Limits())
    assert unlimited == security_pb2.ResourceLimits()
