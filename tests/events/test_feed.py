"""The feed: what comes in another order than it was committed, and readers who fall behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crucible.v1 import event_service_pb2 as pb
from crucible_server.config import EventsConfig
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.events import feed as feeds
from crucible_server.events.feed import Feed
from crucible_server.events.subscriptions import SubscriptionMessage, Subscriptions
from crucible_server.policy.principals import LOCAL
from crucible_server.store import EventDraft, EventSelection, Store, StoredEvent

EVERYTHING = EventSelection("local", True, frozenset(), False, frozenset(), "", "")
CONFIG = EventsConfig(bookmark_interval=0.05)


def drafts(count: int, type_name: str = "script_cached") -> list[EventDraft]:
    """Events of the tenant."""
    return [EventDraft("local", type_name, "local", "", 1, None, b"")] * count


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite:///{tmp_path}/crucible.db")
    yield store
    await store.close()


@pytest.fixture
async def feed(store: Store) -> AsyncIterator[Feed]:
    feed = Feed(store)
    await feed.start()
    yield feed
    await feed.stop()


@pytest.fixture
async def subscriptions(feed: Feed) -> AsyncIterator[Subscriptions]:
    subscriptions = Subscriptions(feed, CONFIG)
    subscriptions.start()
    yield subscriptions
    await subscriptions.stop()


async def take(messages: AsyncIterator[SubscriptionMessage]) -> pb.SubscribeResponse:
    """The next message, as a client reads it."""
    message = await asyncio.wait_for(anext(messages), 10)
    return pb.SubscribeResponse.FromString(message.SerializeToString())


async def sequences(messages: AsyncIterator[SubscriptionMessage], last: int) -> list[int]:
    """The numbers of the events up to one."""
    found: list[int] = []
    while not found or found[-1] < last:
        found += [event.sequence for event in (await take(messages)).batch.events]
    return found


async def test_groups_that_are_told_out_of_order_are_delivered_in_order(
    store: Store, feed: Feed, subscriptions: Subscriptions
) -> None:
    told: list[list[StoredEvent]] = []
    deliver, store.on_events = store.on_events, told.append
    for _ in range(4):
        await store.append_events(drafts(2))
    messages = subscriptions.follow(LOCAL, EVERYTHING, 0)
    assert (await take(messages)).started.after_sequence == 0
    for group in (told[2], told[1], told[0]):
        deliver(group)
    assert await sequences(messages, 6) == [1, 2, 3, 4, 5, 6]
    deliver(told[3])
    deliver(told[3])
    assert await sequences(messages, 8) == [7, 8]


async def test_a_group_that_is_never_told_is_read_from_the_store(
    store: Store, feed: Feed, subscriptions: Subscriptions
) -> None:
    messages = subscriptions.follow(LOCAL, EVERYTHING, None)
    await take(messages)
    deliver, store.on_events = store.on_events, lambda _: None
    await store.append_events(drafts(3))
    store.on_events = deliver
    await store.append_events(drafts(1))
    assert await sequences(messages, 4) == [1, 2, 3, 4]


async def test_what_another_process_stored_is_taken_up(store: Store, feed: Feed, subscriptions: Subscriptions) -> None:
    messages = subscriptions.follow(LOCAL, EVERYTHING, None)
    await take(messages)
    store.on_events = lambda _: None
    await store.append_events(drafts(600))
    await feed.look()
    assert await sequences(messages, 600) == list(range(1, 601))


async def test_what_another_process_stored_and_deleted_is_told_as_lost(
    store: Store, feed: Feed, subscriptions: Subscriptions
) -> None:
    await store.append_events(drafts(1))
    messages = subscriptions.follow(LOCAL, EVERYTHING, None)
    await take(messages)
    waiting = asyncio.create_task(take(messages))
    await asyncio.sleep(0)
    deliver, store.on_events = store.on_events, lambda _: None
    await store.append_events(drafts(10))
    assert (await store.expire_events(0, 4))[0] == 7
    store.on_events = deliver
    await feed.look()
    assert feed.last == 11
    assert (await waiting).lagged.events == 10
    with pytest.raises(ServiceError) as raised:
        await take(messages)
    assert raised.value.kind == ErrorKind.ERROR_KIND_EVENTS_EXPIRED
    # The others go on with what there is.
    fresh = subscriptions.follow(LOCAL, EVERYTHING, 0)
    assert (await take(fresh)).started.after_sequence == 7
    assert await sequences(fresh, 11) == [8, 9, 10, 11]
    await store.append_events(drafts(1))
    assert await sequences(fresh, 12) == [12]


async def test_who_is_too_slow_is_told_and_misses_nothing(
    store: Store, feed: Feed, subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_MAX_EVENTS", 100)
    messages = subscriptions.follow(LOCAL, EVERYTHING, None)
    await take(messages)
    await store.append_events(drafts(1))
    assert await sequences(messages, 1) == [1]
    # Waits for more, so that it is known to have been up to date.
    waiting = asyncio.create_task(take(messages))
    await asyncio.sleep(0)
    for _ in range(10):
        await store.append_events(drafts(50))
    first = (await waiting).batch.events
    lagged = (await take(messages)).lagged
    assert lagged.after_sequence == first[-1].sequence
    assert lagged.events == 501 - first[-1].sequence
    assert await sequences(messages, 501) == list(range(first[-1].sequence + 1, 502))


async def test_who_begins_far_back_is_not_slow(
    store: Store, feed: Feed, subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_MAX_EVENTS", 100)
    for _ in range(10):
        await store.append_events(drafts(100))
    messages = subscriptions.follow(LOCAL, EVERYTHING, 17)
    await take(messages)
    assert await sequences(messages, 1000) == list(range(18, 1001))


async def test_whose_events_are_deleted_under_way_is_told_the_oldest(
    store: Store, feed: Feed, subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_MAX_EVENTS", 10)
    await store.append_events(drafts(100))
    messages = subscriptions.follow(LOCAL, EVERYTHING, 0)
    await take(messages)
    while (await store.expire_events(0, 20))[0]:
        pass
    with pytest.raises(ServiceError) as raised:
        await take(messages)
    assert raised.value.kind == ErrorKind.ERROR_KIND_EVENTS_EXPIRED
    assert raised.value.metadata == {"oldest_sequence": "81"}
    with pytest.raises(ServiceError, match="Resume after 80"):
        await take(subscriptions.follow(LOCAL, EVERYTHING, 79))
    assert (await take(subscriptions.follow(LOCAL, EVERYTHING, 80))).started.after_sequence == 80
    assert (await take(subscriptions.follow(LOCAL, EVERYTHING, 0))).started.after_sequence == 80


async def test_a_bookmark_says_how_far_it_is_when_nothing_fits(
    store: Store, feed: Feed, subscriptions: Subscriptions
) -> None:
    wanted = EventSelection("local", True, frozenset(("a.b",)), False, frozenset(), "", "")
    messages = subscriptions.follow(LOCAL, wanted, None)
    await take(messages)
    await store.append_events(drafts(5))
    assert (await take(messages)).bookmark.sequence == 5
    waiting = asyncio.create_task(take(messages))
    await asyncio.sleep(0.2)
    await store.append_events(drafts(1, "a.b"))
    # Nothing in between: it had been told already.
    assert [event.sequence for event in (await waiting).batch.events] == [6]


async def test_subscriptions_are_bounded_for_one_and_for_all(feed: Feed) -> None:
    config = EventsConfig(max_subscriptions=3, max_subscriptions_per_principal=2)
    subscriptions = Subscriptions(feed, config)
    first, second = (subscriptions.follow(LOCAL, EVERYTHING, None) for _ in range(2))
    await take(first)
    await take(second)
    with pytest.raises(ServiceError) as raised:
        await take(subscriptions.follow(LOCAL, EVERYTHING, None))
    assert raised.value.quota == "max_subscriptions_per_principal"
    await first.aclose()  # type: ignore[attr-defined]
    third = subscriptions.follow(LOCAL, EVERYTHING, None)
    await take(third)
    assert len(subscriptions) == 2


async def test_a_stop_delivers_what_there_is_and_ends_them(
    store: Store, feed: Feed, subscriptions: Subscriptions
) -> None:
    messages = subscriptions.follow(LOCAL, EVERYTHING, 0)
    await take(messages)
    await store.append_events(drafts(3))
    await subscriptions.stop()
    assert await sequences(messages, 3) == [1, 2, 3]
    with pytest.raises(ServiceError) as raised:
        await take(messages)
    assert raised.value.kind == ErrorKind.ERROR_KIND_UNAVAILABLE
