"""What an execution costs in the store, in SQLite and in PostgreSQL, from one caller and from many at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.rows import Row, row
from benchmarks.store import execute
from crucible_server.store import ScriptRecord, Store
from tests.postgresql import PostgresServer

CALLERS = 64
_TENANT = "local"


def rows(folder: Path, rounds: int) -> list[Row]:
    """Begins and finishes executions in new stores in `folder`; PostgreSQL flushes to its disk, as it should."""
    found = _rows("SQLite", f"sqlite:///{folder}/crucible.db", rounds)
    found += _rows("SQLite, synchronous FULL", f"sqlite:///{folder}/full.db", rounds, "FULL")
    with postgresql() as server:
        if server is not None:
            found += _rows("PostgreSQL", server.url(server.create()), rounds)
    return found


@contextmanager
def postgresql() -> Iterator[PostgresServer | None]:
    """A server that flushes to its disk; None, which is told, where there are no programs for one."""
    server = PostgresServer("fsync=on", "full_page_writes=on")
    try:
        server.__enter__()
    except AssertionError as error:
        print(f"left out: {error}")
        yield None
        return
    try:
        yield server
    finally:
        server.__exit__(None, None, None)


def _rows(name: str, url: str, rounds: int, synchronous: str = "NORMAL") -> list[Row]:
    alone, rate = asyncio.run(_measure(url, rounds, synchronous))
    return [
        row(f"begin and finish in {name}", alone, "ms"),
        Row(f"begin and finish in {name}, {CALLERS} callers", rate, rate, "1/s"),
    ]


async def _measure(url: str, rounds: int, synchronous: str) -> tuple[list[float], float]:
    """Milliseconds of each execution of one caller, and executions in a second of many."""
    store = await Store.open(url, synchronous="FULL" if synchronous == "FULL" else "NORMAL")
    try:
        now = time.time_ns()
        await store.put_script(ScriptRecord(_TENANT, "hot", "local", now, now, 1, b"x", b""), None, None)
        for _ in range(20):
            await execute(store, "hot")
        alone = []
        for _ in range(rounds):
            began = time.perf_counter()
            await execute(store, "hot")
            alone.append((time.perf_counter() - began) * 1000)

        async def call() -> None:
            for _ in range(max(rounds // 8, 10)):
                await execute(store, "hot")

        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(CALLERS)))
        return alone, CALLERS * max(rounds // 8, 10) / (time.perf_counter() - began)
    finally:
        await store.close()
