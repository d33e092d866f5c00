"""What one execution may still do with files, and what it has done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

# At once for one execution: what it asks for beyond waits.
_AT_ONCE = 8


class FileRefusedError(Exception):
    """Something that is not done; the message is for the script's author and names no place outside of a root."""


async def _no_wait() -> None:
    return None


@dataclass(slots=True)
class FileAllowance:
    """The files of one execution."""

    max_bytes: int | None = None
    """To read and write in all; None is no bound."""
    room: Callable[[], Awaitable[None]] = _no_wait
    """Waits until the script has taken what it was sent."""
    bytes_moved: int = 0
    """Read and written so far; what was handed to the broker counts, whatever became of it."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))

    def require(self, count: int = 0) -> None:
        """Raises FileRefusedError when so many bytes more would be too many."""
        if self.max_bytes is not None and self.bytes_moved + count > self.max_bytes:
            raise FileRefusedError(
                f"expected at most {self.max_bytes} bytes to be read and written by one execution (the server's "
                f"max_execution_bytes), got {self.bytes_moved + count}"
            )

    def left(self) -> int | None:
        """Bytes that may still be moved; None is no bound."""
        return None if self.max_bytes is None else max(0, self.max_bytes - self.bytes_moved)
