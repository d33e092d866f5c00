"""Opens the database that an address names."""

from __future__ import annotations

from pathlib import Path

from .address import SqliteAddress, address_of
from .database import Database, Synchronous
from .errors import StoreError, StoreErrorKind
from .sqlite_database import SqliteDatabase

DEFAULT_LEASE_SECONDS = 30.0


def open_database(
    url: str,
    password: str | None = None,
    *,
    synchronous: Synchronous = "NORMAL",
    identity: Path | None = None,
    lease_seconds: float = DEFAULT_LEASE_SECONDS,
) -> Database:
    """Opens, making or upgrading it. Blocks. Raises StoreError, which says what to do; nothing is held then.

    `identity` is the file by which a server that shares a database is known after a restart; `lease_seconds` is how
    long it may be silent before others end its executions. Neither concerns SQLite.
    """
    if synchronous not in ("NORMAL", "FULL"):
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"`store_synchronous` should be NORMAL or FULL but is {synchronous!r}.",
        )
    address = address_of(url, password)
    if isinstance(address, SqliteAddress):
        return SqliteDatabase(address.path, synchronous)
    from .postgresql.database import PostgresDatabase
    from .postgresql.identity import Identity

    return PostgresDatabase(address, Identity(identity), lease_seconds)
