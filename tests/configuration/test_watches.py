"""Many who watch the configuration: bounded, and told of a change from one answer, with turns for others in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

import crucible
from crucible.v1 import config_pb2
from crucible.v1 import config_service_pb2 as pb
from crucible.v1.config_service_pb2_grpc import ConfigServiceStub
from crucible_server.configuration.watches import MAX_WATCHES, MAX_WATCHES_PER_PRINCIPAL, View, Watches
from crucible_server.encoded import Encoded
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.policy.principals import Caller
from tests.configuration.conftest import TIMEOUT, Configured, wait_until

ANNA = Caller("tenant", "anna")
ONE, BOTH = frozenset(("one",)), frozenset(("one", "two"))


class Watched:
    """Two keys, and how often they were looked at."""

    def __init__(self) -> None:
        self.values = {"one": "a", "two": "b"}
        self.version = 0
        self.looks = 0
        self.watches = Watches(self._look)

    def _look(self) -> View:
        self.looks += 1
        entries = [config_pb2.ConfigEntry(key=key, origin=value) for key, value in self.values.items()]
        return View(self.version, "", "", entries)

    def set(self, key: str, value: str) -> None:
        self.values[key] = value
        self.version += 1
        self.watches.change()

    async def begin(self, count: int, caller: Caller = ANNA) -> list[AsyncIterator[Encoded]]:
        watching = [self.watches.follow(caller, (ONE, BOTH)[number % 2]) for number in range(count)]
        for each in watching:
            await anext(each)
        return watching


def read(news: Encoded) -> pb.WatchConfigResponse:
    return pb.WatchConfigResponse.FromString(news.SerializeToString())


async def test_one_answer_for_all_who_watch_the_same() -> None:
    watched = Watched()
    watching = await watched.begin(100)
    waiting = [asyncio.ensure_future(anext(each)) for each in watching]
    await asyncio.sleep(0)
    assert watched.looks == 1
    watched.set("two", "c")
    async with asyncio.timeout(TIMEOUT):
        told = await asyncio.gather(*waiting)
    assert watched.looks == 2
    assert len({id(each) for each in told}) == 2
    assert [[entry.key for entry in read(each).entries] for each in told[:2]] == [[], ["two"]]
    assert {read(each).version for each in told} == {1}


async def test_others_have_their_turn_while_many_are_told() -> None:
    watched = Watched()
    watching = await watched.begin(200)
    told = 0

    async def listen(news: AsyncIterator[Encoded]) -> None:
        nonlocal told
        await anext(news)
        told += 1

    listening = [asyncio.create_task(listen(each)) for each in watching]
    await asyncio.sleep(0)
    watched.set("one", "c")
    largest = before = 0
    async with asyncio.timeout(TIMEOUT):
        while told < 200:
            await asyncio.sleep(0)
            largest, before = max(largest, told - before), told
        await asyncio.gather(*listening)
    assert 0 < largest <= 32


async def test_one_that_comes_late_is_told_what_it_missed_at_once() -> None:
    watched = Watched()
    (_, news) = await watched.begin(2)
    for value in "cde":
        watched.set("one", value)
        await asyncio.sleep(0.01)
    response = read(await anext(news))
    assert (response.version, [(each.key, each.origin) for each in response.entries]) == (3, [("one", "e")])


async def test_how_many_may_watch() -> None:
    watched = Watched()
    own = await watched.begin(MAX_WATCHES_PER_PRINCIPAL)
    with pytest.raises(ServiceError, match="of one principal") as caught:
        await watched.begin(1)
    assert (caught.value.kind, caught.value.quota) == (ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED, "config_watches")
    await watched.begin(MAX_WATCHES - len(own), Caller("tenant", "berta"))
    with pytest.raises(ServiceError, match="expected at most 1000 calls"):
        await watched.begin(1, Caller("tenant", "carla"))
    await own[0].aclose()  # type: ignore[attr-defined]
    await watched.begin(1)


def test_calls_that_end_make_room(configured: Configured) -> None:
    """Three times as many as may watch, one after the other."""
    stub: Any = ConfigServiceStub(configured.client._channel)

    def begin() -> bool:
        call = stub.WatchConfig(pb.WatchConfigRequest(keys=["listen"]))
        try:
            assert len(next(call).entries) == 1
        except grpc.RpcError:
            assert call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            return False
        calls.append(call)
        return True

    for spares in range(3):
        calls: list[Any] = []
        for _ in range(MAX_WATCHES_PER_PRINCIPAL):
            # A cancelled call is known as such a moment later.
            wait_until(begin, "there is no room")
        assert not begin()
        assert configured.client.update_config({"spare_children": spares}).config["spare_children"] == spares
        for call in calls:
            call.cancel()


def test_names_in_a_call_are_bounded(configured: Configured) -> None:
    for keys in (["engine"] * 501, ["x" * 100_000]):
        with pytest.raises(crucible.ValidationError):
            configured.client.config(*keys)
