"""Statements as text: SQLAlchemy's expression language writes them once, running them costs nothing per call."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from sqlalchemy import ClauseElement, Column, Table, bindparam, literal_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler

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


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """SQL text and the names of its parameters in order."""

    sql: str
    names: tuple[str, ...]

    def taker(self) -> Callable[[Any], tuple[Any, ...]]:
        """A function that takes the parameters from an object's attributes."""
        return attrgetter(*self.names)


def compiled(clause: ClauseElement, columns: Iterable[str] | None = None) -> Statement:
    """The text of a clause; `columns` are those that an INSERT or UPDATE sets."""
    keys = None if columns is None else list(columns)
    result: Any = clause.compile(dialect=_DIALECT, column_keys=keys)
    return Statement(str(result), tuple(result.positiontup or ()))


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
    """A hint for `Select.with_hint`: the statement uses this index, or fails."""
    return f"INDEXED BY {name}"


def insert_missing(table: Table) -> Statement:
    """Inserts a whole row unless its key is there."""
    return compiled(sqlite.insert(table).on_conflict_do_nothing(), table.columns.keys())


def upsert(table: Table, updated: Iterable[str]) -> Statement:
    """Inserts a whole row, or updates these columns of the one that has its key."""
    insert = sqlite.insert(table)
    clause = insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: insert.excluded[name] for name in updated},
    )
    return compiled(clause, table.columns.keys())
