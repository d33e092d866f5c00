"""`crucible store check`: reads all of a store and tells what is wrong with it."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.proto import parse_length_prefixed

from crucible.v1 import execution_pb2, script_pb2, script_service_pb2, security_pb2, value_pb2

from . import check_statements as s
from .connection import connect, database_path
from .errors import StoreError, StoreErrorKind, store_error
from .records import OutputSegment, UnitRecord
from .schema import REVISIONS, revision_of
from .sql import QUEUED, RUNNING
from .tables import metadata

Progress = Callable[[int, int], None]
"""Called with what is done and the total, in a unit that means nothing by itself."""

_MAX_PROBLEMS = 100
_TELL_EVERY = 256


@dataclass(slots=True)
class CheckReport:
    """What `check_store` found. Without problems the store is whole."""

    problems: list[str] = field(default_factory=list)
    """One sentence each; after a hundred, the last says that there are more."""
    scripts: int = 0
    units: int = 0
    executions: int = 0
    output_segments: int = 0
    bytes: int = 0
    """Size of the database with its log."""
    revision: str = ""


def check_store(
    url: str,
    *,
    is_sealed: Callable[[UnitRecord], bool] | None = None,
    script_id_of: Callable[[bytes], str] | None = None,
    progress: Progress = lambda done, total: None,
) -> CheckReport:
    """Reads the whole store as it is at this moment, also while a server writes to it, and changes nothing.

    `is_sealed` tells whether the seal of byte code is right, `script_id_of` the id of a serialized ScriptSource;
    without them neither is checked. Raises StoreError when there is no store, it cannot be read at all, or it has
    the schema of another version.
    """
    path = database_path(url)
    with reading(path) as connection:
        revision = revision_of(connection, path)
        if revision != REVISIONS[-1]:
            raise StoreError(
                StoreErrorKind.SCHEMA,
                f"The store {path} has schema {revision or 'none'}; expected {REVISIONS[-1]}. Use the version of "
                "Crucible that wrote it, or start this server on it once, which upgrades it.",
            )
        check = _Check(connection, is_sealed, script_id_of, progress)
        check.run()
    files = (path, path.with_name(path.name + "-wal"))
    check.report.bytes = sum(file.stat().st_size for file in files if file.exists())
    check.report.revision = revision
    return check.report


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection on which all is read as of one moment. Raises StoreError, also for what SQLite raises within."""
    if not path.exists():
        raise StoreError(
            StoreErrorKind.UNAVAILABLE,
            f"There is no store at {path}. Check the path, or `store_url`; a server makes its store when it starts.",
        )
    try:
        connection = connect(path, read_only=True, immutable=_is_immutable(path))
        try:
            connection.execute("BEGIN")
            # The moment is that of the first look, not of the BEGIN.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise store_error(error, path) from error


def _is_immutable(path: Path) -> bool:
    # Without write access and without a log there is no server either, and SQLite could make no log to read by.
    return not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()


class _Check:
    def __init__(
        self,
        connection: sqlite3.Connection,
        is_sealed: Callable[[UnitRecord], bool] | None,
        script_id_of: Callable[[bytes], str] | None,
        progress: Progress,
    ) -> None:
        self.report = CheckReport()
        self._connection = connection
        self._is_sealed = is_sealed
        self._script_id_of = script_id_of
        self._progress = progress
        self._done = 0
        self._total = 0

    def run(self) -> None:
        parts = (self._scripts, self._names, self._units, self._executions, self._outputs)
        tables = list(metadata.tables)
        # A page of the integrity check takes about as long as a row of the others.
        for statement in s.COUNTS:
            self._total += int(self._one(statement.sql) or 0)
        pages = int(self._one("PRAGMA page_count") or 0)
        self._total += pages
        for table in tables:
            self._guarded(lambda table=table: self._integrity(table))  # type: ignore[misc]
            self._advance(pages // len(tables))
        for part in parts:
            self._guarded(part)
        self._progress(self._total, self._total)

    def _one(self, sql: str) -> Any:
        try:
            return self._connection.execute(sql).fetchone()[0]
        except sqlite3.DatabaseError:
            # What cannot be counted is found to be damaged below.
            return None

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except sqlite3.DatabaseError as error:
            self._problem(f"The database is damaged: {error}. Restore a backup.")

    def _problem(self, text: str) -> None:
        problems = self.report.problems
        if len(problems) < _MAX_PROBLEMS:
            problems.append(text)
        elif len(problems) == _MAX_PROBLEMS:
            problems.append("There are more problems than are listed here.")

    def _advance(self, number: int = 1) -> None:
        before = self._done // _TELL_EVERY
        self._done = min(self._done + number, self._total)
        if self._done // _TELL_EVERY != before:
            self._progress(self._done, self._total)

    def _integrity(self, table: str) -> None:
        for (text,) in self._connection.execute(f"PRAGMA integrity_check({table})"):
            if text != "ok":
                self._problem(f"Table {table}: {text}.")

    def _scripts(self) -> None:
        for tenant, script_id, functions, source, is_counted, is_referenced in self._rows(s.SCRIPTS.sql):
            self.report.scripts += 1
            what = f"Script {script_id} of tenant {tenant}"
            self._parse(script_pb2.CompiledScript, functions, f"{what}: its functions")
            self._parse(script_pb2.ScriptSource, source, f"{what}: its source")
            if self._script_id_of is not None:
                self._identity(what, script_id, source)
            if not is_counted:
                self._problem(f"{what} has no row of figures: it cannot be found.")
            if not is_referenced:
                self._problem(f"{what} belongs to nobody: nobody can delete it.")

    def _identity(self, what: str, script_id: str, source: bytes) -> None:
        assert self._script_id_of is not None
        try:
            actual = self._script_id_of(source)
        except DecodeError:
            return
        if actual != script_id:
            self._problem(f"{what}: its source has the id {actual}. It is not what was stored under that id.")

    def _names(self) -> None:
        for tenant, name, script_id in self._connection.execute(s.LOOSE_NAMES.sql):
            self._problem(f"The name {name!r} of tenant {tenant} points at {script_id}, which is not there.")
        for row in self._connection.execute("PRAGMA foreign_key_check"):
            if row[0] != "script_names":
                self._problem(f"Table {row[0]}: a row (rowid {row[1]}) belongs to no row of {row[2]}.")

    def _units(self) -> None:
        for row in self._rows(s.UNITS.sql):
            self.report.units += 1
            unit = UnitRecord(*row)
            what = f"Byte code {unit.unit_key} of script {unit.script_id}"
            self._parse(script_service_pb2.CompileScriptResponse, unit.compiled, f"{what}: its description")
            if self._is_sealed is not None and not self._is_sealed(unit):
                self._problem(f"{what}: its seal is not right. It is not used, and compiled anew when needed.")

    def _executions(self) -> None:
        for row in self._rows(s.EXECUTIONS.sql):
            self.report.executions += 1
            tenant, execution_id, state, end_time, last_sequence, limits, result, request, value, stored = row
            what = f"Execution {execution_id} of tenant {tenant}"
            self._parse(security_pb2.ResourceLimits, limits, f"{what}: its limits")
            self._parse(execution_pb2.ExecutionContext, request, f"{what}: its request")
            self._parse(execution_pb2.ExecutionResult, result, f"{what}: its result")
            self._parse(value_pb2.Value, value, f"{what}: its return value")
            if state not in execution_pb2.ExecutionState.values() or state == 0:
                self._problem(f"{what} is in the state {state}, which does not exist.")
            elif state not in (QUEUED, RUNNING):
                if result is None or end_time is None:
                    self._problem(f"{what} has ended without a result or a time.")
                if stored is not None and stored > last_sequence:
                    self._problem(f"{what}: its output goes to {stored}, beyond its end at {last_sequence}.")

    def _outputs(self) -> None:
        last: tuple[str, str, int] = ("", "", 0)
        for tenant, execution_id, is_orphan, *fields in self._rows(s.SEGMENTS.sql):
            self.report.output_segments += 1
            segment = OutputSegment(*fields)
            what = f"Output of execution {execution_id} of tenant {tenant}"
            is_first = last[:2] != (tenant, execution_id)
            if is_first and is_orphan:
                self._problem(f"{what}: there is no such execution.")
            expected = 1 if is_first else last[2] + 1
            if segment.first_sequence != expected:
                self._problem(f"{what}: chunk {expected} should follow but {segment.first_sequence} does.")
            if not _is_whole(segment):
                self._problem(f"{what}: the chunks from {segment.first_sequence} on are not what was stored.")
            last = (tenant, execution_id, segment.last_sequence)

    def _rows(self, sql: str) -> Iterator[tuple[Any, ...]]:
        for row in self._connection.execute(sql):
            yield row
            self._advance()

    def _parse(self, kind: type[Message], data: bytes | None, what: str) -> None:
        try:
            if data is not None:
                kind.FromString(data)
        except (DecodeError, TypeError):
            # Other programs may leave text where bytes were.
            self._problem(f"{what} cannot be read.")


def _is_whole(segment: OutputSegment) -> bool:
    stream = io.BytesIO(segment.data)
    sequence, stdout, stderr = segment.first_sequence, 0, 0
    try:
        while stream.tell() < len(segment.data):
            chunk = parse_length_prefixed(execution_pb2.ExecutionChunk, stream)
            if chunk is None or chunk.sequence != sequence:
                return False
            sequence += 1
            stdout += len(chunk.stdout.encode())
            stderr += len(chunk.stderr.encode())
    except (DecodeError, ValueError):
        return False
    return (sequence - 1, stdout, stderr) == (segment.last_sequence, segment.stdout_bytes, segment.stderr_bytes)
