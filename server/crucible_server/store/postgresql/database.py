"""PostgreSQL as the database of a store: one database, any number of servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg

from crucible_server.store.address import PostgresAddress
from crucible_server.store.announcements import Announcement
from crucible_server.store.database import Database
from crucible_server.store.errors import StoreError

from .connection import PostgresConnection, connect
from .errors import is_lost, store_error
from .identity import Identity
from .listener import Listener
from .schema import servers_of, use
from .writer import PostgresWriter


class PostgresDatabase(Database):
    """A database that this server has entered itself in."""

    is_shared = True
    # A trip to the database takes longer than one into a file.
    readers = 4
    errors = (psycopg.Error,)

    def __init__(self, address: PostgresAddress, identity: Identity, lease_seconds: float) -> None:
        """Connects, and makes or upgrades the tables. Raises StoreError, with nothing held."""
        self._address = address
        self._identity = identity
        self._lease_seconds = lease_seconds
        self._writer: PostgresWriter | None = None
        self._listener: Listener | None = None
        try:
            self._connection = connect_to_write(address, may_change=True)
        except psycopg.Error as error:
            identity.release()
            raise store_error(error, address) from error
        except BaseException:
            identity.release()
            raise

    def __str__(self) -> str:
        return str(self._address)

    @property
    def instance_id(self) -> str:
        """See `Database`."""
        return self._identity.instance_id

    @property
    def trouble(self) -> str:  # type: ignore[override]
        """See `Database`."""
        return "" if self._writer is None else self._writer.trouble

    def translate(self, error: Exception) -> StoreError:
        """See `Database`."""
        return store_error(error, self._address)

    def is_lost(self, error: Exception) -> bool:
        """See `Database`."""
        return is_lost(error)

    def connect(self) -> PostgresConnection:
        """See `Database`."""
        return connect(self._address, read_only=True)

    def writer(self, committed: Callable[[int], None]) -> PostgresWriter:
        """See `Database`."""
        self._writer = PostgresWriter(
            self._connection, self._address, self._identity, self._lease_seconds, committed, connect_to_write
        )
        return self._writer

    def on_lapse(self, lapsed: Callable[[], None]) -> None:
        """See `Database`."""
        assert self._writer is not None
        self._writer.lapsed = lapsed

    def listen(self, heard: Callable[[Announcement], None]) -> None:
        """See `Database`."""
        loop = asyncio.get_running_loop()

        def tell(announcement: Announcement) -> None:
            # A closed event loop has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(heard, announcement)

        self._listener = Listener(self._address, tell)

    def other_servers(self) -> list[str]:
        """See `Database`."""
        try:
            connection = self.connect()
            try:
                return servers_of(connection.raw, self.instance_id)
            finally:
                connection.close()
        except psycopg.Error as error:
            raise store_error(error, self._address) from error

    def checkpoint(self) -> None:
        """See `Database`: PostgreSQL does so by itself."""

    def abandon(self) -> None:
        """See `Database`."""
        self._connection.close()
        self._identity.release()

    def release(self) -> None:
        """See `Database`."""
        if self._listener is not None:
            self._listener.close()
        self._identity.release()


def connect_to_write(address: PostgresAddress, *, may_change: bool = False) -> PostgresConnection:
    """A connection by which the database is in use; for `may_change` see `use`. Raises StoreError and psycopg.Error."""
    connection = connect(address, read_only=False)
    try:
        use(connection, address, may_change=may_change)
    except BaseException:
        connection.close()
        raise
    return connection
