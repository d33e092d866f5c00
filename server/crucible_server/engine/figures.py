"""What has been done since the start, counted."""

from __future__ import annotations

import time

from crucible.v1 import execution_pb2

# The weight of the newest execution in the failure rate by which the service judges itself.
_RATE_WEIGHT = 0.02


class Figures:
    """Counts executions that have ended."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.total = 0
        self.successful = 0
        self.execution_seconds = 0.0
        """Of all executions together."""
        self.fault_rate = 0.0
        """Share of the latest executions that ended by the server's fault, 0 to 1."""

    @property
    def uptime_seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    @property
    def mean_seconds(self) -> float:
        """Of an execution; 0 before the first."""
        return self.execution_seconds / self.total if self.total else 0.0

    @property
    def success_percent(self) -> float:
        """Executions that succeeded; 100 before the first."""
        return 100.0 * self.successful / self.total if self.total else 100.0

    def ended(self, result: execution_pb2.ExecutionResult, *, is_fault: bool) -> None:
        """An execution has ended; `is_fault` is what the server itself saw, not what a child says."""
        self.total += 1
        self.successful += result.success
        time_taken = result.execution_time
        self.execution_seconds += time_taken.seconds + time_taken.nanos / 1e9
        self.fault_rate += (is_fault - self.fault_rate) * _RATE_WEIGHT
