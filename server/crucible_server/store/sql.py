"""Statements as text: SQLAlchemy's expression language writes them once, running them costs nothing per call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

from sqlalchemy import BigInteger, ClauseElement, Column, Dialect, Table, bindparam, literal_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

QUEUED = 1
RUNNING = 2
SUCCEEDED = 3
INTERRUPTED = 6


class _Compiler(SQLiteCompiler):
    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text

    def limit_clause(self, select: Any, **kw: Any) -> str:
        # Without the OFFSET that SQLAlchemy adds for SQLite's sake, and with it a parameter of no name.
        return "\n LIMIT " + str(self.process(select._limit_clause, **kw))


_DIALECT = sqlite.dialect(paramstyle="qmark")
_DIALECT.statement_compiler = _Compiler


class larger(FunctionElement[int]):  # noqa: N801
    """The larger of two numbers, neither of which is null: its name differs between the databases."""

    type = BigInteger()
    inherit_cache = True


@compiles(larger, "sqlite")
def _larger_of_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return f"max({compiler.process(element.clauses, **kw)})"


@compiles(larger, "postgresql")
def _larger_of_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **kw)})"


class Statement:
    """SQL text for either database and the names of its parameters, in the same order in both."""

    def __init__(
        self, clause: ClauseElement, columns: Iterable[str] | None, other: Callable[[], ClauseElement] | None = None
    ) -> None:
        self._clause = other or (lambda: clause)
        self._columns = None if columns is None else list(columns)
        self.sql, self.names = self._text(clause, _DIALECT)
        """The text for SQLite, and the names."""

    @cached_property
    def postgresql(self) -> str:
        """The text for PostgreSQL, made when it is first asked for: most servers never do."""
        text, names = self._text(self._clause(), _postgresql())
        assert names == self.names, (names, self.names)
        return text

    def taker(self) -> Callable[[Any], tuple[Any, ...]]:
        """A function that takes the parameters from an object's attributes."""
        return attrgetter(*self.names)

    def _text(self, clause: ClauseElement, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
        result: Any = clause.compile(dialect=dialect, column_keys=self._columns)
        return str(result), tuple(result.positiontup or ())


@cache
def _postgresql() -> Dialect:
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    return PGDialect_psycopg(paramstyle="format")  # type: ignore[no-untyped-call]


def compiled(clause: ClauseElement, columns: Iterable[str] | None = None) -> Statement:
    """The text of a clause; `columns` are those that an INSERT or UPDATE sets."""
    return Statement(clause, columns)


def compiled_insert(build: Callable[[Any], ClauseElement], columns: Iterable[str] | None = None) -> Statement:
    """The text of what `build` makes from the `insert` of either dialect: ON CONFLICT is an extension of both."""

    def other() -> ClauseElement:
        from sqlalchemy.dialects import postgresql

        return build(postgresql.insert)

    return Statement(build(sqlite.insert), columns, other)


def fields(record: type, *, without: Iterable[str] = ()) -> tuple[str, ...]:
    """The names of a record's fields in order."""
    return tuple(field.name for field in dataclasses.fields(record) if field.name not in set(without))


def equals(column: Column[Any]) -> Any:
    """A comparison with a parameter of the column's name."""
    return column == bindparam(column.name)


def number(value: int) -> Any:
    """A number written into the text: partial indexes are only chosen by what the text says."""
    return literal_column(str(value))


def indexed_by(name: str) -> str:
    """A hint for SQLite, to be given to `Select.with_hint`: the statement uses this index, or fails."""
    return f"INDEXED BY {name}"


def insert_missing(table: Table) -> Statement:
    """Inserts a whole row unless its key is there."""
    return compiled_insert(lambda insert: insert(table).on_conflict_do_nothing(), table.columns.keys())


def upsert(
    table: Table, updated: Iterable[str] = (), values: Callable[[Any], dict[str, Any]] | None = None
) -> Statement:
    """Inserts a whole row, or updates these columns of the one that has its key, or those of `values`."""

    def build(insert: Any) -> ClauseElement:
        clause = insert(table)
        made = {} if values is None else values(clause.excluded)
        changes = {**{name: clause.excluded[name] for name in updated}, **made}
        result: ClauseElement = clause.on_conflict_do_update(
            index_elements=list(table.primary_key.columns), set_=changes
        )
        return result

    return compiled_insert(build, table.columns.keys())
