"""Who may run now: so many at once in all, so many for each principal, so much memory; the others in order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from crucible_server.errors import ErrorKind, ServiceError

# A caller that is told to come back sooner or later than this would do so in vain, or forget.
_MIN_RETRY_SECONDS = 0.1
_MAX_RETRY_SECONDS = 30.0
# The weight of the newest in the mean time that a ticket is held.
_MEAN_WEIGHT = 0.1


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queue; `turn` is set when its holder may run. It has to be given back with `Admission.leave`."""

    principal: str
    limit: int | None
    """How many of its principal may run at once."""
    memory: int
    """Bytes that it reserves while it runs."""
    turn: asyncio.Future[None]
    running: bool = False
    since: float = 0.0


class Admission:
    """First come, first served, except that a principal at its own limit does not hold up others.

    One that waits for memory does hold up those behind it: small ones would overtake it for ever.
    """

    def __init__(self, what: str, total: int, max_queue: int, memory: int | None = None) -> None:
        """`what` names in the plural what is admitted, for messages; `memory` is what all may reserve, in bytes."""
        self._what = what
        self._total = total
        self._max_queue = max_queue
        self._memory = memory
        self._running: dict[str, int] = {}
        self._queue: deque[Ticket] = deque()
        self._mean_seconds = 0.0
        self.running = 0
        self.reserved_bytes = 0
        """What the running ones reserve."""
        self.refused = 0
        """Tickets that were not given because the queue was full."""
        self.refused_at = float("-inf")
        """When the latest of them was, on the monotonic clock in seconds."""

    @property
    def queued(self) -> int:
        """Tickets whose turn has not come."""
        return len(self._queue)

    @property
    def is_crowded(self) -> bool:
        """Whether more than half of the queue is taken."""
        return len(self._queue) * 2 > self._max_queue

    def enter(self, principal: str, limit: int | None, memory: int = 0) -> Ticket:
        """A ticket, running at once when there is room.

        Raises ServiceError (RESOURCE_EXCEEDED): with a time to retry when the queue is full, without one when
        `memory` is more than this server ever grants.
        """
        if self._memory is not None and memory > self._memory:
            raise ServiceError(
                ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                f"expected a memory limit of at most {self._memory} bytes, which is what all {self._what} of this "
                f"server share, got {memory}; lower max_memory_bytes",
                quota="max_executions_memory",
            )
        ticket = Ticket(principal, limit, memory, asyncio.get_running_loop().create_future())
        # Whoever comes now must not overtake one that waits for memory.
        if self._may_run(ticket) and not (self._queue and self._waits_for_memory()):
            self._run(ticket)
        elif len(self._queue) >= self._max_queue:
            self.refused += 1
            self.refused_at = time.monotonic()
            raise ServiceError(
                ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                f"{self.running} {self._what} run and {len(self._queue)} wait: as many as this server takes; try later",
                retry_after=self._retry_after(),
                quota="queue",
            )
        else:
            self._queue.append(ticket)
        return ticket

    @property
    def max_queue(self) -> int:
        """Tickets that may wait."""
        return self._max_queue

    def resize(self, total: int, max_queue: int, memory: int | None = None) -> None:
        """Other bounds from now on; what runs or waits already keeps its place."""
        self._total = total
        self._max_queue = max_queue
        self._memory = memory
        self._advance()

    def leave(self, ticket: Ticket) -> None:
        """Gives a ticket back, whether its turn had come or not, and lets the next ones run."""
        if not ticket.running:
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._advance()
            return
        ticket.running = False
        self.running -= 1
        self.reserved_bytes -= ticket.memory
        held = asyncio.get_running_loop().time() - ticket.since
        self._mean_seconds += (held - self._mean_seconds) * _MEAN_WEIGHT
        left = self._running[ticket.principal] - 1
        if left:
            self._running[ticket.principal] = left
        else:
            del self._running[ticket.principal]
        if self._queue:
            self._advance()

    def _retry_after(self) -> float:
        # When half of those that wait now have had their turn.
        seconds = self._mean_seconds * len(self._queue) / 2 / max(self.running, 1)
        return min(max(seconds, _MIN_RETRY_SECONDS), _MAX_RETRY_SECONDS)

    def _fits(self, ticket: Ticket) -> bool:
        if self._memory is None or self.reserved_bytes + ticket.memory <= self._memory:
            return True
        # One that was let in when there was to be more would wait for ever.
        return ticket.memory > self._memory and self.reserved_bytes == 0

    def _within_limit(self, ticket: Ticket) -> bool:
        return ticket.limit is None or self._running.get(ticket.principal, 0) < ticket.limit

    def _may_run(self, ticket: Ticket) -> bool:
        return self.running < self._total and self._within_limit(ticket) and self._fits(ticket)

    def _waits_for_memory(self) -> bool:
        return any(self._within_limit(ticket) and not self._fits(ticket) for ticket in self._queue)

    def _run(self, ticket: Ticket) -> None:
        ticket.running = True
        ticket.since = asyncio.get_running_loop().time()
        self.running += 1
        self.reserved_bytes += ticket.memory
        self._running[ticket.principal] = self._running.get(ticket.principal, 0) + 1
        if not ticket.turn.done():
            ticket.turn.set_result(None)

    def _advance(self) -> None:
        waiting: deque[Ticket] = deque()
        while self._queue and self.running < self._total:
            ticket = self._queue.popleft()
            if self._may_run(ticket):
                self._run(ticket)
                continue
            waiting.append(ticket)
            if not self._fits(ticket) and self._within_limit(ticket):
                break
        waiting.extend(self._queue)
        self._queue = waiting
