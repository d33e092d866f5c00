"""How much each principal may emit."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from crucible_server.errors import ErrorKind, ServiceError

_MINUTE = 60.0
# Those who emitted last are remembered; whoever is forgotten had long been idle, or there are more than can be told.
_MAX_KNOWN = 10_000


class Rate:
    """Allows each principal so many a minute: as many at once, then as they come back with time."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._left: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def wait(self, tenant: str, principal: str, count: int) -> float:
        """Counts so many and returns 0, or counts nothing and returns the seconds after which there may be as many."""
        key, now = (tenant, principal), self._clock()
        left, since = self._left.pop(key, (float(self._per_minute), now))
        left = min(float(self._per_minute), left + (now - since) * self._per_minute / _MINUTE)
        is_granted = left >= count
        self._left[key] = (left - count if is_granted else left, now)
        if len(self._left) > _MAX_KNOWN:
            self._left.popitem(last=False)
        return 0.0 if is_granted else max((count - left) * _MINUTE / self._per_minute, 0.1)


class EmitLimit:
    """Bounds what each principal emits."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._rate = Rate(per_minute, clock)

    def take(self, tenant: str, principal: str, count: int) -> None:
        """Counts events. Raises ServiceError (RESOURCE_EXCEEDED), with a time to retry, and counts nothing then."""
        seconds = self._rate.wait(tenant, principal, count)
        if seconds > 0:
            raise ServiceError(
                ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                f"{principal!r} may emit {self._per_minute} events a minute (events.max_emitted_per_minute), and has "
                f"done so; try again in {seconds:.1f} s",
                retry_after=seconds,
                quota="max_emitted_per_minute",
            )
