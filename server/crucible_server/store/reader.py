"""Read-only connections in a few threads of their own: they see what is committed and never wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from .database import Connection, Database
from .errors import store_closed
from .sql import Statement

T = TypeVar("T")

# How long a database that is lost is waited for.
_PATIENCE_SECONDS = 5.0
_FIRST_DELAY_SECONDS = 0.05


class Readers:
    """A pool of reading connections, as many as the database wants at most."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executor = ThreadPoolExecutor(database.readers, thread_name_prefix="crucible-store-reader")
        self._local = threading.local()
        self._connections: set[Connection] = set()
        self._closed = False
        self._lost_at: float | None = None

    async def first(self, statement: Statement, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row, or None. Raises StoreError."""

        def query(connection: Connection) -> tuple[Any, ...] | None:
            row: tuple[Any, ...] | None = connection.execute(statement, parameters).fetchone()
            return row

        return await self.run(query)

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Runs `query` in a reader's thread. Raises StoreError."""
        if self._closed:
            raise store_closed(self._database)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, query)

    async def close(self) -> None:
        """Waits for the queries that run and closes the connections."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _run(self, query: Callable[[Connection], T]) -> T:
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                result = query(self._connection())
                self._lost_at = None
                return result
            except self._database.errors as error:
                if not self._database.is_lost(error):
                    raise self._database.translate(error) from error
                self._database.reconnects += 1
                # Reading changes nothing, so it can be done again. All readers together are patient once.
                self._drop()
                # Another thread, whose query succeeds, may forget the time at any moment.
                self._lost_at = lost_at = self._lost_at or time.monotonic()
                if self._closed or time.monotonic() - lost_at > _PATIENCE_SECONDS:
                    raise self._database.translate(error) from error
            time.sleep(delay)
            delay *= 2

    def _connection(self) -> Connection:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._database.connect()
            self._connections.add(connection)
            self._local.connection = connection
        return connection

    def _drop(self) -> None:
        connection: Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            self._connections.discard(connection)
            with contextlib.suppress(*self._database.errors):
                connection.close()
