"""What callers may see besides what is their tenant's."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a caller is to this server. Every role includes USER."""

    USER = "user"
    """Sees what happens in its tenant."""
    OPERATOR = "operator"
    """Sees as well what concerns the security, the policies and the configuration, and the server as a whole."""


OPERATOR_EVENTS = frozenset(("security_violation", "policy_changed", "configuration_changed"))
"""Types of events that only operators see, whatever the tenant."""


def hidden_events(roles: frozenset[Role]) -> frozenset[str]:
    """The types of events that somebody with these roles does not see."""
    return frozenset() if Role.OPERATOR in roles else OPERATOR_EVENTS
