"""Subscriptions: who follows the feed, from where, and until when."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator

from crucible.v1 import event_service_pb2 as pb
from crucible_server.config import EventsConfig
from crucible_server.errors import ErrorKind, ServiceError, invalid, unavailable
from crucible_server.events import wire
from crucible_server.events.feed import Feed, Reader
from crucible_server.events.flight import Flight
from crucible_server.policy.principals import Caller
from crucible_server.store import EventSelection

SubscriptionMessage = pb.SubscribeResponse | wire.EncodedBatch


class Subscription(Reader):
    """One subscriber's stream."""

    def __init__(self, caller: Caller, selection: EventSelection, position: int) -> None:
        super().__init__(selection, position)
        self.caller = caller
        self.subscription_id = f"sub-{secrets.token_hex(16)}"


class Subscriptions:
    """All subscriptions of this server."""

    def __init__(self, feed: Feed, config: EventsConfig) -> None:
        self._feed = feed
        self._config = config
        self._flight = Flight()
        self._open: dict[str, Subscription] = {}
        self._of_principal: Counter[tuple[str, str]] = Counter()
        self._bookmarking: asyncio.Task[None] | None = None
        self._is_stopping = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def lag(self) -> int:
        """Events that the slowest has still to look at. May be read in any thread."""
        last = self._feed.last
        return max((last - each.position for each in list(self._open.values()) if not each.is_idle), default=0)

    def start(self) -> None:
        """Begins to send bookmarks."""
        self._bookmarking = asyncio.get_running_loop().create_task(self._bookmark())

    async def stop(self) -> None:
        """Lets every subscriber have what is in memory, then ends it."""
        self._is_stopping = True
        for subscription in self._open.values():
            subscription.wake()
        if self._bookmarking is not None:
            self._bookmarking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._bookmarking

    async def follow(
        self, caller: Caller, selection: EventSelection, after: int | None
    ) -> AsyncIterator[SubscriptionMessage]:
        """The messages of a subscription, without end unless somebody ends it.

        Raises StoreError, and ServiceError: EVENTS_EXPIRED when what comes after `after` is kept no longer, also while
        it is on its way; VALIDATION_ERROR, RESOURCE_EXCEEDED; UNAVAILABLE when the server stops.
        """
        self._admit(caller)
        self._of_principal[caller.tenant, caller.principal] += 1
        subscription = None
        try:
            bounds = await self._feed.bounds()
            position = bounds.newest if after is None else after
            if after == 0:
                position = bounds.oldest - 1
            if position > bounds.newest:
                raise invalid(
                    "after_sequence",
                    f"expected at most {bounds.newest}, the newest event, got {position}: it belongs to another server",
                )
            if position + 1 < bounds.oldest:
                raise expired(position, bounds.oldest)
            subscription = Subscription(caller, selection, position)
            self._open[subscription.subscription_id] = subscription
            yield pb.SubscribeResponse(
                started=pb.SubscriptionStarted(
                    subscription_id=subscription.subscription_id,
                    after_sequence=position,
                    last_sequence=bounds.newest,
                    oldest_sequence=bounds.oldest,
                )
            )
            async for message in self._messages(subscription):
                yield message
        finally:
            self._of_principal[caller.tenant, caller.principal] -= 1
            if not self._of_principal[caller.tenant, caller.principal]:
                del self._of_principal[caller.tenant, caller.principal]
            if subscription is not None:
                self._open.pop(subscription.subscription_id, None)

    def end(self, caller: Caller, subscription_id: str) -> None:
        """Ends a subscription of the caller. Raises ServiceError (SUBSCRIPTION_NOT_FOUND)."""
        subscription = self._open.get(subscription_id)
        if subscription is None or (subscription.caller.tenant, subscription.caller.principal) != (
            caller.tenant,
            caller.principal,
        ):
            raise ServiceError(
                ErrorKind.ERROR_KIND_SUBSCRIPTION_NOT_FOUND,
                f"{caller.principal!r} has no subscription {subscription_id[:80]!r} at this server; it may have ended",
            )
        del self._open[subscription_id]
        subscription.close()

    async def _messages(self, subscription: Subscription) -> AsyncIterator[SubscriptionMessage]:
        feed = self._feed
        has_been_live = is_behind = False
        while not subscription.is_closed:
            if subscription.position >= feed.last:
                has_been_live, is_behind = True, False
                if self._is_stopping:
                    raise unavailable("the server is stopping; subscribe again after the last sequence number")
                await feed.wait(subscription)
                if subscription.position >= feed.last and subscription.position > subscription.told:
                    subscription.told = subscription.position
                    yield pb.SubscribeResponse(bookmark=pb.SubscriptionBookmark(sequence=subscription.position))
                continue
            is_held = feed.holds(subscription.position)
            if not is_held and has_been_live and not is_behind:
                is_behind = True
                yield pb.SubscribeResponse(
                    lagged=pb.SubscriptionLagged(
                        events=feed.last - subscription.position, after_sequence=subscription.position
                    )
                )
            batch, size = await (self._held(subscription) if is_held else self._stored(subscription))
            try:
                if batch is not None:
                    yield batch
                else:
                    # Long stretches with nothing of the filter must not keep the event loop.
                    await asyncio.sleep(0)
            finally:
                self._flight.give_back(size)

    async def _held(self, subscription: Subscription) -> tuple[wire.EncodedBatch | None, int]:
        """The next batch from memory, and how much of the flight it has taken."""
        entries = self._feed.take(subscription, self._flight.share(len(self._open)))
        size = sum(map(len, entries))
        # Those who wait here hold no copy.
        await self._flight.take(size)
        return wire.EncodedBatch(entries) if entries else None, size

    async def _stored(self, subscription: Subscription) -> tuple[wire.EncodedBatch | None, int]:
        """The next batch from the store, likewise."""
        share, before = self._flight.share(len(self._open)), subscription.position
        await self._flight.take(share)
        taken = share
        try:
            entries, oldest = await self._feed.read(subscription, share)
            if before + 1 < oldest:
                raise expired(before, oldest)
            size = sum(map(len, entries))
            # What is larger than the share is one event.
            self._flight.give_back(share - size)
            taken = size
            return wire.EncodedBatch(entries) if entries else None, size
        except BaseException:
            self._flight.give_back(taken)
            raise

    def _admit(self, caller: Caller) -> None:
        if self._is_stopping:
            raise unavailable("the server is stopping and takes no subscription")
        config = self._config
        in_all = sum(self._of_principal.values())
        of_one = self._of_principal[caller.tenant, caller.principal]
        for count, most, name in (
            (in_all, config.max_subscriptions, "max_subscriptions"),
            (of_one, config.max_subscriptions_per_principal, "max_subscriptions_per_principal"),
        ):
            if count >= most:
                raise ServiceError(
                    ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
                    f"expected at most {most} subscriptions at once (events.{name}); end some with Unsubscribe",
                    retry_after=1.0,
                    quota=name,
                )

    async def _bookmark(self) -> None:
        while True:
            await asyncio.sleep(self._config.bookmark_interval)
            for subscription in list(self._open.values()):
                if subscription.is_idle and self._feed.last > subscription.told:
                    subscription.wake()


def expired(position: int, oldest: int) -> ServiceError:
    """The error of a position after which events have been deleted."""
    return ServiceError(
        ErrorKind.ERROR_KIND_EVENTS_EXPIRED,
        f"after_sequence: events after {position} have been deleted for their age, number or size, or are of before "
        f"the store was restored from a backup; the oldest that is kept is {oldest}. Resume after {oldest - 1}, or "
        "with 0 from the oldest; those in between are lost",
        metadata={"oldest_sequence": str(oldest)},
    )
