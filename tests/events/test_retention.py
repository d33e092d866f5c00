"""What events hold together is bounded, on either database, and whoever deletes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import crucible
from crucible_server.config import EventsConfig
from crucible_server.events.retention import EventRetention
from crucible_server.store import EventDraft, Store
from tests.conftest import StartServer
from tests.postgresql import PostgresServer, database_of

NOW = 4_000_000_000_000_000_000
MIB = 1024 * 1024


def drafts(count: int, size: int) -> list[EventDraft]:
    """Events that do not grow old."""
    return [EventDraft("local", "script_cached", "local", "", NOW, None, b"x" * size)] * count


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        opened = await Store.open(f"sqlite:///{tmp_path}/crucible.db")
        yield opened
        await opened.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with database_of(server) as name:
        opened = await Store.open(server.url(name), identity=tmp_path / "server.id")
        yield opened
        await opened.close()


async def held(store: Store) -> int:
    """Bytes of all events."""
    bounds = await store.event_bounds()
    return await store.event_bytes(0, bounds.newest)


async def test_what_events_hold_is_bounded(store: Store) -> None:
    retention = EventRetention(store, EventsConfig(max_stored_bytes=MIB))  # type: ignore[arg-type]
    assert await retention.sweep() == 0
    for _ in range(5):
        await store.append_events(drafts(40, 50_000))
        assert await retention.sweep() > 0
        assert MIB - 50_000 < await held(store) <= MIB
    assert await retention.sweep() == 0
    # Another server has deleted some, and others came.
    await store.expire_events(0, 5)
    await store.append_events(drafts(10, 50_000))
    assert await retention.sweep() == 0
    await store.append_events(drafts(400, 100))
    assert await retention.sweep() == 0
    await store.append_events(drafts(20, 50_000))
    await retention.sweep()
    assert MIB - 50_000 < await held(store) <= MIB
    # Measured from what was there before.
    again = EventRetention(store, EventsConfig(max_stored_bytes=MIB))  # type: ignore[arg-type]
    assert await again.sweep() == 0


def test_a_subscriber_is_told_that_events_went_for_their_size(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_EVENTS__MAX_STORED_BYTES="1MiB", CRUCIBLE_EVENTS__RETENTION="5s")
    with crucible.Client(server.address) as client:
        first = client.emit("a.b", b"x" * 60_000).sequence
        for _ in range(40):
            client.emit("a.b", b"x" * 60_000)
        while first in [event.sequence for event in client.events()]:
            pass
        with pytest.raises(crucible.EventsExpired):
            client.subscribe(after=first)
