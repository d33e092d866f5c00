"""How much of what subscribers have been sent may be on its way at once, of all of them together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

MAX_BATCH_BYTES = 1024 * 1024
"""What one message holds at most, unless its first event alone is larger: far below what clients take by default."""
SMALL_BYTES = 16 * 1024
"""So much is sent however much is on its way: whoever reads what happens waits for nobody who does not read."""
_TOTAL_BYTES = 128 * 1024 * 1024
# Of what the subscriptions may have together, so that those who begin to read find room.
_SHARED_BYTES = _TOTAL_BYTES // 4
_LEAST_BYTES = 64 * 1024


class Flight:
    """Bytes that subscribers have not taken yet. Used from one event loop."""

    def __init__(self, total: int = _TOTAL_BYTES) -> None:
        self._total = total
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def used(self) -> int:
        """Bytes that are taken."""
        return self._used

    def share(self, subscriptions: int) -> int:
        """What one of so many subscriptions should send at once."""
        return min(MAX_BATCH_BYTES, max(_SHARED_BYTES // max(subscriptions, 1), _LEAST_BYTES))

    async def take(self, size: int) -> None:
        """Waits until so many bytes may be on their way, in turn, and counts them. Small ones do not wait."""
        if size <= SMALL_BYTES or (not self._waiting and self._fits(size)):
            self._used += size
            return
        turn = asyncio.get_running_loop().create_future()
        entry = (size, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(size)
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(entry)
                self._admit()
            raise

    def give_back(self, size: int) -> None:
        """So many bytes are no longer on their way."""
        self._used -= size
        self._admit()

    def _fits(self, size: int) -> bool:
        # One that is larger than all that there is goes alone.
        return self._used + size <= self._total or self._used <= 0

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._used += size
                turn.set_result(None)
