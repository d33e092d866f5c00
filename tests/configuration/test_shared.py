"""Several servers on one store share what calls have set; and who counts as an operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

import crucible
from crucible.v1 import server_info_pb2
from crucible_server.api.handlers import _is_near
from crucible_server.config import Sources, load_config
from crucible_server.configuration import Configuration, ConfigurationChange
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.store import Store
from tests.configuration.conftest import wait_for_health, wait_until
from tests.conftest import StartServer
from tests.postgresql import PostgresServer, database_of


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where the store is: of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/crucible.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with database_of(server) as name:
        yield server.url(name)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """A store that two configurations share, as those of two servers would."""
    opened = await Store.open(url)
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


HEALTH = "engine.health_check.timeout"


class Server:
    """The configuration of a server with a file of its own."""

    def __init__(self, folder: Path, text: str) -> None:
        self.file = folder / "crucible.toml"
        folder.mkdir()
        self.file.write_text(text)
        self.sources = Sources(self.file, {"data_dir": folder})
        self.configuration = Configuration(load_config(self.file, {"data_dir": folder}), self.sources)

    async def update(self, values: Mapping[str, Any], *resets: str, expected: int | None = None) -> None:
        await self.configuration.update(values, resets, expected=expected, principal="somebody", comment="")

    async def refused(self, values: Mapping[str, Any], expected: int | None = None) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            await self.update(values, expected=expected)
        return caught.value

    async def until(self, version: int, problem: str) -> None:
        """Waits until a version is in force, and what is said of a later one."""
        async with asyncio.timeout(10):
            while self.configuration.version != version or problem not in self.configuration.revision_problem:
                await asyncio.sleep(0.05)
        assert bool(self.configuration.revision_problem) is bool(problem)


@pytest.fixture
async def misfits(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Server, Server]]:
    """One server, and another whose file leaves no room for a longer timeout."""
    one = Server(tmp_path / "one", "")
    other = Server(tmp_path / "other", '[engine.health_check]\ninterval = "1s"\ntimeout = "1s"\n')
    for each in (one, other):
        await each.configuration.open(store)
        each.configuration.start()
    await one.update({"spare_children": 3})
    await other.until(1, "")
    await one.update({HEALTH: "3s", "spare_children": 5})
    await other.until(1, "version 2 does not fit this server: engine.health_check.timeout: expected at most")
    yield one, other
    for each in (one, other):
        await each.configuration.stop()


async def test_what_does_not_fit_another_server_is_not_undone_there(
    misfits: tuple[Server, Server], store: Store
) -> None:
    one, other = misfits
    assert other.configuration.config.spare_children == 3
    for expected in (None, 2):
        refusal = await other.refused({"grace_period": "4s"}, expected)
        assert refusal.kind == ErrorKind.ERROR_KIND_CONFIGURATION_ERROR
        assert "version 2 of the configuration, set at another server" in refusal.message
        assert HEALTH in refusal.message
    assert (await other.refused({"grace_period": "4s"}, 1)).kind == ErrorKind.ERROR_KIND_VERSION_CONFLICT
    assert (await store.latest_config_revision()).version == 2  # type: ignore[union-attr]
    await one.update({"max_spare_children": 9})
    await other.until(1, "version 3 does not fit")
    assert one.configuration.config.engine.health_check.timeout == 3.0
    # Of its file it still takes what fits.
    other.file.write_text(other.file.read_text() + "[engine]\nmax_cache_size = 7\n")
    await other.configuration.reload()
    assert (other.configuration.config.engine.max_cache_size, other.configuration.file_problem) == (7, "")
    await other.until(1, "version 3 does not fit")
    other.file.write_text("")
    await other.configuration.reload()
    await other.until(3, "")
    assert other.configuration.config.engine.health_check.timeout == 3.0
    assert other.configuration.config.spare_children == 5
    await other.update({"grace_period": "4s"}, expected=3)
    await one.until(4, "")
    assert one.configuration.config.spare_children == 5


async def test_what_does_not_fit_can_be_taken_back_anywhere(misfits: tuple[Server, Server]) -> None:
    one, other = misfits
    await other.update({"grace_period": "4s"}, HEALTH)
    await one.until(3, "")
    await other.until(3, "")
    for each in misfits:
        assert (each.configuration.config.spare_children, each.configuration.config.grace_period) == (5, 4.0)
    assert one.configuration.config.engine.health_check.timeout == 2.0


async def test_a_file_is_read_again_once_calls_leave_room_for_it(store: Store, tmp_path: Path) -> None:
    server = Server(tmp_path / "one", "")
    await server.configuration.open(store)
    server.configuration.start()
    await server.update({HEALTH: "3s"})
    server.file.write_text('[engine.health_check]\ninterval = "1s"\ntimeout = "1s"\n')
    await server.configuration.reload()
    assert HEALTH in server.configuration.file_problem
    await server.update({}, HEALTH)
    async with asyncio.timeout(10):
        while server.configuration.file_problem:
            await asyncio.sleep(0.05)
    assert server.configuration.config.engine.health_check.timeout == 1.0
    await server.configuration.stop()


def test_a_server_that_is_behind_is_degraded(
    start_server: StartServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    with database_of(postgres) as name, ExitStack() as stack:
        clients = []
        for folder, text in (("a", ""), ("b", '[engine.health_check]\ninterval = "1s"\ntimeout = "1s"\n')):
            file = tmp_path / f"{folder}.toml"
            file.write_text(text)
            settings = {"CRUCIBLE_STORE_URL": postgres.url(name), "CRUCIBLE_UNIT_KEY": "ab" * 32}
            server = start_server(tmp_path / folder, words=("--config", str(file)), **settings)
            stack.callback(server.kill)
            clients.append(stack.enter_context(crucible.Client(server.address)))
        one, other = clients
        one.update_config({HEALTH: "3s", "spare_children": 5})
        wait_until(lambda: bool(other.config().revision_problem), "the other does not notice")
        assert other.config().version == 0
        with pytest.raises(
            crucible.ConfigurationError, match="version 1 of the configuration, set at another"
        ) as caught:
            other.update_config({"grace_period": "4s"}, expected_version=1)
        assert caught.value.code is grpc.StatusCode.FAILED_PRECONDITION
        health = wait_for_health(other, "configuration_behind")
        assert health.status == server_info_pb2.SERVICE_STATUS_DEGRADED
        assert one.config()["spare_children"] == 5
        (tmp_path / "b.toml").write_text("")
        wait_until(lambda: other.config().version == 1, "the other does not follow")
        assert wait_for_health(other).status == server_info_pb2.SERVICE_STATUS_HEALTHY


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
