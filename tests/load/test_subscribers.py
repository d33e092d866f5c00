"""Many subscribers, a third of which come and go: each sees every event of its filter once and in order."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from crucible.v1 import event_pb2
from crucible.v1 import event_service_pb2 as pb
from crucible.v1.event_service_pb2_grpc import EventServiceStub
from tests.lengths import LONG, TIMEOUT
from tests.servers import RunningServer

if TYPE_CHECKING:
    from crucible.v1.event_service_pb2_grpc import EventServiceAsyncStub

SUBSCRIBERS, EVENTS = (200, 50_000) if LONG else (40, 4_000)
TYPES = [f"load.kind-{number}" for number in range(20)]
BATCH = 50
SETTINGS = {"CRUCIBLE_EVENTS__MAX_EMITTED_PER_MINUTE": "100000000"}

pytestmark = pytest.mark.timeout(TIMEOUT)


class Follower:
    """One subscriber, on a connection of its own; a restless one breaks it now and then, in the middle of a batch."""

    def __init__(self, address: str, types: list[str], luck: random.Random, restless: bool) -> None:
        self.types = types
        self.seen: list[int] = []
        self.breaks = 0
        self.lags = 0
        self._address = address
        self._luck = luck
        self._restless = restless
        self.after = 0

    async def follow(self) -> None:
        """Reads without end."""
        while True:
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(self._address, options) as channel:
                await self._follow_once(EventServiceStub(channel))
            if self._restless:
                self.breaks += 1
                await asyncio.sleep(self._luck.random() * 0.2)

    async def _follow_once(self, stub: EventServiceAsyncStub) -> None:
        left = self._luck.randrange(1, 400) if self._restless else None
        request = pb.SubscribeRequest(filter=event_pb2.EventFilter(types=self.types), after_sequence=self.after)
        call = stub.Subscribe(request)
        async for response in call:
            kind = response.WhichOneof("message")
            self.lags += kind == "lagged"
            if kind == "bookmark":
                self.after = response.bookmark.sequence
            for event in response.batch.events:
                self.seen.append(event.sequence)
                self.after = event.sequence
                if left is not None and (left := left - 1) <= 0:
                    call.cancel()
                    return


async def emit(address: str, luck: random.Random) -> list[tuple[int, str]]:
    """Emits events of all types, as fast as they are taken; the sequence and type of each."""
    sent: list[tuple[int, str]] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = EventServiceStub(channel)
        for _ in range(EVENTS // BATCH):
            types = [luck.choice(TYPES) for _ in range(BATCH)]
            response = await stub.Emit(pb.EmitRequest(events=[pb.NewEvent(type=name) for name in types]))
            sent += zip((each.sequence for each in response.events), types, strict=True)
    return sent


async def test_every_subscriber_sees_each_event_once_and_in_order(tmp_path: Path) -> None:
    luck = random.Random(7)
    settings = {**SETTINGS, "CRUCIBLE_EVENTS__BOOKMARK_INTERVAL": "0.5"}
    with RunningServer(tmp_path, settings) as server:
        followers = [
            Follower(
                server.address,
                [*TYPES] if number % 40 == 0 else luck.sample(TYPES, luck.randrange(1, 4)),
                random.Random(number),
                restless=number % 3 == 0,
            )
            for number in range(SUBSCRIBERS)
        ]
        following = [asyncio.create_task(follower.follow()) for follower in followers]
        sent = await emit(server.address, luck)
        # Those for whom the last is nothing learn by a bookmark that there is no more.
        while any(follower.after < sent[-1][0] for follower in followers):
            assert not any(task.done() for task in following)
            await asyncio.sleep(0.1)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        assert server.process is not None
        assert server.process.poll() is None
    assert len(sent) == EVENTS
    for follower in followers:
        expected = [sequence for sequence, name in sent if name in follower.types]
        assert follower.seen == expected
    assert sum(follower.breaks for follower in followers) > SUBSCRIBERS / 3
