"""Read-only connections in a few threads of their own: they see what is committed and never wait."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from .connection import connect
from .errors import store_closed, store_error
from .sql import Statement

T = TypeVar("T")


class Readers:
    """A pool of `threads` reading connections."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        self._path = path
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="crucible-store-reader")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._closed = False

    async def first(self, statement: Statement, parameters: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The first row, or None. Raises StoreError."""

        def query(connection: sqlite3.Connection) -> tuple[Any, ...] | None:
            row: tuple[Any, ...] | None = connection.execute(statement.sql, parameters).fetchone()
            return row

        return await self.run(query)

    async def run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Runs `query` in a reader's thread. Raises StoreError."""
        if self._closed:
            raise store_closed(self._path)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, query)

    async def close(self) -> None:
        """Waits for the queries that run and closes the connections."""
        self._closed = True
        await asyncio.to_thread(self._executor.shutdown)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _run(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = connect(self._path, read_only=True)
                self._connections.append(connection)
                self._local.connection = connection
            return query(connection)
        except sqlite3.Error as error:
            raise store_error(error, self._path) from error
