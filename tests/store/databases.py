"""Databases of either kind, and a look into them beside the store."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from crucible_server.store import schema
from crucible_server.store.address import PostgresAddress, address_of
from crucible_server.store.postgresql.schema import upgrade
from tests.postgresql import PostgresServer


class StoreDatabase(Protocol):
    """A place for a store. Statements are written with `?` for each parameter."""

    kind: str
    url: str

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""

    def change(self, statement: str, *parameters: Any) -> int:
        """Executes a statement and commits it; how many rows it changed."""

    def change_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Executes a statement for each row of parameters."""

    def upgrade(self, revision: str) -> None:
        """Brings an empty or older database to a revision."""

    def tables(self) -> set[str]:
        """The names of its tables."""

    def indexes(self) -> set[str]:
        """The names of its indexes, those of primary keys apart."""

    def dump(self) -> list[object]:
        """All that is in it, to be compared, but for who uses it."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """While another program holds what a store writes to."""


class SqliteFile:
    """A file."""

    kind = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = f"sqlite:///{path}"

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(exist_ok=True)
        return sqlite3.connect(self.path, isolation_level=None)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(self._connect()) as connection:
            return connection.execute(statement, parameters).fetchall()

    def change(self, statement: str, *parameters: Any) -> int:
        with contextlib.closing(self._connect()) as connection:
            return connection.execute(statement, parameters).rowcount

    def change_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with contextlib.closing(self._connect()) as connection:
            connection.execute("BEGIN")
            connection.executemany(statement, rows)
            connection.execute("COMMIT")

    def upgrade(self, revision: str) -> None:
        self.path.parent.mkdir(exist_ok=True)
        schema.upgrade(self.path, revision)

    def tables(self) -> set[str]:
        return {name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def indexes(self) -> set[str]:
        return {
            name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        }

    def dump(self) -> list[object]:
        with contextlib.closing(self._connect()) as connection:
            return list(connection.iterdump())

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        other = self._connect()
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()


class PostgresDatabase:
    """A database of the server of the tests."""

    kind = "postgresql"

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name
        self.url = server.url(name)

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(self.server.connect(self.name)) as connection:
            return connection.execute(_with_s(statement), parameters or None).fetchall()

    def change(self, statement: str, *parameters: Any) -> int:
        with contextlib.closing(self.server.connect(self.name)) as connection:
            return connection.execute(_with_s(statement), parameters or None).rowcount

    def change_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with contextlib.closing(self.server.connect(self.name)) as connection, connection.cursor() as cursor:
            cursor.executemany(_with_s(statement), rows)

    def upgrade(self, revision: str) -> None:
        address = address_of(self.url)
        assert isinstance(address, PostgresAddress)
        upgrade(address, revision)

    def tables(self) -> set[str]:
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        return {name for (name,) in self.rows(query)}

    def indexes(self) -> set[str]:
        query = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE '%_pkey'"
        return {name for (name,) in self.rows(query)}

    def dump(self) -> list[object]:
        found: list[object] = [sorted(self.indexes())]
        for table in sorted(self.tables() - {"servers"}):
            found += [table, sorted(map(repr, self.rows(f'SELECT * FROM "{table}"')))]
        return found

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        with contextlib.closing(self.server.connect(self.name)) as other, other.transaction():
            other.execute("LOCK TABLE executions, scripts, script_names, units, probes, settings IN EXCLUSIVE MODE")
            yield


def _with_s(statement: str) -> Any:
    return statement.replace("?", "%s")
