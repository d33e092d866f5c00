"""`crucible store check`: reads all of a store and tells what is wrong with it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from google.protobuf.proto import parse_length_prefixed

from crucible.v1 import (
    config_pb2,
    event_pb2,
    execution_pb2,
    registry_pb2,
    script_pb2,
    script_service_pb2,
    security_pb2,
    server_info_pb2,
    value_pb2,
)

from . import check_statements as s
from .address import SqliteAddress, address_of
from .database import Connection
from .errors import StoreError, StoreErrorKind
from .event_records import ServiceRecord
from .records import OutputSegment, UnitRecord
from .schema import REVISIONS
from .sql import QUEUED, RUNNING, Statement
from .tables import metadata

_Message = TypeVar("_Message", bound=Message)
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
    events: int = 0
    services: int = 0
    config_revisions: int = 0
    bytes: int = 0
    """Size of the database with its log."""
    revision: str = ""


class Inspection(Protocol):
    """What a database knows of its own soundness, and what is read of it, all as of one moment."""

    revision: str | None
    bytes: int
    """Size of the database with its log."""
    units: int
    """How long its own checks take, compared with a row of the others."""
    errors: tuple[type[Exception], ...]
    """What the driver raises when it meets damage."""

    @property
    def connection(self) -> Connection:
        """Reads."""

    def damage_of(self, table: str) -> Iterator[str]:
        """What is wrong with the pages and indexes of a table."""

    def loose_rows(self) -> Iterator[str]:
        """Rows that belong to none."""


def check_store(
    url: str,
    *,
    password: str | None = None,
    is_sealed: Callable[[UnitRecord], bool] | None = None,
    script_id_of: Callable[[bytes], str] | None = None,
    progress: Progress = lambda done, total: None,
) -> CheckReport:
    """Reads the whole store as it is at this moment, also while a server writes to it, and changes nothing.

    `is_sealed` tells whether the seal of byte code is right, `script_id_of` the id of a serialized ScriptSource;
    without them neither is checked. Raises StoreError when there is no store, it cannot be read at all, or it has
    the schema of another version.
    """
    address = address_of(url, password)
    opened: AbstractContextManager[Inspection]
    if isinstance(address, SqliteAddress):
        from .sqlite_inspection import inspecting

        opened = inspecting(address.path)
    else:
        from .postgresql.inspection import inspecting as inspecting_postgresql

        opened = inspecting_postgresql(address)
    with opened as inspection:
        if inspection.revision != REVISIONS[-1]:
            raise StoreError(
                StoreErrorKind.SCHEMA,
                f"The store {address} has schema {inspection.revision or 'none'}; expected {REVISIONS[-1]}. Use the "
                "version of Crucible that wrote it, or start this server on it once, which upgrades it.",
            )
        check = _Check(inspection, is_sealed, script_id_of, progress)
        check.run()
    check.report.bytes = inspection.bytes
    check.report.revision = inspection.revision
    return check.report


class _Check:
    def __init__(
        self,
        inspection: Inspection,
        is_sealed: Callable[[UnitRecord], bool] | None,
        script_id_of: Callable[[bytes], str] | None,
        progress: Progress,
    ) -> None:
        self.report = CheckReport()
        self._inspection = inspection
        self._connection = inspection.connection
        self._is_sealed = is_sealed
        self._script_id_of = script_id_of
        self._progress = progress
        self._done = 0
        self._total = 0

    def run(self) -> None:
        parts = (
            self._scripts,
            self._names,
            self._units,
            self._executions,
            self._outputs,
            self._events,
            self._services,
            self._configuration,
        )
        tables = list(metadata.tables)
        pages = self._inspection.units
        self._total = pages + sum(map(self._count, s.COUNTS))
        for table in tables:
            self._guarded(lambda table=table: self._integrity(table))  # type: ignore[misc]
            self._advance(pages // len(tables))
        for part in parts:
            self._guarded(part)
        self._progress(self._total, self._total)

    def _count(self, statement: Statement) -> int:
        try:
            return int(self._connection.execute(statement).fetchone()[0])
        except self._inspection.errors:
            # What cannot be counted is found to be damaged below.
            return 0

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except self._inspection.errors as error:
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
        for text in self._inspection.damage_of(table):
            self._problem(f"Table {table}: {text}.")

    def _scripts(self) -> None:
        for tenant, script_id, functions, source, is_counted, is_referenced in self._rows(s.SCRIPTS):
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
        for tenant, name, script_id in self._connection.execute(s.LOOSE_NAMES):
            self._problem(f"The name {name!r} of tenant {tenant} points at {script_id}, which is not there.")
        for text in self._inspection.loose_rows():
            self._problem(text)

    def _units(self) -> None:
        for row in self._rows(s.UNITS):
            self.report.units += 1
            unit = UnitRecord(*row)
            what = f"Byte code {unit.unit_key} of script {unit.script_id}"
            self._parse(script_service_pb2.CompileScriptResponse, unit.compiled, f"{what}: its description")
            if self._is_sealed is not None and not self._is_sealed(unit):
                self._problem(f"{what}: its seal is not right. It is not used, and compiled anew when needed.")

    def _executions(self) -> None:
        for row in self._rows(s.EXECUTIONS):
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
        for tenant, execution_id, is_orphan, *fields in self._rows(s.SEGMENTS):
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

    def _events(self) -> None:
        # Deleted are the oldest alone.
        positions = self._connection.execute(s.POSITION).fetchall()
        last = positions[0][0] if positions else None
        if last is None:
            self._problem("It is not known up to which number events were deleted: no event can be stored.")
        for sequence, type_name, principal, script_id, time, data in self._rows(s.EVENTS):
            self.report.events += 1
            what = f"Event {sequence}"
            if last is not None and sequence != last + 1:
                self._problem(f"{what}: event {last + 1} should come before it, and is not there.")
            last = sequence
            event = self._parse(event_pb2.Event, data, what)
            if event is not None and (event.type, event.principal, event.script_id, event.time.ToNanoseconds()) != (
                type_name,
                principal,
                script_id,
                time,
            ):
                self._problem(f"{what} is not what it is found by: type, principal, script or time is another.")

    def _services(self) -> None:
        for row in self._rows(s.SERVICES):
            self.report.services += 1
            service = ServiceRecord(*row)
            what = f"Server {service.service_id}"
            if service.tenant:
                what = f"Service {service.service_id} of tenant {service.tenant}"
            info = self._parse(registry_pb2.ServiceInfo, service.info, f"{what}: its description")
            self._parse(registry_pb2.HealthCheckConfig, service.health_check, f"{what}: its health check")
            if info is not None and (info.service_id, info.service_type) != (service.service_id, service.service_type):
                self._problem(f"{what} describes itself as {info.service_id} of type {info.service_type}.")
            if service.lease_ns <= 0:
                self._problem(f"{what} has a lease of {service.lease_ns} ns: no heartbeat can keep it.")
            if service.status not in server_info_pb2.ServiceStatus.values() or service.status == 0:
                self._problem(f"{what} has the status {service.status}, which does not exist.")

    def _configuration(self) -> None:
        last = None
        for version, changes, overlay in self._rows(s.CONFIG_REVISIONS):
            self.report.config_revisions += 1
            what = f"Version {version} of the configuration"
            if last is not None and version != last + 1:
                self._problem(f"{what}: version {last + 1} should come before it, and is not there.")
            last = version
            self._parse(config_pb2.ConfigRevision, changes, f"{what}: its changes")
            if not _is_overlay(overlay):
                self._problem(f"{what}: what it sets cannot be read.")

    def _rows(self, statement: Statement) -> Iterator[tuple[Any, ...]]:
        for row in self._connection.stream(statement):
            yield row
            self._advance()

    def _parse(self, kind: type[_Message], data: bytes | None, what: str) -> _Message | None:
        try:
            return None if data is None else kind.FromString(data)
        except (DecodeError, TypeError):
            # Other programs may leave text where bytes were.
            self._problem(f"{what} cannot be read.")
            return None


def _is_overlay(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, TypeError):
        return False


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
