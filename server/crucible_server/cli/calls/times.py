"""Times of the contract for people."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp


def seconds(duration: Duration) -> float:
    """A duration in seconds."""
    return duration.seconds + duration.nanos / 10**9


def day_time(timestamp: Timestamp) -> str:
    """A moment to the second, as `--since` takes it; empty for one that is not set."""
    if not (timestamp.seconds or timestamp.nanos):
        return ""
    return Timestamp(seconds=timestamp.seconds).ToJsonString()
