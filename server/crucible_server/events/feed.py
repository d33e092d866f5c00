"""The newest events in memory, from which subscribers are served; who falls behind reads the store.

No subscriber has a queue: each has a position, so that one that does not read costs the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from itertools import islice

import structlog

from crucible_server.events import wire
from crucible_server.store import (
    Announcement,
    EventBounds,
    EventSelection,
    EventsStored,
    Missed,
    Store,
    StoredEvent,
    StoreError,
)

_MAX_EVENTS = 20_000
_MAX_BYTES = 32 * 1024 * 1024
_BATCH_EVENTS = 256
# What is read of the store at once when another process has stored it.
_LOOK_BYTES = 4 * 1024 * 1024
# Groups may be told in another order than they committed in; one that is still missing then is read from the store.
_GAP_SECONDS = 0.05
# Topics that are no types: what has no filter by type, and all types that clients gave.
_ANY, _CUSTOM = "", "*"

log = structlog.get_logger()


class Reader:
    """A place in the feed. All events of the selection up to `position` have been read."""

    def __init__(self, selection: EventSelection, position: int) -> None:
        self.selection = selection
        self.position = position
        self.told = position
        """What the subscriber can resume from, as far as it knows: the last that it was sent."""
        self.is_closed = False
        self.is_idle = False
        """It waits, and has read everything that is for it."""
        self._woken: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Ends its waiting."""
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    def close(self) -> None:
        """Has it read no more."""
        self.is_closed = True
        self.wake()

    async def sleep(self) -> None:
        """Waits until it is woken."""
        self._woken = asyncio.get_running_loop().create_future()
        try:
            await self._woken
        finally:
            self._woken = None


class Feed:
    """Follows what the store commits. Used from one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: deque[tuple[StoredEvent, bytes]] = deque()
        self._bytes = 0
        self._early: dict[int, list[StoredEvent]] = {}
        self._gap_timer: asyncio.TimerHandle | None = None
        self._is_following = False
        self._is_behind = False
        self._filling: asyncio.Task[None] | None = None
        self._idle: dict[str, set[Reader]] = {}
        # One at a time: those who catch up leave a reader of the store to everybody else.
        self._catching_up = asyncio.Semaphore(1)
        self.last = 0
        """The newest sequence number that is told."""
        self.seen = 0
        """Events that came since the start."""

    async def start(self) -> None:
        """Begins where the store is. Raises StoreError."""
        self.last = (await self._store.event_bounds()).newest
        self._is_following = True
        self._store.on_events = self._committed
        self._store.listen(self._heard)

    async def stop(self) -> None:
        """Follows no longer."""
        self._is_following = False
        self._store.on_events = lambda _: None
        if self._gap_timer is not None:
            self._gap_timer.cancel()
        if self._filling is not None:
            with contextlib.suppress(asyncio.CancelledError):
                self._filling.cancel()
                await self._filling

    async def bounds(self) -> EventBounds:
        """What is kept. Raises StoreError."""
        bounds = await self._store.event_bounds()
        return EventBounds(bounds.oldest, max(bounds.newest, self.last))

    def holds(self, position: int) -> bool:
        """Whether all that comes after a position is in memory."""
        return position + len(self._entries) >= self.last

    def take(self, reader: Reader, max_bytes: int) -> list[bytes]:
        """The next events of a reader whose position is held, as parts of a batch; moves it on.

        They have `max_bytes` at most, unless the first alone has more.
        """
        skipped = len(self._entries) - (self.last - reader.position)
        found: list[bytes] = []
        size = 0
        admits = reader.selection.admits
        for event, entry in islice(self._entries, skipped, skipped + _BATCH_EVENTS):
            if admits(event):
                size += len(entry)
                if found and size > max_bytes:
                    break
                found.append(entry)
                reader.told = event.sequence
            reader.position = event.sequence
        return found

    async def read(self, reader: Reader, max_bytes: int) -> tuple[list[bytes], int]:
        """The same from the store, if they are kept still; and the oldest that is kept. Raises StoreError."""
        async with self._catching_up:
            page = await self._store.events_after(reader.selection, reader.position, _BATCH_EVENTS, max_bytes)
        found: list[bytes] = []
        if reader.position + 1 < page.bounds.oldest:
            return found, page.bounds.oldest
        size = 0
        for event in page:
            entry = wire.entry(event)
            size += len(entry)
            if found and size > max_bytes:
                reader.position = reader.told
                break
            found.append(entry)
            reader.told = event.sequence
        else:
            reader.position = page.position
        return found, page.bounds.oldest

    async def wait(self, reader: Reader) -> None:
        """Waits until there is something for a reader that has read everything, or it is woken."""
        topics = _topics(reader.selection)
        for topic in topics:
            self._idle.setdefault(topic, set()).add(reader)
        reader.is_idle = True
        try:
            await reader.sleep()
        finally:
            for topic in topics:
                self._idle[topic].discard(reader)
                if not self._idle[topic]:
                    del self._idle[topic]
            if reader.is_idle:
                # Nothing was for it, or it would have been woken for that.
                reader.is_idle = False
                reader.position = max(reader.position, self.last)

    def _committed(self, events: list[StoredEvent]) -> None:
        first = events[0].sequence
        if first != self.last + 1:
            if first > self.last:
                self._early[first] = events
                self._expect_gap()
            return
        self._append(events)
        while (early := self._early.pop(self.last + 1, None)) is not None:
            self._append(early)
            events = events + early
        self._wake(events)

    def _append(self, events: list[StoredEvent]) -> None:
        for event in events:
            entry = wire.entry(event)
            self._entries.append((event, entry))
            self._bytes += len(entry)
        self.last = events[-1].sequence
        self.seen += len(events)
        while len(self._entries) > _MAX_EVENTS or self._bytes > _MAX_BYTES:
            _, entry = self._entries.popleft()
            self._bytes -= len(entry)

    def _skip(self, position: int) -> None:
        # They were deleted before they came here. Who waits for them is told that by the store.
        self._entries.clear()
        self._bytes = 0
        self.last = position
        for readers in self._idle.values():
            for reader in readers:
                reader.is_idle = False
                reader.wake()

    def _wake(self, events: list[StoredEvent]) -> None:
        # Only those who wait for such events are looked at, however many others there are.
        topics = {topic for event in events for topic in (_ANY, event.type, _CUSTOM if event.event_id else _ANY)}
        for topic in topics & self._idle.keys():
            for reader in self._idle[topic]:
                if reader.is_idle and any(map(reader.selection.admits, events)):
                    # All before these was not for it.
                    reader.is_idle = False
                    reader.position = max(reader.position, events[0].sequence - 1)
                    reader.wake()

    def _heard(self, announcement: Announcement) -> None:
        match announcement:
            case EventsStored(up_to):
                # Those of this server are here already, or will be in a moment.
                is_news = up_to > self.last
            case _:
                is_news = isinstance(announcement, Missed)
        if is_news and self._is_following:
            self._is_behind = True
            if self._filling is None:
                self._filling = asyncio.get_running_loop().create_task(self._fill())

    def _expect_gap(self) -> None:
        if self._gap_timer is None and self._filling is None:
            self._gap_timer = asyncio.get_running_loop().call_later(_GAP_SECONDS, self._fill_later)

    def _fill_later(self) -> None:
        self._gap_timer = None
        if self._early or self._is_behind:
            self._filling = asyncio.get_running_loop().create_task(self._fill())

    async def look(self) -> None:
        """Takes up what another process has stored. Raises StoreError."""
        while True:
            last = self.last
            page = await self._store.events_after(None, last, _BATCH_EVENTS, _LOOK_BYTES)
            if page.bounds.oldest > self.last + 1:
                self._skip(page.bounds.oldest - 1)
            for event in page.events:
                if event.sequence == self.last + 1:
                    self._committed([event])
            if self.last == last:
                return

    async def _fill(self) -> None:
        try:
            while True:
                self._is_behind = False
                await self.look()
                if not self._is_behind:
                    break
            self._early = {first: events for first, events in self._early.items() if first > self.last}
        except StoreError as error:
            self._is_behind = True
            log.warning("events_delayed", reason=error.message)
        finally:
            self._filling = None
            if (self._early or self._is_behind) and self._is_following:
                self._expect_gap()


def _topics(selection: EventSelection) -> list[str]:
    """By what a reader is found that waits for such events."""
    topics = [*selection.types, *([_CUSTOM] if selection.has_custom else [])]
    return topics or [_ANY]
