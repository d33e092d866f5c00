"""Tells of requests that asked for what is not permitted, so many of each principal and no more."""

from __future__ import annotations

import structlog

from crucible_server.engine import story
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.events.journal import EventSink
from crucible_server.events.rates import Rate
from crucible_server.policy.principals import Caller

# Who is refused without end must not fill the store, and push out what others would look for.
_PER_MINUTE = 60

log = structlog.get_logger()


class Refusals:
    """Sees the errors of all services."""

    def __init__(self, events: EventSink, per_minute: int = _PER_MINUTE) -> None:
        self._events = events
        self._rate = Rate(per_minute)

    def note(self, caller: Caller, error: ServiceError) -> None:
        """Tells of an error, if it is a refusal that nothing else tells of."""
        if error.kind != ErrorKind.ERROR_KIND_SECURITY_VIOLATION or error.is_told:
            return
        if self._rate.wait(caller.tenant, caller.principal, 1) > 0:
            log.warning("refusal_not_told", principal=caller.principal, reason=error.message)
            return
        self._events.post(story.refused(self._events, caller, error.security_level, error.message))
