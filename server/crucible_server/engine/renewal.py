"""When a zygote has served long enough: children of one share an address layout, and each crash may tell of it."""

from __future__ import annotations

_RETRY_SECONDS = 60.0


class RenewalClock:
    """Counts the crashes and the time of the present zygote. Times are on the monotonic clock, in seconds."""

    def __init__(self, most_crashes: int, interval: float) -> None:
        self._most_crashes = most_crashes
        self._interval = interval
        self._began = float("inf")
        self._not_before = 0.0
        self.crashes = 0
        """Children of the present zygote that have crashed."""

    def began(self, now: float) -> None:
        """A zygote has just taken over."""
        self._began, self._not_before, self.crashes = now, 0.0, 0

    def failed(self, now: float) -> None:
        """No other could be had: the present one serves on, and another is tried for after a while."""
        self._not_before = now + _RETRY_SECONDS

    def due(self, now: float) -> str:
        """Why another zygote should take over now; empty when none should."""
        if now < self._not_before:
            return ""
        if self.crashes >= self._most_crashes:
            return f"{self.crashes} crashes"
        if now - self._began >= self._interval:
            return f"{self._interval:g} s"
        return ""
