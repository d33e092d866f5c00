"""Filters of events: what is asked for, and what of it the caller may see."""

from __future__ import annotations

import difflib

from crucible.v1 import event_pb2
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.events.kinds import CUSTOM, TYPES, is_custom
from crucible_server.policy.principals import Caller
from crucible_server.policy.roles import Role, hidden_events
from crucible_server.store import EventSelection

_MAX_TYPES = 64
_MAX_ID = 256


def select(caller: Caller, wanted: event_pb2.EventFilter) -> EventSelection:
    """What a filter selects for a caller.

    Raises ServiceError: VALIDATION_ERROR for a type that does not exist, SECURITY_VIOLATION for one that the caller may
    not see.
    """
    if len(wanted.types) > _MAX_TYPES:
        raise invalid("filter.types", f"expected at most {_MAX_TYPES} types, got {len(wanted.types)}; leave it empty")
    hidden = hidden_events(caller.roles)
    for index, name in enumerate(wanted.types):
        field = f"filter.types[{index}]"
        if name in hidden:
            raise ServiceError(
                ErrorKind.ERROR_KIND_SECURITY_VIOLATION,
                f"{field}: events of type {name!r} are for operators, which {caller.principal!r} is not; leave it out",
            )
        if name not in TYPES and name != CUSTOM and not is_custom(name):
            raise invalid(field, _unknown(name))
    for field in ("script_id", "principal"):
        if len(getattr(wanted, field)) > _MAX_ID:
            raise invalid(f"filter.{field}", f"expected at most {_MAX_ID} characters")
    return EventSelection(
        tenant=caller.tenant,
        sees_server=Role.OPERATOR in caller.roles,
        types=frozenset(wanted.types) - {CUSTOM},
        has_custom=CUSTOM in wanted.types,
        hidden=hidden,
        script_id=wanted.script_id,
        principal=wanted.principal,
    )


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, TYPES, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(sorted(TYPES))}, {CUSTOM}"
    return f"there is no event type {name[:80]!r}; {hint} Types that clients gave hold a dot, such as 'acme.deployed'"
