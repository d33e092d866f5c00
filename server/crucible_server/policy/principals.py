"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller. Everything it makes belongs to its tenant."""

    tenant: str
    principal: str


LOCAL = Caller(tenant="local", principal="local")
"""Everybody, until the server knows identities: it listens on loopback only."""
