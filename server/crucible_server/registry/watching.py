"""Who watches the registry: what changes is found out once for all of a tenant, and once more for each filter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from crucible_server.errors import unavailable
from crucible_server.store import ServiceRecord, StoreError

# Of changes that follow each other more closely only the outcome is looked at.
_ROUND_SECONDS = 0.2
_RETRY_SECONDS = 1.0
# How many are woken before others have their turn.
_WAKE_AT_ONCE = 16

log = structlog.get_logger()

Fits = Callable[[ServiceRecord], bool]
Key = tuple[str, bytes]
"""A tenant, and what is asked for there."""


@dataclass(frozen=True, slots=True)
class Change:
    """What came or is otherwise, and the ids of what went; one object for all to whom the same is news."""

    services: Sequence[ServiceRecord]
    gone: Sequence[str]
    encoded: list[Any] = field(default_factory=list)
    """Kept here by whoever encodes it first."""


@dataclass(slots=True)
class _Tombstone:
    came: int
    went: int


class _View:
    """What fits one filter, with the versions at which each came and changed."""

    def __init__(self, fits: Fits) -> None:
        self._fits = fits
        self._services: dict[str, ServiceRecord] = {}
        self._came: dict[str, int] = {}
        self._changed: dict[str, int] = {}
        self._gone: dict[str, _Tombstone] = {}
        self._told: dict[int, Change] = {}
        self.version = 0
        self.readers: dict[object, int] = {}
        """What each watcher has been told."""
        self.waiting: set[asyncio.Future[None]] = set()

    def update(self, changed: Iterable[ServiceRecord], gone: Iterable[str]) -> bool:
        """Takes up what changed among all services; whether it matters here."""
        version = self.version + 1
        is_news = False
        leaving = [service_id for service_id in gone if service_id in self._services]
        for record in changed:
            if self._fits(record):
                is_news = True
                came = self._gone.pop(record.service_id, None)
                self._came.setdefault(record.service_id, version if came is None else came.came)
                self._services[record.service_id] = record
                self._changed[record.service_id] = version
            elif record.service_id in self._services:
                leaving.append(record.service_id)
        for service_id in leaving:
            del self._services[service_id], self._changed[service_id]
            self._gone[service_id] = _Tombstone(self._came.pop(service_id), version)
        if not is_news and not leaving:
            return False
        self.version = version
        self._told.clear()
        oldest = min(self.readers.values(), default=version)
        self._gone = {key: tomb for key, tomb in self._gone.items() if tomb.went > oldest}
        return True

    def since(self, version: int) -> Change:
        """What is news to whoever was told a version; 0 was told nothing."""
        change = self._told.get(version)
        if change is None:
            ids = [service_id for service_id, at in self._changed.items() if at > version]
            gone = [key for key, tomb in self._gone.items() if tomb.came <= version < tomb.went]
            change = self._told[version] = Change([self._services[each] for each in sorted(ids)], gone)
        return change


class _Board:
    """The services that a tenant sees, and who watches them."""

    def __init__(self) -> None:
        self.services: dict[str, ServiceRecord] = {}
        self.version = -1
        self.views: dict[bytes, _View] = {}
        self.reading = asyncio.Lock()

    def update(self, records: Iterable[ServiceRecord]) -> list[_View]:
        """Takes up what there is; the views to which something of it is news."""
        services = {record.service_id: record for record in records}
        changed = [record for key, record in services.items() if _state(self.services.get(key)) != _state(record)]
        gone = [key for key in self.services if key not in services]
        self.services = services
        return [view for view in self.views.values() if view.update(changed, gone)] if changed or gone else []


class Watching:
    """All watches of a registry. Used from one event loop."""

    def __init__(self, read: Callable[[str], Any]) -> None:
        """`read` gives the services that a tenant sees."""
        self._read = read
        self._version = 0
        self._changed = asyncio.Event()
        self._boards: dict[str, _Board] = {}
        self._following: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.count = 0

    def start(self) -> None:
        """Begins to tell of changes."""
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Ends all watches."""
        self._is_stopping = True
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
        for board in self._boards.values():
            for view in board.views.values():
                _wake(view.waiting)

    def changed(self) -> None:
        """Has it look again, soon."""
        self._version += 1
        self._changed.set()

    async def watch(self, key: Key, fits: Fits) -> AsyncGenerator[Change, None]:
        """What fits, then each change of that, without end; `fits` is what the key says. Raises StoreError, and
        ServiceError when the server stops.
        """
        tenant, wanted = key
        self.count += 1
        board = self._boards.setdefault(tenant, _Board())
        reader = object()
        view = board.views.get(wanted)
        if view is None:
            view = board.views[wanted] = _View(fits)
            view.update(board.services.values(), ())
        # Before what is there has been read it is told nothing.
        view.readers[reader] = view.version
        try:
            await self._refresh(tenant, board, self._version)
            told, is_first = 0, True
            while True:
                if self._is_stopping:
                    raise unavailable("the server is stopping; watch again")
                change, view.readers[reader] = view.since(told), view.version
                told = view.version
                if is_first or change.services or change.gone:
                    yield change
                del change
                is_first = False
                if view.version == told and not self._is_stopping:
                    await _sleep(view.waiting)
        finally:
            self.count -= 1
            del view.readers[reader]
            if not view.readers:
                del board.views[wanted]
            if not board.views:
                self._boards.pop(tenant, None)

    async def _follow(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            pause = _ROUND_SECONDS
            for tenant, board in list(self._boards.items()):
                try:
                    await self._refresh(tenant, board, self._version)
                except StoreError as error:
                    log.warning("services_not_read", reason=error.message)
                    self._changed.set()
                    pause = _RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _refresh(self, tenant: str, board: _Board, version: int) -> None:
        """Brings a board up to a version of the registry, unless it is."""
        async with board.reading:
            if board.version >= version:
                return
            version = self._version
            news = board.update(await self._read(tenant))
            board.version = version
        for view in news:
            waiting = list(view.waiting)
            for first in range(0, len(waiting), _WAKE_AT_ONCE):
                _wake(waiting[first : first + _WAKE_AT_ONCE])
                await asyncio.sleep(0)


def _state(record: ServiceRecord | None) -> tuple[str, int, int] | None:
    # What a heartbeat alone changes is no news.
    return None if record is None else (record.tenant, record.register_time, record.status)


def _wake(waiting: Iterable[asyncio.Future[None]]) -> None:
    for future in list(waiting):
        if not future.done():
            future.set_result(None)


async def _sleep(waiting: set[asyncio.Future[None]]) -> None:
    future = asyncio.get_running_loop().create_future()
    waiting.add(future)
    try:
        await future
    finally:
        waiting.discard(future)
