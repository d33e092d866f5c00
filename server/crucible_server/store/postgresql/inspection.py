"""Reads a PostgreSQL database for checks and backups, beside servers that may write to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from crucible_server.store.address import PostgresAddress
from crucible_server.store.errors import StoreError, StoreErrorKind

from .connection import PostgresConnection, connect
from .errors import store_error
from .schema import require_usable, revision_of, servers_of


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


@dataclass(frozen=True, slots=True)
class Description:
    """What an operator wants to know of a database."""

    version: str
    encrypted: str
    """Whether what goes to and fro can be read on the way, in words."""
    size: int
    """In bytes."""
    revision: str | None
    asynchronous: str
    """Why acknowledged writes might be lost when PostgreSQL or its machine crashes; empty when they are not."""
    servers: list[str]
    key_id: bytes | None
    """Of the key that seals the byte code in it."""


def describe(address: PostgresAddress) -> Description:
    """Looks at a database, which may be empty. Raises StoreError."""
    try:
        connection = connect(address, read_only=True)
        try:
            raw = connection.raw
            require_usable(raw, address)
            revision = revision_of(raw, address)
            has_servers = raw.execute("SELECT to_regclass('servers') IS NOT NULL").fetchone() == (True,)
            has_settings = raw.execute("SELECT to_regclass('settings') IS NOT NULL").fetchone() == (True,)
            key = (
                raw.execute("SELECT value FROM settings WHERE name = 'unit_key_id'").fetchone()
                if has_settings
                else None
            )
            (total,) = raw.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
            (fsync,) = raw.execute("SHOW fsync").fetchone() or ("on",)
            is_local = raw.info.host.startswith("/")
            return Description(
                version=str(raw.info.parameter_status("server_version")),
                encrypted="a local socket" if is_local else "TLS" if raw.pgconn.ssl_in_use else "not encrypted",
                size=int(total),
                revision=revision,
                asynchronous="fsync is off: a crash of its machine may destroy it" if fsync == "off" else "",
                servers=servers_of(raw) if has_servers else [],
                key_id=None if key is None else bytes(key[0]),
            )
        finally:
            connection.close()
    except psycopg.Error as error:
        raise store_error(error, address) from error
