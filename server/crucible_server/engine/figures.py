"""What has been done since the start, counted."""

from __future__ import annotations

import time
from collections import deque

from crucible.v1 import execution_pb2

# By which executions the service judges itself: so many at most, none that ended longer ago, and not by a few.
_RECENT = 200
_RECENT_SECONDS = 60.0
_LEAST_RECENT = 10
_LEAST_FAULTS = 3
# Executions that are lost this shortly after one another went with one interpreter: that is one fault, not many.
_ONE_LOSS_SECONDS = 1.0


class Figures:
    """Counts executions that have ended."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.total = 0
        self.successful = 0
        self.execution_seconds = 0.0
        """Of all executions together."""
        self._losses: deque[float] = deque(maxlen=_RECENT)
        self._recent: deque[tuple[float, bool]] = deque(maxlen=_RECENT)

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

    @property
    def fault_rate(self) -> float:
        """Share of the latest executions, those of the last minute, that ended by the server's fault, 0 to 1.

        0 while they are too few to say anything.
        """
        oldest = time.monotonic() - _RECENT_SECONDS
        while self._recent and self._recent[0][0] < oldest:
            self._recent.popleft()
        faults = sum(is_fault for _, is_fault in self._recent)
        if len(self._recent) < _LEAST_RECENT or faults < _LEAST_FAULTS:
            return 0.0
        return faults / len(self._recent)

    def ended(self, result: execution_pb2.ExecutionResult, *, is_fault: bool, lost_at: float | None = None) -> None:
        """An execution has ended; `is_fault` is what the server itself saw, not what a child says.

        At `lost_at`, on the monotonic clock in seconds, it went with its interpreter; its end may be stored long after.
        """
        self.total += 1
        self.successful += result.success
        time_taken = result.execution_time
        self.execution_seconds += time_taken.seconds + time_taken.nanos / 1e9
        now = time.monotonic()
        if lost_at is not None:
            is_told = any(abs(lost_at - other) < _ONE_LOSS_SECONDS for other in self._losses)
            self._losses.append(lost_at)
            if is_told:
                return
        self._recent.append((now, is_fault))
