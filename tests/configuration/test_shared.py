"""Several servers on one store share what calls have set; and who counts as an operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crucible_server.api.handlers import _is_near
from crucible_server.config import load_config
from crucible_server.configuration import Configuration, ConfigurationChange
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store that two configurations share, as those of two servers would."""
    opened = await Store.open(f"sqlite:///{tmp_path}/crucible.db")
    yield opened
    await opened.close()


@pytest.fixture
async def pair(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Configuration, Configuration]]:
    """The configurations of two servers."""
    both = []
    for _ in range(2):
        configuration = Configuration(load_config(None, {"data_dir": tmp_path}))
        await configuration.open(store)
        configuration.start()
        both.append(configuration)
    yield both[0], both[1]
    for configuration in both:
        await configuration.stop()


async def set_(configuration: Configuration, value: int, expected: int | None = None) -> None:
    await configuration.update(
        {"spare_children": value}, [], expected=expected, principal="somebody", comment="", validate_only=False
    )


async def test_the_others_take_it_up(pair: tuple[Configuration, Configuration]) -> None:
    one, other = pair
    told: list[ConfigurationChange] = []
    applied: list[int] = []
    other.on_change.append(told.append)
    other.appliers.append(lambda config: applied.append(config.spare_children))
    await set_(one, 7)
    async with asyncio.timeout(10):
        while other.config.spare_children != 7:
            await asyncio.sleep(0.05)
    assert (other.version, applied) == (1, [7])
    (change,) = told
    assert (change.version, change.cause, change.principal) == (1, "call", "somebody")
    assert [(each.key.path, each.old, each.new) for each in change.keys] == [("spare_children", 2, 7)]


async def test_a_version_that_another_server_has_overtaken(pair: tuple[Configuration, Configuration]) -> None:
    one, other = pair
    await set_(one, 3, expected=0)
    with pytest.raises(ServiceError) as caught:
        await set_(other, 4, expected=0)
    assert caught.value.kind == ErrorKind.ERROR_KIND_VERSION_CONFLICT
    assert other.config.spare_children == 3


async def test_both_at_once(pair: tuple[Configuration, Configuration], store: Store) -> None:
    await asyncio.gather(*(set_(each, value) for value in range(10, 20) for each in pair))
    # Each value was set by both; whoever came second changed nothing, or changed back what had come between.
    revisions = await store.list_config_revisions(time.time_ns(), 100)
    versions = [revision.version for revision in revisions]
    assert versions == list(range(len(versions), 0, -1))
    assert len(versions) >= 10
    for each in pair:
        async with asyncio.timeout(10):
            while each.version != versions[0]:
                await asyncio.sleep(0.05)
    assert pair[0].config.spare_children == pair[1].config.spare_children


@pytest.mark.parametrize(
    ("peer", "near"),
    [
        ("ipv4:127.0.0.1:1", True),
        ("ipv4:127.9.9.9:1", True),
        ("ipv6:%5B::1%5D:1", True),
        ("ipv6:[::ffff:127.0.0.1]:1", True),
        ("unix:/run/crucible.sock", True),
        ("unix:", True),
        ("ipv4:10.0.0.1:1", False),
        ("ipv6:%5B2001:db8::1%5D:1", False),
        ("ipv6:[::ffff:10.0.0.1]:1", False),
        ("ipv4:127.0.0.1.example.org:1", False),
        ("", False),
        ("vsock:1:2", False),
    ],
)
def test_who_is_near(peer: str, near: bool) -> None:
    assert _is_near(peer) is near
