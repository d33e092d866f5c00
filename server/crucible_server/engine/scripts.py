"""Scripts: from a source, an id or a name to byte code that may run."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from crucible.v1 import execution_pb2, script_pb2, script_service_pb2
from crucible_server.engine import story
from crucible_server.engine.cache import CompiledUnit, UnitCache
from crucible_server.engine.compiler import Compiler
from crucible_server.engine.identity import UnitSeal, script_id, unit_key
from crucible_server.engine.sources import check_name, check_source, source_size
from crucible_server.errors import ErrorKind, FieldViolation, ServiceError, invalid
from crucible_server.events.journal import EventSink
from crucible_server.policy.grants import Grant
from crucible_server.store import ScriptRecord, Store, UnitRecord

_MAX_VIOLATIONS = 16
# Scripts that are known to be stored for a principal; any other is stored once more, which changes nothing.
_MAX_REFERENCES = 10_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Compilation:
    """What came of compiling: a unit, or only diagnostics."""

    unit: CompiledUnit | None
    diagnostics: Sequence[script_pb2.Diagnostic]
    rendered: str
    cached: bool


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Byte code that is asked for. Without a source it has to be stored."""

    unit_key: str
    script_id: str
    source: script_pb2.ScriptSource | None
    force: bool


class Scripts:
    """Finds byte code in memory, then in the store, and compiles what is in neither."""

    def __init__(
        self,
        compiler: Compiler,
        store: Store,
        seal: UnitSeal,
        cache: UnitCache,
        events: EventSink,
        *,
        is_caching: bool,
    ) -> None:
        """Without `is_caching` every call compiles, and byte code is not stored."""
        self.compiler = compiler
        self._store = store
        self._seal = seal
        self._events = events
        self.is_caching = is_caching
        """Whether byte code is kept, in memory and in the store."""
        self.cache = cache
        self._obtaining: dict[tuple[str, bool, bool], asyncio.Task[Compilation]] = {}
        self._references: OrderedDict[tuple[str, str, str], None] = OrderedDict()
        self._used: dict[tuple[str, str], int] = {}
        self._forgettings = 0
        self._is_sweeping = False

    async def compile(
        self, source: script_pb2.ScriptSource, grant: Grant, *, name: str = "", force: bool = False
    ) -> Compilation:
        """Compiles a source, unless its byte code is there, and stores it; points `name` at it when given.

        Raises ServiceError for a malformed source or name and when no compiler can be had, not for a source that
        does not compile.
        """
        check_source(source, grant.limits)
        if name:
            check_name(name, "context.name")
        script = script_id(source)
        key = unit_key(grant.tenant, script, self.compiler.toolchain, grant.modules)
        compilation = await self._obtain(_Wanted(key, script, source, force), grant)
        unit = compilation.unit
        if unit is not None:
            self._used[grant.tenant, script] = time.time_ns()
            await self._keep(source, grant, compilation, unit, name)
        return compilation

    async def resolve(self, context: execution_pb2.ExecutionContext, grant: Grant) -> CompiledUnit:
        """The byte code of what an execution names: an id, a name, or a source.

        Raises ServiceError: SCRIPT_NOT_FOUND, COMPILATION_ERROR, SECURITY_VIOLATION, VALIDATION_ERROR.
        """
        which = context.WhichOneof("script")
        if which == "source":
            compilation = await self.compile(context.source, grant)
        elif which is None:
            raise invalid("context.script", "expected one of script_id, script_name, source; got none")
        else:
            script = context.script_id
            if which == "script_name":
                script = await self.id_of_name(grant.tenant, context.script_name, "context.script_name")
            key = unit_key(grant.tenant, script, self.compiler.toolchain, grant.modules)
            compilation = await self._obtain(_Wanted(key, script, None, False), grant)
        if compilation.unit is None:
            raise compilation_error(compilation)
        return compilation.unit

    async def _keep(
        self, source: script_pb2.ScriptSource, grant: Grant, compilation: Compilation, unit: CompiledUnit, name: str
    ) -> None:
        """Has the script stored as this principal's, under the name if there is one."""
        script = unit.script_id
        is_stored = (grant.tenant, script, grant.principal) in self._references
        if is_stored and not name:
            return
        # What has just been compiled was stored with that: the name is all that is left, unless it was deleted since.
        is_new = is_stored and not compilation.cached
        if is_new and await self._store.name_script(grant.tenant, name, script, time.time_ns()):
            return
        # Where it was deleted since it was compiled, it is stored anew, and told anew.
        told = story.compiled(self._events, grant, script, 0.0, None)
        await self._store.put_script(
            self._record(source, grant, unit), None, name or None, lambda is_new: told if is_new else ()
        )
        self._refer(grant, script)

    async def id_of_name(self, tenant: str, name: str, field: str) -> str:
        """The id of the script that a name points at; `field` is where the name came from.

        Raises ServiceError: VALIDATION_ERROR, SCRIPT_NOT_FOUND.
        """
        check_name(name, field)
        found = await self._store.resolve_name(tenant, name)
        if found is None:
            raise no_such_name(name)
        return found

    def forget(self, tenant: str, script: str, unit_keys: Iterable[str]) -> None:
        """A script is no longer stored: neither is its byte code to be found here."""
        self.forget_units(unit_keys)
        self._used.pop((tenant, script), None)
        for reference in [each for each in self._references if each[:2] == (tenant, script)]:
            del self._references[reference]

    def forget_all(self) -> None:
        """Any script may have been deleted: what is known of those that are stored is looked up again."""
        self._forgettings += 1
        self._references.clear()
        self.cache.clear()

    def forget_units(self, unit_keys: Iterable[str]) -> None:
        """Scripts with this byte code are no longer stored."""
        self._forgettings += 1
        self.cache.discard(unit_keys)

    @contextlib.contextmanager
    def sweeping(self) -> Iterator[None]:
        """While scripts are deleted for their age or number: each that is compiled is stored once more, and stays."""
        self._is_sweeping = True
        self._references.clear()
        self.flush_uses()
        try:
            yield
        finally:
            self._is_sweeping = False

    async def settle(self) -> None:
        """Waits until nothing is being compiled."""
        while self._obtaining:
            await asyncio.wait(self._obtaining.values())

    def flush_uses(self) -> None:
        """Notes in the store when scripts were last used by being compiled; executions note it themselves."""
        used, self._used = self._used, {}
        self._store.touch_scripts([(*key, moment) for key, moment in used.items()])

    def _refer(self, grant: Grant, script: str) -> None:
        if self._is_sweeping:
            return
        self._references[grant.tenant, script, grant.principal] = None
        if len(self._references) > _MAX_REFERENCES:
            self._references.popitem(last=False)

    async def _obtain(self, wanted: _Wanted, grant: Grant) -> Compilation:
        if self.is_caching and not wanted.force:
            unit = self.cache.get(wanted.unit_key)
            if unit is not None:
                return Compilation(unit, unit.diagnostics, unit.rendered, cached=True)
        # A stampede on one cold script compiles once; a caller that leaves does not take the others' result along.
        # Whoever brings the source is not told that the script is not stored.
        kind = (wanted.unit_key, wanted.source is None, wanted.force)
        task = self._obtaining.get(kind)
        if task is None:
            task = asyncio.create_task(self._find_or_compile(wanted, grant))
            self._obtaining[kind] = task
            task.add_done_callback(partial(self._obtained, kind))
        return await asyncio.shield(task)

    def _obtained(self, kind: tuple[str, bool, bool], task: asyncio.Task[Compilation]) -> None:
        self._obtaining.pop(kind, None)
        # All who waited may have left.
        if not task.cancelled():
            task.exception()

    async def _find_or_compile(self, wanted: _Wanted, grant: Grant) -> Compilation:
        if self.is_caching and not wanted.force:
            unit = await self._find(wanted, grant)
            if unit is not None:
                return Compilation(unit, unit.diagnostics, unit.rendered, cached=True)
        source = wanted.source
        if source is None:
            source = await self._stored_source(grant.tenant, wanted.script_id)
        return await self._compile(source, grant, wanted)

    async def _stored_source(self, tenant: str, script: str) -> script_pb2.ScriptSource:
        record = await self._store.get_script(tenant, script)
        if record is None:
            raise no_such_script(script)
        source = script_pb2.ScriptSource.FromString(record.source)
        if script_id(source) != script:
            log.error("source_damaged", script_id=script)
            raise ServiceError(
                ErrorKind.ERROR_KIND_INTERNAL_ERROR,
                f"the stored source of script {script} is not the one it was stored with; compile the script again, "
                "and have the operator run `crucible store check`",
            )
        return source

    async def _find(self, wanted: _Wanted, grant: Grant) -> CompiledUnit | None:
        key, forgettings = wanted.unit_key, self._forgettings
        stored = await self._store.get_unit(key)
        if stored is None:
            return None
        if not self._seal.is_valid(stored):
            self.cache.rejections += 1
            log.error("unit_rejected", unit_key=key, script_id=wanted.script_id, reason="its seal is broken")
            await self._store.drop_unit(key, stored.mac)
            return None
        compiled = script_service_pb2.CompileScriptResponse.FromString(stored.compiled)
        unit = CompiledUnit.of(
            key, stored.unit, compiled.script, tuple(compiled.diagnostics), compiled.rendered_diagnostics, grant.tenant
        )
        # It may have been deleted since it was read.
        if self._forgettings == forgettings:
            if self.cache.has_room(unit):
                self._events.post(story.cached(self._events, grant, unit))
            self._take_into_memory(unit)
        return unit

    def resize_cache(self, max_entries: int, max_bytes: int) -> None:
        """Other bounds of byte code in memory from now on."""
        self._tell_evicted(self.cache.resize(max_entries, max_bytes))

    def _take_into_memory(self, unit: CompiledUnit) -> None:
        self._tell_evicted(self.cache.put(unit))

    def _tell_evicted(self, evicted: list[CompiledUnit]) -> None:
        if evicted:
            self._events.post(*(story.evicted(self._events, each) for each in evicted))

    async def _compile(self, source: script_pb2.ScriptSource, grant: Grant, wanted: _Wanted) -> Compilation:
        compiled = await self.compiler.compile(source, grant, wanted.script_id)
        diagnostics, rendered = compiled.diagnostics, compiled.rendered
        if compiled.script is None:
            gravest = _gravest(diagnostics)
            await self._events.tell(story.compiled(self._events, grant, wanted.script_id, compiled.seconds, gravest))
            return Compilation(None, diagnostics, rendered, cached=False)
        unit = CompiledUnit.of(wanted.unit_key, compiled.unit, compiled.script, diagnostics, rendered, grant.tenant)
        told = story.compiled(self._events, grant, wanted.script_id, compiled.seconds, None)
        if self.is_caching and self.cache.has_room(unit):
            told.append(story.cached(self._events, grant, unit))
        await self._store.put_script(self._record(source, grant, unit), self._sealed(unit, grant.tenant), None, told)
        self._refer(grant, wanted.script_id)
        if self.is_caching:
            self._take_into_memory(unit)
        return Compilation(unit, diagnostics, rendered, cached=False)

    def _sealed(self, unit: CompiledUnit, tenant: str) -> UnitRecord | None:
        if not self.is_caching:
            return None
        compiled = script_service_pb2.CompileScriptResponse(
            success=True, script=unit.script, diagnostics=unit.diagnostics, rendered_diagnostics=unit.rendered
        ).SerializeToString()
        mac = self._seal.seal(unit.unit_key, compiled, unit.unit)
        return UnitRecord(
            unit_key=unit.unit_key,
            tenant=tenant,
            script_id=unit.script_id,
            toolchain=self.compiler.toolchain.name,
            compiled=compiled,
            unit=unit.unit,
            mac=mac,
            create_time=time.time_ns(),
        )

    @staticmethod
    def _record(source: script_pb2.ScriptSource, grant: Grant, unit: CompiledUnit) -> ScriptRecord:
        now = time.time_ns()
        return ScriptRecord(
            tenant=grant.tenant,
            script_id=unit.script_id,
            principal=grant.principal,
            create_time=now,
            last_used_time=now,
            source_bytes=source_size(source),
            source=source.SerializeToString(deterministic=True),
            functions=unit.script.SerializeToString(deterministic=True),
        )


def _gravest(diagnostics: Iterable[script_pb2.Diagnostic]) -> script_pb2.Diagnostic:
    errors = [each for each in diagnostics if each.severity == script_pb2.SEVERITY_ERROR]
    # What its level forbids is the gravest of them.
    errors.sort(key=lambda each: not each.code.startswith("security."))
    return errors[0] if errors else script_pb2.Diagnostic(message="the source does not compile")


def compilation_error(compilation: Compilation) -> ServiceError:
    """The error of a call that needed a script which does not compile."""
    errors = [d for d in compilation.diagnostics if d.severity == script_pb2.SEVERITY_ERROR]
    blocked = any(d.code.startswith("security.") for d in errors)
    first = errors[0] if errors else script_pb2.Diagnostic(message="the source does not compile")
    place = f" at {first.span.file or 'main.rn'}:{first.span.line}:{first.span.column}" if first.span.line else ""
    return ServiceError(
        ErrorKind.ERROR_KIND_SECURITY_VIOLATION if blocked else ErrorKind.ERROR_KIND_COMPILATION_ERROR,
        f"the script does not compile: {first.message}{place}"
        + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""),
        violations=tuple(
            FieldViolation(f"context.source:{d.span.line}:{d.span.column}", _with_hint(d))
            for d in errors[:_MAX_VIOLATIONS]
        ),
        metadata={"line": str(first.span.line), "column": str(first.span.column), "code": first.code},
        # As a compilation.
        is_told=True,
    )


def _with_hint(diagnostic: script_pb2.Diagnostic) -> str:
    return f"{diagnostic.message}; {diagnostic.hint}" if diagnostic.hint else diagnostic.message


def no_such_script(script: str) -> ServiceError:
    """An id that no script of the tenant has."""
    return not_found(f"no script has the id {script[:80]!r}")


def no_such_name(name: str) -> ServiceError:
    """A name that points at nothing."""
    return not_found(f"no script has the name {name!r}")


def not_found(message: str) -> ServiceError:
    """A script that is not there."""
    return ServiceError(
        ErrorKind.ERROR_KIND_SCRIPT_NOT_FOUND,
        f"{message}; compile it first, or send its source with the call",
    )
