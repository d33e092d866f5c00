"""Reads a PostgreSQL database for checks and backups, beside servers that may write to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ..address import PostgresAddress
from ..errors import StoreError, StoreErrorKind
from .connection import PostgresConnection, connect
from .errors import store_error
from .schema import require_usable, revision_of


class PostgresInspection:
    """A database as it is at one moment; see `check.Inspection`."""

    # Damage that PostgreSQL finds ends the snapshot: there is nothing to go on with.
    errors: tuple[type[Exception], ...] = ()
    units = 0

    def __init__(self, connection: PostgresConnection, address: PostgresAddress) -> None:
        self.connection = connection
        self.revision = revision_of(connection.raw, address)
        row = connection.raw.execute("SELECT pg_database_size(current_database())").fetchone()
        self.bytes = 0 if row is None else int(row[0])
        if self.revision is None:
            raise StoreError(
                StoreErrorKind.UNAVAILABLE,
                f"There is no store in {address}. Check `store_url`; a server makes its store when it starts.",
            )

    def damage_of(self, _table: str) -> Iterator[str]:
        """See `check.Inspection`: what is damaged is found in reading all rows, and by checksums if they are on."""
        return iter(())

    def loose_rows(self) -> Iterator[str]:
        """See `check.Inspection`: the database itself allows none."""
        return iter(())


@contextmanager
def inspecting(address: PostgresAddress) -> Iterator[PostgresInspection]:
    """The database at `address`. Raises StoreError, also for what the driver raises within."""
    try:
        connection = connect(address, read_only=True)
        try:
            require_usable(connection.raw, address, may_be_standby=True)
            # All of a large store takes its time.
            connection.raw.execute("SET statement_timeout = 0")
            with connection.snapshot():
                yield PostgresInspection(connection, address)
        finally:
            connection.close()
    except psycopg.Error as error:
        raise store_error(error, address) from error
