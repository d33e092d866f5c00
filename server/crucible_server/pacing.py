"""How much one execution may ask of the server at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# What it asks for beyond waits.
_AT_ONCE = 8


async def _no_wait() -> None:
    return None


@dataclass(slots=True, kw_only=True)
class Pacing:
    """Holds back what one execution asks for, of one kind such as requests."""

    room: Callable[[], Awaitable[None]] = _no_wait
    """Waits until the script has taken what it was sent."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    """One for each call that goes on."""
