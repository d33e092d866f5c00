"""How many spares to keep: as many as jobs have lately run at once."""

from __future__ import annotations

import math

# One spare fewer for each of these in which fewer jobs ran at once.
_DECAY_SECONDS = 10.0


class SpareTarget:
    """Follows the most jobs at once, between `least` and `most`; without a least there are none."""

    def __init__(self, least: int, most: int) -> None:
        self._least = least
        self._most = max(least, most) if least else 0
        self._wanted = least
        self._needed_at = float("-inf")

    def resize(self, least: int, most: int) -> None:
        """Other bounds from now on."""
        self._least = least
        self._most = max(least, most) if least else 0
        # As long as nothing was needed, as many as there are to be at least.
        self._wanted = least if math.isinf(self._needed_at) else max(least, min(self._wanted, self._most))

    def drawn(self, now: float, busy: int) -> None:
        """A job has got a child; `now` is in seconds, `busy` counts the jobs that have one, this included."""
        if busy >= self._wanted:
            self._wanted = max(self._least, min(busy, self._most))
            self._needed_at = now

    def wanted(self, now: float) -> int:
        """How many spares should wait."""
        if self._wanted > self._least:
            steps = int((now - self._needed_at) / _DECAY_SECONDS)
            if steps > 0:
                self._wanted = max(self._least, self._wanted - steps)
                self._needed_at += steps * _DECAY_SECONDS
        return self._wanted
