"""What one execution may still request, and what it has used."""

from __future__ import annotations

from dataclasses import dataclass, field

from crucible_server.pacing import Pacing


class RefusedError(Exception):
    """A request that is not made, or not answered; the message is for the script's author."""


class Meter:
    """Counts the bytes of one connection, and bounds those before a response begins."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        self.header_allowance: int | None = None
        """Bytes that may still come before the response's headers are complete; None is no bound."""

    def receive(self, count: int) -> None:
        """Counts bytes that came. Raises RefusedError when the headers are too large."""
        self.received += count
        if self.header_allowance is not None:
            self.header_allowance -= count
            if self.header_allowance < 0:
                raise RefusedError("the response's headers are larger than the server's max_header_bytes")


@dataclass(slots=True)
class Allowance(Pacing):
    """The requests of one execution."""

    max_requests: int | None
    """Of all, redirects included; None is no bound."""
    deadline: float | None = None
    """On the monotonic clock, in seconds, when the execution will be over; None is never."""
    meters: list[Meter] = field(default_factory=list)
    """One for each request that was made."""

    @property
    def bytes_moved(self) -> int:
        """Bytes sent and received so far."""
        return sum(meter.sent + meter.received for meter in self.meters)

    def spend(self) -> Meter:
        """Counts one request. Raises RefusedError when there were too many."""
        if self.max_requests is not None and len(self.meters) >= self.max_requests:
            raise RefusedError(
                f"expected at most {self.max_requests} network requests, redirects included, but the script made more; "
                "make fewer or raise max_network_requests"
            )
        meter = Meter()
        self.meters.append(meter)
        return meter
