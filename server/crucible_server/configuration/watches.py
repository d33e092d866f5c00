"""Those who watch the configuration: bounded in number, told of a change one after the other, from one answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from crucible.v1 import config_pb2
from crucible.v1 import config_service_pb2 as pb
from crucible_server.encoded import Encoded
from crucible_server.errors import ErrorKind, ServiceError, unavailable
from crucible_server.policy.principals import Caller

MAX_WATCHES = 1_000
"""At once, of all principals together."""
MAX_WATCHES_PER_PRINCIPAL = 500
"""And of one."""
# Others have their turn in between.
_AT_ONCE = 16
_PAUSE_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class View:
    """What is watched, as it is at one moment."""

    version: int
    file_problem: str
    revision_problem: str
    entries: Sequence[config_pb2.ConfigEntry]

    @property
    def heading(self) -> tuple[int, str, str]:
        """All but the entries."""
        return self.version, self.file_problem, self.revision_problem


@dataclass(slots=True, eq=False)
class _Watch:
    keys: frozenset[str]
    told: int = -1
    news: asyncio.Event = field(default_factory=asyncio.Event)


class Watches:
    """All watches of this server."""

    def __init__(self, look: Callable[[], View]) -> None:
        """`look` tells what is so now."""
        self._look = look
        self._open: dict[_Watch, None] = {}
        self._of_principal: Counter[tuple[str, str]] = Counter()
        self._generation = 0
        self._view: View | None = None
        self._heading_since = 0
        self._since: dict[str, int] = {}
        self._answers: dict[tuple[int, frozenset[str]], Encoded | None] = {}
        self._waiting: dict[_Watch, None] = {}
        self._waking: asyncio.Task[None] | None = None
        self._is_stale = True
        self._is_closed = False

    def change(self) -> None:
        """Something may be other than before."""
        self._is_stale = True
        self._waiting |= self._open
        if self._waiting and self._waking is None:
            self._waking = asyncio.get_running_loop().create_task(self._wake())

    def close(self) -> None:
        """Ends all of them."""
        self._is_closed = True
        for watch in self._open:
            watch.news.set()

    async def follow(self, caller: Caller, keys: frozenset[str]) -> AsyncIterator[Encoded]:
        """All of these keys, then at every change those that have changed.

        Raises ServiceError: RESOURCE_EXCEEDED, UNAVAILABLE when the server stops.
        """
        owner = (caller.tenant, caller.principal)
        self._admit(owner)
        self._of_principal[owner] += 1
        watch = _Watch(keys)
        self._open[watch] = None
        try:
            while True:
                if self._is_closed:
                    raise unavailable("the server is shutting down; watch again")
                watch.news.clear()
                answer = self._answer(watch)
                watch.told = self._generation
                if answer is not None:
                    yield answer
                await watch.news.wait()
        finally:
            del self._open[watch]
            self._waiting.pop(watch, None)
            self._of_principal[owner] -= 1
            if not self._of_principal[owner]:
                del self._of_principal[owner]

    def _admit(self, owner: tuple[str, str]) -> None:
        for count, most, whose in (
            (len(self._open), MAX_WATCHES, ""),
            (self._of_principal[owner], MAX_WATCHES_PER_PRINCIPAL, " of one principal"),
        ):
            if count >= most:
                raise ServiceError(
                    ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                    f"expected at most {most} calls of WatchConfig{whose} at once; end some, or share one",
                    retry_after=1.0,
                    quota="config_watches",
                )

    async def _wake(self) -> None:
        try:
            while self._waiting:
                for watch in list(islice(self._waiting, _AT_ONCE)):
                    del self._waiting[watch]
                    watch.news.set()
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._waking = None

    def _answer(self, watch: _Watch) -> Encoded | None:
        self._refresh()
        place = (watch.told, watch.keys)
        if place not in self._answers:
            self._answers[place] = self._news(*place)
        return self._answers[place]

    def _refresh(self) -> None:
        if not self._is_stale:
            return
        self._is_stale = False
        before, now = self._view, self._look()
        self._generation += 1
        self._answers.clear()
        former = {} if before is None else {entry.key: entry for entry in before.entries}
        for entry in now.entries:
            if former.get(entry.key) != entry:
                self._since[entry.key] = self._generation
        if before is None or before.heading != now.heading:
            self._heading_since = self._generation
        self._view = now

    def _news(self, told: int, keys: frozenset[str]) -> Encoded | None:
        assert self._view is not None
        fresh = [each for each in self._view.entries if each.key in keys and self._since[each.key] > told]
        if told >= self._heading_since and not fresh:
            return None
        version, file_problem, revision_problem = self._view.heading
        message = pb.WatchConfigResponse(
            version=version, entries=fresh, file_problem=file_problem, revision_problem=revision_problem
        )
        message.time.GetCurrentTime()
        return Encoded(message)
