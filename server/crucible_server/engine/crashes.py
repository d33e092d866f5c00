"""How often the interpreters of one principal may crash.

A script that crashes its interpreter may be guessing at the layout of its memory, which all children of a zygote share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from crucible_server.errors import ErrorKind, ServiceError

_MINUTE = 60.0
_MIN_RETRY_SECONDS = 0.1
# Principals without a recent crash are forgotten when more than so many are known.
_MAX_KNOWN = 10_000


@dataclass(slots=True)
class _Bucket:
    """Crashes that are still allowed, as of a moment on the clock in seconds."""

    left: float
    since: float


class CrashLimit:
    """Allows each principal so many crashes a minute: as many at once, then as they come back with time."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self.refused = 0
        """Calls that were refused."""

    def resize(self, per_minute: int) -> None:
        """Another number from now on."""
        self._per_minute = per_minute

    def note(self, tenant: str, principal: str) -> None:
        """Counts a crash."""
        bucket = self._filled(tenant, principal)
        if bucket is None:
            if len(self._buckets) >= _MAX_KNOWN:
                self._forget_full()
            bucket = self._buckets[tenant, principal] = _Bucket(float(self._per_minute), self._clock())
        # What was running when the last one was used up may crash as well; it does not count against the time after.
        bucket.left = max(0.0, bucket.left - 1)

    def check(self, tenant: str, principal: str) -> None:
        """Raises ServiceError (RESOURCE_EXCEEDED), with a time to retry, for one that has used up its crashes."""
        bucket = self._filled(tenant, principal)
        if bucket is None or bucket.left >= 1:
            return
        self.refused += 1
        seconds = max((1 - bucket.left) * _MINUTE / self._per_minute, _MIN_RETRY_SECONDS)
        raise ServiceError(
            ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
            f"scripts of {principal!r} crashed their interpreters {self._per_minute} times within a minute, as often "
            f"as this server allows; mend the script that does it, and try again in {seconds:.1f} s",
            retry_after=seconds,
            quota="max_crashes_per_minute",
        )

    def _filled(self, tenant: str, principal: str) -> _Bucket | None:
        bucket = self._buckets.get((tenant, principal))
        if bucket is not None:
            now = self._clock()
            gained = (now - bucket.since) * self._per_minute / _MINUTE
            bucket.left = min(float(self._per_minute), bucket.left + gained)
            bucket.since = now
        return bucket

    def _forget_full(self) -> None:
        for key in list(self._buckets):
            bucket = self._filled(*key)
            if bucket is not None and bucket.left >= self._per_minute:
                del self._buckets[key]
