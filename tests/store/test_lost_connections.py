"""PostgreSQL killed and restarted under load: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Self

import psycopg
import pytest

from crucible_server.store import ExecutionQuery, Store, StoreError, StoreErrorKind, reader
from crucible_server.store.postgresql import locks, writer
from crucible_server.store.postgresql.writer import PostgresWriter
from tests.postgresql import PostgresServer
from tests.store.records import NOW, SUCCEEDED, end, execution, script, segment, unit

CALLERS = 24
PATIENCE = 60.0


@pytest.fixture(scope="module")
def own() -> Iterator[PostgresServer]:
    """A PostgreSQL server to be harmed."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def name(own: PostgresServer) -> Iterator[str]:
    """A database in it."""
    made = own.create()
    yield made
    own.drop(made)


@pytest.fixture
async def opened(own: PostgresServer, name: str) -> AsyncIterator[Store]:
    """A store in it."""
    store = await Store.open(own.url(name))
    await store.put_script(script(), unit(), "clean")
    yield store
    await store.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores wait for the database however long this machine takes to have it again."""
    for module in (reader, writer):
        # A restart of PostgreSQL takes some seconds.
        assert module._PATIENCE_SECONDS >= 5
        monkeypatch.setattr(module, "_PATIENCE_SECONDS", PATIENCE)


class Load:
    """Callers that begin and finish executions, and note what was acknowledged."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.begun: set[str] = set()
        self.wrote: set[str] = set()
        self.ended: set[str] = set()
        self.refused: list[StoreError] = []
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call(caller)) for caller in range(CALLERS)]
        await self.progress()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)

    async def progress(self, more: int = 200) -> None:
        """Waits for so many more ends."""
        wanted = len(self.ended) + more
        async with asyncio.timeout(PATIENCE):
            while len(self.ended) < wanted:
                await asyncio.sleep(0.01)

    async def _call(self, caller: int) -> None:
        turn = 0
        while not self._stopping:
            turn += 1
            name = f"{caller}-{turn}"
            try:
                # One that nobody else has begun is begun by this call: told otherwise, it would never be run.
                assert await self.store.begin_execution(execution(name)) is None, name
                self.begun.add(name)
                await self.store.append_output("local", name, segment(1, 5, name.encode()))
                self.wrote.add(name)
                await self.store.finish_execution(end(name, output=segment(6, 7, name.encode())))
                self.ended.add(name)
            except StoreError as error:
                self.refused.append(error)
            found = await self.store.get_execution("local", name)
            assert (found is not None) == (name in self.begun), (name, self.refused)

    async def verify(self) -> None:
        """All that was acknowledged is there, and was done once."""
        assert self.ended
        for name in self.begun:
            found = await self.store.get_execution("local", name)
            assert found is not None, name
            assert (found.state == SUCCEEDED) == (name in self.ended), name
        for name in self.wrote:
            assert await self.store.get_output("local", name) == segment(1, 5, name.encode())
        (stats,) = await self.store.script_stats("local", ["sha256"])
        assert stats.total_executions == len(self.ended)
        listed = await self.store.list_executions(ExecutionQuery("local", 100_000))
        assert {record.execution_id for record in listed} == self.begun


def backends(own: PostgresServer, name: str) -> list[int]:
    with contextlib.closing(own.connect("postgres")) as connection:
        # PostgreSQL's own workers come and go.
        query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
        return [pid for (pid,) in connection.execute(query, (name,))]


async def gone(own: PostgresServer, name: str, former: list[int]) -> None:
    """Waits until none of these sessions is left: they may write for a while before they notice."""
    left = set(former)
    async with asyncio.timeout(PATIENCE):
        while left:
            await asyncio.sleep(0.01)
            # While it recovers it takes no new ones.
            with contextlib.suppress(psycopg.OperationalError):
                left &= set(await asyncio.to_thread(backends, own, name))


async def test_backends_that_are_terminated_under_load(
    own: PostgresServer, name: str, patient: None, opened: Store
) -> None:
    async with Load(opened) as load:
        for _ in range(8):
            former = backends(own, name)
            with contextlib.closing(own.connect("postgres")) as connection:
                connection.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", (former,))
            await gone(own, name, former)
            await load.progress(100)
    assert load.refused == []
    await load.verify()
    assert opened.trouble == ""


async def test_backends_that_are_killed_under_load(
    own: PostgresServer, name: str, patient: None, opened: Store
) -> None:
    """kill -9 of one has PostgreSQL throw out all sessions and recover from its log."""
    async with Load(opened) as load:
        for _ in range(3):
            former = backends(own, name)
            os.kill(former[0], signal.SIGKILL)
            await gone(own, name, former)
            await load.progress(100)
    assert [error for error in load.refused if error.kind is not StoreErrorKind.UNAVAILABLE] == []
    await load.verify()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
async def test_a_restart_under_load(own: PostgresServer, patient: None, opened: Store, how: signal.Signals) -> None:
    async with Load(opened) as load:
        await asyncio.to_thread(own.stop, how)
        async with asyncio.timeout(30):
            while not opened.trouble:
                await asyncio.sleep(0.01)
        assert "password" not in opened.trouble
        await asyncio.to_thread(own.start)
        await load.progress()
    assert load.refused == []
    await load.verify()
    await opened.check()
    assert opened.trouble == ""


async def test_who_waits_too_long_is_told_and_nothing_is_kept(
    own: PostgresServer, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 1.0)
    await opened.begin_execution(execution("before"))
    await asyncio.to_thread(own.stop)
    try:
        for call in (opened.begin_execution(execution("during")), opened.check(), opened.get_setting("x")):
            async with asyncio.timeout(20):
                with pytest.raises(StoreError) as caught:
                    await call
            assert caught.value.kind is StoreErrorKind.UNAVAILABLE
    finally:
        await asyncio.to_thread(own.start)
    assert await opened.begin_execution(execution("during")) is None
    await opened.finish_execution(end("before"))
    assert opened.trouble == ""


@pytest.mark.parametrize("is_committed", [True, False])
async def test_a_connection_that_is_lost_while_it_commits(opened: Store, is_committed: bool) -> None:
    """Both cases look the same to the server: the commit was sent, and no answer came."""
    store_writer = opened._writer
    assert isinstance(store_writer, PostgresWriter)
    connection = store_writer._connection
    assert connection is not None
    execute: Callable[..., object] = connection.raw.execute
    lost = 0

    def losing(query: object, *arguments: object, **options: object) -> object:
        nonlocal lost
        if query != "COMMIT":
            return execute(query, *arguments, **options)
        lost += 1
        if is_committed:
            execute("COMMIT")
        os.close(os.dup(connection.raw.fileno()))
        connection.raw.pgconn.finish()
        return execute("COMMIT")

    connection.raw.execute = losing  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(30):
        results = await asyncio.gather(
            opened.begin_execution(execution("a")), opened.begin_execution(execution("b")), opened.check()
        )
    assert [*results] == [None, None, None]
    assert lost == 1
    assert await opened.begin_execution(execution("a")) is not None
    await opened.finish_execution(end("a"))


async def test_who_waits_behind_a_commit_in_doubt_is_told(
    own: PostgresServer, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 1.0)
    store_writer = opened._writer
    assert isinstance(store_writer, PostgresWriter)
    connection = store_writer._connection
    assert connection is not None
    execute: Callable[..., object] = connection.raw.execute

    def losing(query: object, *arguments: object, **options: object) -> object:
        if query == "COMMIT":
            execute("COMMIT")
            own.stop()
        return execute(query, *arguments, **options)

    connection.raw.execute = losing  # type: ignore[method-assign, assignment]
    doubtful = asyncio.ensure_future(opened.begin_execution(execution("a")))
    try:
        async with asyncio.timeout(20):
            while not opened.trouble:
                await asyncio.sleep(0.01)
            with pytest.raises(StoreError) as caught:
                await opened.begin_execution(execution("b"))
        assert caught.value.kind is StoreErrorKind.UNAVAILABLE
        # What came of the first is not known before the database is back.
        assert not doubtful.done()
    finally:
        await asyncio.to_thread(own.start)
    async with asyncio.timeout(30):
        assert await doubtful is None
        assert await opened.begin_execution(execution("a")) is not None
        assert await opened.begin_execution(execution("b")) is None


async def test_a_server_that_stands_still_in_the_middle_holds_up_no_other_for_long(
    own: PostgresServer, name: str, opened: Store
) -> None:
    other = own.connect(name)
    other.execute("SET idle_in_transaction_session_timeout = '1s'")
    other.execute(f"BEGIN; {locks.WRITE}")
    try:
        async with asyncio.timeout(7):
            await opened.begin_execution(execution("a"))
    finally:
        other.close()


async def test_a_store_that_was_emptied_meanwhile_is_not_made_anew(
    own: PostgresServer, name: str, opened: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_PATIENCE_SECONDS", 0.5)
    with contextlib.closing(own.connect(name)) as connection:
        connection.execute("ALTER SCHEMA public RENAME TO gone; CREATE SCHEMA public")
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (name,),
        )
        with pytest.raises(StoreError, match="was replaced while this server used it"):
            await opened.begin_execution(execution("a"))
        connection.execute("DROP SCHEMA public; ALTER SCHEMA gone RENAME TO public")
    assert await opened.begin_execution(execution("a")) is None


async def test_closing_while_the_database_is_away_ends(own: PostgresServer, name: str) -> None:
    store = await Store.open(own.url(name))
    await asyncio.to_thread(own.stop)
    try:
        waiting = asyncio.ensure_future(store.begin_execution(execution("a", create_time=NOW)))
        await asyncio.sleep(0.1)
        async with asyncio.timeout(15):
            await store.close()
        with pytest.raises(StoreError):
            await waiting
    finally:
        await asyncio.to_thread(own.start)
