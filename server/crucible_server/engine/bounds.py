"""From a level's limits to what the child keeps itself, and what the zygote and the kernel keep around it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

from crucible.vm.v1 import child_pb2, zygote_pb2
from crucible_server.engine import job
from crucible_server.engine.values import MAX_DEPTH
from crucible_server.policy.levels import Limits, to_message

# Rune counts its allocations exactly; the allocator around them and uncounted ones (errors, back traces, the unit and
# the frames) need room beside it: this factor and this many bytes.
_HEAP_FACTOR = 1.6
_HEAP_EXTRA = 24 * 1024 * 1024
# Far more than the zygotes themselves have.
_ZYGOTES = 128 * 1024 * 1024


# Most requests have the limits of their level: the same few messages, made once and never changed.


@lru_cache(maxsize=256)
def job_limits(limits: Limits) -> child_pb2.JobLimits:
    """What the child keeps itself. Zero means none. Shared: not to be changed."""
    return child_pb2.JobLimits(
        memory_bytes=limits.max_memory_bytes or 0,
        max_operations=limits.max_operations or 0,
        native_depth=limits.max_native_depth or 0,
        output_bytes=limits.max_output_bytes or 0,
        return_bytes=limits.max_return_bytes or 0,
        value_depth=MAX_DEPTH,
        cpu_percentage=limits.max_cpu_percentage or 0.0,
        host_calls_in_flight=job.MAX_CALLS_IN_FLIGHT,
        max_host_calls=limits.max_host_calls or 0,
        frames_per_second=job.FRAMES_PER_SECOND,
    )


@lru_cache(maxsize=256)
def child_limits(limits: Limits) -> zygote_pb2.ChildLimits:
    """What is kept around the child. Zero means none. Shared: not to be changed."""
    return zygote_pb2.ChildLimits(
        wall_time_ms=_milliseconds(limits.max_execution_time),
        cpu_time_ms=_milliseconds(limits.max_cpu_time),
        heap_bytes=_heap(limits),
    )


@lru_cache(maxsize=256)
def stored_limits(limits: Limits) -> bytes:
    """The limits as the record of an execution keeps them: a serialized ResourceLimits."""
    return to_message(limits).SerializeToString()


def reserved_memory(limits: Limits) -> int:
    """What an execution counts for in the admission by memory, in bytes."""
    return 0 if limits.max_memory_bytes is None else limits.max_memory_bytes


def widest_heap(limits: Iterable[Limits]) -> int:
    """The heap of a spare that can become the child of any of these that has a bound, in bytes; 0 when none has.

    A byte more than the widest: a job waits until the limit of its spare is no more than its own, so that of the spare
    has to be another.
    """
    widest = max(_heap(each) for each in limits)
    return widest + 1 if widest else 0


def tree_memory(executions_memory: int, children: int) -> int:
    """What an interpreter may take in bytes, with so many children whose limits add up to `executions_memory`."""
    return _ZYGOTES + int(executions_memory * _HEAP_FACTOR) + children * _HEAP_EXTRA


def _heap(limits: Limits) -> int:
    if limits.max_memory_bytes is None:
        return 0
    return int(limits.max_memory_bytes * _HEAP_FACTOR) + _HEAP_EXTRA


def _milliseconds(seconds: float | None) -> int:
    return 0 if seconds is None else max(1, math.ceil(seconds * 1000))
