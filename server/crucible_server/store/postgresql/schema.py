"""Brings a PostgreSQL database to the schema of this server, or refuses it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from crucible_server.store.address import PostgresAddress
from crucible_server.store.errors import StoreError, StoreErrorKind
from crucible_server.store.schema import REVISIONS, migrate, newer_schema, not_a_store

from . import locks
from .connection import PostgresConnection, Raw, connect
from .errors import store_error

_OLDEST_SERVER = 130_000
_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()"
# How long servers that start at the same time wait for the one that upgrades.
_WAIT_SECONDS = 10.0
_STEP_SECONDS = 0.2


def require_usable(raw: Raw, name: object, *, may_be_standby: bool = False) -> None:
    """Raises StoreError when the database is too old, of another encoding, or takes no writes."""
    version = raw.info.server_version
    if version < _OLDEST_SERVER:
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"The store {name} is PostgreSQL {version // 10_000}; expected {_OLDEST_SERVER // 10_000} or newer.",
        )
    encoding = raw.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"The store {name} is a database with the encoding {encoding}; expected UTF8, as scripts and output are "
            "Unicode. Make one by `createdb --encoding=UTF8 --template=template0 NAME` and set `store_url` to it.",
        )
    if not may_be_standby and raw.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        raise StoreError(
            StoreErrorKind.READ_ONLY,
            f"The store {name} is a standby that takes no writes. Set `store_url` to the primary, or add "
            "target_session_attrs=read-write to it.",
        )
    if raw.execute("SELECT current_schema()").fetchone() == (None,):
        raise StoreError(
            StoreErrorKind.CONFIGURATION,
            f"The store {name} has none of the schemas of its search_path. Create one, or correct the search_path.",
        )


def revision_of(raw: Raw, name: object) -> str | None:
    """The revision of the database; None when it is empty. Raises StoreError when it holds something else."""
    tables = {str(row[0]) for row in raw.execute(_TABLES)}
    rows = raw.execute("SELECT version_num FROM alembic_version").fetchall() if "alembic_version" in tables else []
    if not rows and tables - {"alembic_version"}:
        raise not_a_store(name, tables)
    return str(rows[0][0]) if rows else None


def use(connection: PostgresConnection, address: PostgresAddress, *, may_change: bool) -> None:
    """Has the database used by this session until it ends, creating or upgrading it when nobody else uses it.

    Without `may_change` it has to be as it should: a store that was emptied meanwhile is not made anew in silence.

    Raises StoreError when it cannot be used, and psycopg.Error.
    """
    raw = connection.raw
    require_usable(raw, address)
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        raw.execute(locks.USE)
        revision = revision_of(raw, address)
        if revision == REVISIONS[-1]:
            return
        if revision is not None and revision not in REVISIONS:
            raise newer_schema(address, revision)
        if not may_change:
            raise StoreError(
                StoreErrorKind.SCHEMA,
                f"The store {address} was replaced while this server used it: expected schema {REVISIONS[-1]}, got "
                f"{revision or 'none'}. Restore a backup, or restart the server to take it as it is.",
            )
        # Whoever waits for the others must not be one of those that they wait for.
        raw.execute(locks.STOP_USING)
        try:
            with owning(raw, address, "be brought up to date"):
                # Of servers that start together another may have been faster.
                if revision_of(raw, address) == revision:
                    upgrade(address, REVISIONS[-1])
        except StoreError as error:
            if error.kind is not StoreErrorKind.LOCKED or time.monotonic() > until:
                raise
            time.sleep(_STEP_SECONDS)


@contextmanager
def owning(raw: Raw, name: object, what: str) -> Iterator[None]:
    """While no server uses the database. Raises StoreError (LOCKED) when one does."""
    if raw.execute(locks.TRY_TO_OWN).fetchone() != (True,):
        with contextlib.suppress(psycopg.Error):
            # Nobody may be known, as in a store of a version before there were several servers.
            what += f" while servers use it ({', '.join(servers_of(raw)) or 'unknown'})"
        raise StoreError(
            StoreErrorKind.LOCKED,
            f"The store {name} is in use by another server and cannot {what}. Stop them first.",
        )
    try:
        yield
    finally:
        with contextlib.suppress(psycopg.OperationalError):
            raw.execute(locks.STOP_OWNING)


def servers_of(raw: Raw, but: str = "") -> list[str]:
    """The servers that use the database, in words, but for one by its instance_id. Raises psycopg.Error."""
    return [f"process {process} on {host}" for host, process in raw.execute(locks.SERVERS, (but,))]


def upgrade(address: PostgresAddress, revision: str) -> None:
    """Applies the migrations up to `revision`. Raises StoreError; the database is then as it was before."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    def migration() -> Any:
        raw = connect(address, read_only=False).raw
        # A large store takes longer than a group of writes.
        raw.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        raw.autocommit = False
        return raw

    engine = create_engine("postgresql+psycopg://", creator=migration, poolclass=NullPool)
    try:
        with engine.begin() as connection:
            migrate(connection, revision)
    except psycopg.Error as error:
        raise store_error(error, address) from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None)
        said = store_error(cause, address).message if isinstance(cause, psycopg.Error) else str(error)
        raise StoreError(
            StoreErrorKind.SCHEMA,
            f"The store {address} could not be brought to schema {revision}: {said} It is unchanged; start "
            "the server version that wrote it, and report this.",
        ) from error
    finally:
        engine.dispose()
