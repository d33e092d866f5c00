"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass

from crucible_server.policy.roles import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. Everything it makes belongs to its tenant."""

    tenant: str
    principal: str
    roles: frozenset[Role] = frozenset((Role.USER,))


LOCAL = Caller(tenant="local", principal="local", roles=frozenset((Role.USER, Role.OPERATOR)))
"""Everybody, until the server knows identities: it listens on loopback only."""

REMOTE = Caller(tenant="local", principal="local")
"""Whoever comes from another machine to a server that was told to let them: nothing says that they operate it."""
