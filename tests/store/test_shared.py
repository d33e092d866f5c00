"""Several servers on one database: who is there, whose executions are lost, and what they tell each other."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from crucible_server.store import (
    Announcement,
    CancelRequested,
    ExecutionRecord,
    Missed,
    ScriptRemoved,
    Store,
    StoreError,
    StoreErrorKind,
)
from crucible_server.store.announcements import decode, encode
from tests.postgresql import PostgresServer
from tests.store.databases import PostgresDatabase
from tests.store.records import INTERRUPTED, NOW, QUEUED, SUCCEEDED, end, execution, script, unit

LEASE = 4.0
"""Of those whose lease is waited for: a server may come late with its renewal, which it sends six times as often."""
LONG = 600.0

HOLDER = """
import asyncio, os, sys
from pathlib import Path
from crucible_server.store import Store
from tests.store.records import execution

async def main():
    store = await Store.open(sys.argv[1], identity=Path(sys.argv[2]), lease_seconds=float(sys.argv[3]))
    store.on_lapse(lambda: os.write(1, b"lapsed\\n"))
    for number in range(3):
        await store.begin_execution(execution(f"{sys.argv[4]}{number}", instance_id=store.instance_id))
    os.write(1, b"ready\\n")
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.fixture
def shared(postgres: PostgresServer, template: str) -> Iterator[PostgresDatabase]:
    """A database with an empty store."""
    name = postgres.create(template)
    yield PostgresDatabase(postgres, name)
    postgres.drop(name)


@asynccontextmanager
async def opened(shared: PostgresDatabase, identity: Path | None = None) -> AsyncIterator[Store]:
    store = await Store.open(shared.url, identity=identity, lease_seconds=LONG)
    try:
        yield store
    finally:
        await store.close()


class Holder:
    """A server, in a process of its own, that has three executions running."""

    def __init__(self, shared: PostgresDatabase, identity: Path, prefix: str = "e", lease: float = LEASE) -> None:
        command = [sys.executable, "-c", HOLDER, shared.url, str(identity), str(lease), prefix]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        self.expect("ready")

    def expect(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().decode().strip() == line

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.fixture
def hold(shared: PostgresDatabase, tmp_path: Path) -> Iterator[Callable[..., Holder]]:
    """Starts holders, and kills what is left of them."""
    holders: list[Holder] = []

    def start(identity: str = "a", prefix: str = "e", lease: float = LEASE) -> Holder:
        holders.append(Holder(shared, tmp_path / identity, prefix, lease))
        return holders[-1]

    yield start
    for holder in holders:
        holder.kill()


async def interrupt(store: Store) -> int:
    return await store.interrupt_unfinished(NOW, lambda *_: b"lost")


async def until(found: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not found():
            await asyncio.sleep(0.02)


async def test_the_executions_of_a_server_that_lives_are_left_alone(
    shared: PostgresDatabase, hold: Callable[..., Holder]
) -> None:
    # The settling begins some seconds after PostgreSQL has come up.
    hold()
    async with opened(shared) as store:
        deadline = time.monotonic() + 1.25 * LEASE
        while time.monotonic() < deadline:
            assert await interrupt(store) == 0
            await asyncio.sleep(0.1)
        found = await store.get_execution("local", "e0")
        assert found is not None
        assert found.state == QUEUED
        assert len(await store.other_servers()) == 1


async def test_the_executions_of_a_dead_server_are_ended_by_another_after_its_lease(
    shared: PostgresDatabase, hold: Callable[..., Holder]
) -> None:
    holder = hold()
    async with opened(shared) as store:
        await store.begin_execution(execution("mine", instance_id=store.instance_id))
        count, began = 0, time.monotonic()
        holder.kill()
        assert await interrupt(store) == 0
        async with asyncio.timeout(40):
            while count == 0:
                await asyncio.sleep(0.05)
                count = await interrupt(store)
        assert count == 3
        # Shown to be the lease: it was not at once.
        assert time.monotonic() - began > LEASE / 4
        mine = await store.get_execution("local", "mine")
        assert mine is not None
        assert mine.state == QUEUED
        with pytest.raises(StoreError) as caught:
            await store.finish_execution(end("e1"))
        assert caught.value.kind is StoreErrorKind.CONFLICT
        assert await store.other_servers() == []


async def test_a_server_that_comes_back_knows_at_once_what_it_has_lost(
    shared: PostgresDatabase, hold: Callable[..., Holder], tmp_path: Path
) -> None:
    hold("b", "other", LONG)
    hold("a", "mine", LONG).kill()
    # In another folder it is another server, and has to wait.
    async with opened(shared, tmp_path / "c") as stranger:
        assert await interrupt(stranger) == 0
    async with opened(shared, tmp_path / "a") as again:
        # The one that was killed is no other, also before anything was written.
        assert len(await again.other_servers()) == 1
        assert await interrupt(again) == 3
        for name, state in (("mine0", INTERRUPTED), ("other0", QUEUED)):
            found = await again.get_execution("local", name)
            assert found is not None
            assert found.state == state


async def test_a_server_that_stops_leaves_nobody_waiting(shared: PostgresDatabase) -> None:
    async with opened(shared) as store:
        async with opened(shared) as other:
            await other.begin_execution(execution("left", instance_id=other.instance_id))
            assert await interrupt(store) == 0
        assert await interrupt(store) == 1


async def test_an_identity_is_that_of_one_server_at_a_time(shared: PostgresDatabase, tmp_path: Path) -> None:
    async with opened(shared, tmp_path / "id") as first, opened(shared, tmp_path / "id") as second:
        assert first.instance_id != second.instance_id
        for store in (first, second):
            await store.begin_execution(execution(store.instance_id, instance_id=store.instance_id))
        assert await interrupt(first) == await interrupt(second) == 0
    async with opened(shared) as later:
        assert await interrupt(later) == 2
    # Copied to another machine with its folder: the file is not locked there.
    copy = tmp_path / "copy"
    async with opened(shared, tmp_path / "id") as first:
        copy.write_bytes((tmp_path / "id").read_bytes())
        await first.begin_execution(execution("mine", instance_id=first.instance_id))
        shared.change("UPDATE servers SET host = 'elsewhere'")
        async with opened(shared, copy) as second:
            await second.check()
            assert await interrupt(second) == 0
            assert len(shared.rows("SELECT 1 FROM servers WHERE instance_id <> ''")) == 2


async def test_a_server_that_was_frozen_is_told_and_goes_on(
    shared: PostgresDatabase, hold: Callable[..., Holder]
) -> None:
    holder = hold()
    async with opened(shared) as store:
        os.kill(holder.process.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(40):
                while await interrupt(store) == 0:
                    await asyncio.sleep(0.1)
        finally:
            os.kill(holder.process.pid, signal.SIGCONT)
        await asyncio.to_thread(holder.expect, "lapsed")
        # It is entered again, and what it begins now is not taken for lost.
        assert len(await store.other_servers()) == 1


async def test_one_id_begins_once_on_all_servers(shared: PostgresDatabase) -> None:
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(shared)) for _ in range(4)]

        async def contend(store: Store) -> list[ExecutionRecord | None]:
            return await asyncio.gather(
                *(
                    store.begin_execution(execution(f"e{number}", instance_id=store.instance_id))
                    for number in range(200)
                )
            )

        found = await asyncio.gather(*map(contend, stores))
        for number in range(200):
            answers = [answer[number] for answer in found]
            assert answers.count(None) == 1
            winner = stores[answers.index(None)].instance_id
            assert {answer.instance_id for answer in answers if answer is not None} == {winner}


async def test_hot_scripts_on_several_servers_neither_deadlock_nor_lose_figures(shared: PostgresDatabase) -> None:
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(opened(shared)) for _ in range(3)]
        for name in ("s0", "s1", "s2"):
            await stores[0].put_script(script(name), unit(name, script_id=name), None)

        async def live(store: Store, caller: int) -> None:
            for turn in range(30):
                name = f"{store.instance_id}-{caller}-{turn}"
                assert await store.begin_execution(execution(name)) is None
                which = f"s{(caller + turn) % 3}"
                await store.finish_execution(end(name, script_id=which, output=None))

        await asyncio.gather(*(live(store, caller) for store in stores for caller in range(8)))
        stats = await stores[0].script_stats("local", ["s0", "s1", "s2"])
        assert sum(each.total_executions for each in stats) == 3 * 8 * 30
        found = await stores[1].get_execution("local", f"{stores[2].instance_id}-7-29")
        assert found is not None
        assert found.state == SUCCEEDED


async def test_what_is_removed_or_to_be_cancelled_is_told_to_all(shared: PostgresDatabase) -> None:
    async with opened(shared) as first, opened(shared) as second:
        heard: list[Announcement] = []
        second.listen(heard.append)
        await until(lambda: heard == [Missed()])
        await first.put_script(script(), unit(), "clean")
        await first.delete_script("local", "sha256", "anna")
        await first.request_cancel("local", "e1", "enough \u00e9")
        await until(lambda: len(heard) == 3)
        assert heard[1:] == [
            ScriptRemoved("local", "sha256", ("key",)),
            CancelRequested("local", "e1", "enough \u00e9"),
        ]
        shared.change("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        await until(lambda: heard[3:] == [Missed()])


async def test_announcements_that_are_not_understood_may_be_anything() -> None:
    for text in ("", "{}", "[]", "1", '{"kind": "later"}', '{"kind": "cancel_requested", "x": 1}'):
        assert decode(text) == Missed()
    assert decode(encode(ScriptRemoved("t", "s", ("k" * 64,) * 200))) == Missed()


async def test_one_of_them_sweeps_and_another_when_it_is_gone(shared: PostgresDatabase) -> None:
    async with opened(shared) as first:
        async with opened(shared) as second:
            assert await second.may_sweep()
            assert not await first.may_sweep()
            await first.begin_execution(execution("e1"))
            assert await second.may_sweep()
            assert second.execution_count == 1
        # The session that had it ends a moment after its connection.
        async with asyncio.timeout(30):
            while not await first.may_sweep():
                await asyncio.sleep(0.02)
