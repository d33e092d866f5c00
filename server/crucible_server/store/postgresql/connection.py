"""PostgreSQL connections, set up for their part."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.types.numeric import Int8BinaryDumper, Int8Dumper
from psycopg.types.string import StrDumper

from crucible_server.store.address import PostgresAddress
from crucible_server.store.announcements import EventsStored, News, ServicesChanged, Told, encode
from crucible_server.store.sql import Statement

from . import locks

Raw: TypeAlias = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 5
"""How long a server that does not answer is waited for."""
_DEFAULTS = {
    "connect_timeout": str(CONNECT_SECONDS),
    "application_name": "crucible",
    # A peer that is gone without a word is noticed within half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
# Whoever stands still in the middle of a group holds up all servers: the database then takes the lock away.
IDLE_SECONDS = 5
"""How long a writer may stand still within its transaction before the database undoes it."""
LOCK_SECONDS = 8
"""How long the locks of others are waited for: longer than one that stands still may hold them."""
_STATEMENT_SECONDS = 60


class ReadingStrDumper(StrDumper):
    """Texts of PostgreSQL hold no NUL, so nothing is found by one that does; the driver would refuse to ask."""

    def dump(self, obj: str) -> Any:
        """The text as bytes."""
        # A character that is none, and in no name or id.
        return super().dump(obj.replace("\0", "\uffff") if "\0" in obj else obj)


class PostgresConnection:
    """A connection of psycopg, `raw`, in autocommit mode, that executes the store's statements."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.close = raw.close
        self.news: dict[type, News] = {}
        """What is to be announced with the commit; what was undone leaves its news here, which does no harm."""

    def execute(self, statement: Statement, parameters: Sequence[Any] = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        """See `Connection`."""
        return self.raw.execute(statement.postgresql, parameters, binary=True)

    def execute_many(self, statement: Statement, rows: Iterable[Sequence[Any]]) -> None:
        """See `Connection`."""
        with self.raw.cursor() as cursor:
            cursor.executemany(statement.postgresql, rows)

    def stream(self, statement: Statement) -> Iterator[tuple[Any, ...]]:
        """See `Connection`."""
        with self.raw.cursor("rows") as cursor:
            cursor.itersize = 500
            cursor.execute(statement.postgresql, binary=True)
            yield from cursor

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """See `Connection`."""
        self.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            yield
        finally:
            # It may be gone, which whatever failed within has told.
            with contextlib.suppress(psycopg.OperationalError):
                self.raw.execute("ROLLBACK")

    @contextmanager
    def erasing(self) -> Iterator[None]:
        """See `Connection`: PostgreSQL itself frees the room of deleted rows later, when it vacuums."""
        yield

    def end_lapsed_leases(self) -> None:
        """See `Connection`. A database that has just started gives all servers the time to come back."""
        self.raw.execute(locks.END_LAPSED)

    def announce(self, announcement: Told) -> None:
        """See `Connection`."""
        if isinstance(announcement, (EventsStored, ServicesChanged)):
            self.news[type(announcement)] = announcement
            return
        self.raw.execute("SELECT pg_notify(%s, %s)", (locks.CHANNEL, encode(announcement)))

    def may_sweep(self) -> bool:
        """See `Connection`."""
        return self.raw.execute(locks.TRY_TO_SWEEP).fetchone() == (True,)

    def interrupt(self) -> None:
        """See `Connection`."""
        with contextlib.suppress(psycopg.Error):
            self.raw.cancel_safe(timeout=CONNECT_SECONDS)


def connect(address: PostgresAddress, *, read_only: bool) -> PostgresConnection:
    """A connection in autocommit mode that may be handed from thread to thread. Raises psycopg.Error."""
    given = {**_DEFAULTS, **address.parameters}
    if address.password is not None:
        given["password"] = address.password
    raw: Raw = psycopg.connect(**given, autocommit=True, client_encoding="utf8")  # type: ignore[arg-type]
    try:
        settings = [f"SET statement_timeout = '{_STATEMENT_SECONDS}s'", f"SET lock_timeout = '{LOCK_SECONDS}s'"]
        if read_only:
            settings.append("SET default_transaction_read_only = on")
            raw.adapters.register_dumper(str, ReadingStrDumper)
        else:
            settings.append(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
            # Off would lose acknowledged writes when the database crashes; what else is set is the operator's choice.
            settings.append(
                "SELECT set_config('synchronous_commit', 'on', false) "
                "WHERE current_setting('synchronous_commit') = 'off'"
            )
        raw.execute("; ".join(settings))
        # One width for all numbers, so that one statement is prepared once.
        raw.adapters.register_dumper(int, Int8Dumper)
        raw.adapters.register_dumper(int, Int8BinaryDumper)
    except BaseException:
        raw.close()
        raise
    return PostgresConnection(raw)
