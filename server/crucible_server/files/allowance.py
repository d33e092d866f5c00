"""What one execution may still do with files, and what it has done."""

from __future__ import annotations

from dataclasses import dataclass

from crucible_server.pacing import Pacing


class FileRefusedError(Exception):
    """Something that is not done; the message is for the script's author and names no place outside of a root."""


@dataclass(slots=True)
class FileAllowance(Pacing):
    """The files of one execution."""

    max_bytes: int | None = None
    """To read and write in all; None is no bound."""
    bytes_moved: int = 0
    """Read and written so far; what was handed to the broker counts, whatever became of it."""

    def require(self, count: int = 0) -> None:
        """Raises FileRefusedError when so many bytes more would be too many."""
        if self.max_bytes is not None and self.bytes_moved + count > self.max_bytes:
            raise FileRefusedError(
                f"expected at most {self.max_bytes} bytes to be read and written by one execution (the server's "
                f"max_execution_bytes), got {self.bytes_moved + count}"
            )
