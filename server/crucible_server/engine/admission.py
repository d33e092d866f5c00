"""Who may run now: so many at once in all, so many for each principal, the others in order."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from crucible_server.errors import ErrorKind, ServiceError


@dataclass(slots=True, eq=False)
class Ticket:
    """A place in the queue; `turn` is set when its holder may run. It has to be given back with `Admission.leave`."""

    principal: str
    limit: int | None
    turn: asyncio.Future[None]
    running: bool = False


class Admission:
    """First come, first served, except that a principal at its own limit does not hold up others."""

    def __init__(self, what: str, total: int, max_queue: int) -> None:
        """`what` names in the plural what is admitted, for messages."""
        self._what = what
        self._total = total
        self._max_queue = max_queue
        self._running: dict[str, int] = {}
        self._queue: deque[Ticket] = deque()
        self.running = 0

    @property
    def queued(self) -> int:
        """Tickets whose turn has not come."""
        return len(self._queue)

    def enter(self, principal: str, limit: int | None) -> Ticket:
        """A ticket, running at once when there is room.

        Raises ServiceError (RESOURCE_EXCEEDED, with a time to retry) when the queue is full.
        """
        ticket = Ticket(principal, limit, asyncio.get_running_loop().create_future())
        if self._may_run(ticket):
            self._run(ticket)
        elif len(self._queue) >= self._max_queue:
            raise ServiceError(
                ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                f"{self.running} {self._what} run and {len(self._queue)} wait: as many as this server takes; try later",
                retry_after=1.0,
                quota="queue",
            )
        else:
            self._queue.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Gives a ticket back, whether its turn had come or not, and lets the next ones run."""
        if not ticket.running:
            if ticket in self._queue:
                self._queue.remove(ticket)
            return
        ticket.running = False
        self.running -= 1
        left = self._running[ticket.principal] - 1
        if left:
            self._running[ticket.principal] = left
        else:
            del self._running[ticket.principal]
        if self._queue:
            self._advance()

    def _may_run(self, ticket: Ticket) -> bool:
        if self.running >= self._total:
            return False
        return ticket.limit is None or self._running.get(ticket.principal, 0) < ticket.limit

    def _run(self, ticket: Ticket) -> None:
        ticket.running = True
        self.running += 1
        self._running[ticket.principal] = self._running.get(ticket.principal, 0) + 1
        if not ticket.turn.done():
            ticket.turn.set_result(None)

    def _advance(self) -> None:
        waiting: deque[Ticket] = deque()
        while self._queue and self.running < self._total:
            ticket = self._queue.popleft()
            if self._may_run(ticket):
                self._run(ticket)
            else:
                waiting.append(ticket)
        waiting.extend(self._queue)
        self._queue = waiting
