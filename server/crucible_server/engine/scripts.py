"""Scripts: from a source, an id or a name to byte code that may run."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from crucible.v1 import execution_pb2, script_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.engine import bounds
from crucible_server.engine.admission import Admission
from crucible_server.engine.cache import CompiledUnit, UnitCache
from crucible_server.engine.identity import Toolchain, UnitSeal, script_id, unit_key
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.job import Job, Kind
from crucible_server.engine.output import OutputLog
from crucible_server.errors import ErrorKind, FieldViolation, ServiceError, invalid
from crucible_server.policy.grants import Grant
from crucible_server.policy.levels import Limits
from crucible_server.store import ScriptRecord, Store, UnitRecord

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,127}\Z")
_MAX_VIOLATIONS = 16
_MAX_PATH_BYTES = 255
_MAX_FILES = 1000
_MAX_RENDERED = 64 * 1024

# Ends of a compile child that are the source's doing: reported as a diagnostic rather than as a fault.
_LIMIT_CODES = {
    Kind.EXECUTION_ERROR_KIND_STACK_OVERFLOW: "limit.stack",
    Kind.EXECUTION_ERROR_KIND_MEMORY_EXCEEDED: "limit.memory",
    Kind.EXECUTION_ERROR_KIND_TIMEOUT: "limit.time",
    Kind.EXECUTION_ERROR_KIND_CPU_TIME_EXCEEDED: "limit.time",
    Kind.EXECUTION_ERROR_KIND_SECURITY_VIOLATION: "security.syscall",
    Kind.EXECUTION_ERROR_KIND_CRASHED: "compiler.crash",
}

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Compilation:
    """What came of compiling: a unit, or only diagnostics."""

    unit: CompiledUnit | None
    diagnostics: Sequence[script_pb2.Diagnostic]
    rendered: str
    cached: bool


class Scripts:
    """Finds byte code in memory, then in the store, and compiles what is in neither."""

    def __init__(
        self, interpreter: Interpreter, admission: Admission, store: Store, seal: UnitSeal, cache: UnitCache
    ) -> None:
        self._interpreter = interpreter
        self._admission = admission
        self._store = store
        self._seal = seal
        self.cache = cache
        self._compiling: dict[str, asyncio.Task[Compilation]] = {}
        self.compilations = 0
        self.failed_compilations = 0

    @property
    def toolchain(self) -> Toolchain:
        """What compiles at the moment."""
        ready = self._interpreter.ready
        return Toolchain(ready.vm_version, ready.rune_version, ready.rune_patch_level)

    async def compile(
        self, source: script_pb2.ScriptSource, grant: Grant, *, name: str = "", force: bool = False
    ) -> Compilation:
        """Compiles a source, unless its byte code is there, and stores it; points `name` at it when given.

        Raises ServiceError for a malformed source or name and when no compiler can be had, not for a source that
        does not compile.
        """
        _check_source(source, grant.limits)
        if name:
            check_name(name, "context.name")
        script = script_id(source)
        key = unit_key(grant.tenant, script, self.toolchain, grant.modules)
        if not force:
            unit = await self._find(key, grant.tenant, script)
            if unit is not None:
                if name:
                    await self._store.put_script(self._record(source, grant, unit), None, name)
                return Compilation(unit, unit.diagnostics, unit.rendered, cached=True)
        # A stampede on one cold script compiles once; a caller that leaves does not take the others' result along.
        task = self._compiling.get(key)
        if task is None:
            task = asyncio.create_task(self._compile(source, grant, script, key, name))
            self._compiling[key] = task
            task.add_done_callback(lambda _: self._compiling.pop(key, None))
            return await asyncio.shield(task)
        compilation = await asyncio.shield(task)
        if name and compilation.unit is not None:
            await self._store.put_script(self._record(source, grant, compilation.unit), None, name)
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
                check_name(context.script_name, "context.script_name")
                found = await self._store.resolve_name(grant.tenant, context.script_name)
                if found is None:
                    raise _not_found(f"no script has the name {context.script_name!r}")
                script = found
            key = unit_key(grant.tenant, script, self.toolchain, grant.modules)
            unit = await self._find(key, grant.tenant, script)
            if unit is not None:
                return unit
            record = await self._store.get_script(grant.tenant, script)
            if record is None:
                raise _not_found(f"no script has the id {script[:80]!r}")
            compilation = await self.compile(script_pb2.ScriptSource.FromString(record.source), grant)
        if compilation.unit is None:
            raise compilation_error(compilation)
        return compilation.unit

    async def _find(self, key: str, tenant: str, script: str) -> CompiledUnit | None:
        unit = self.cache.get(key)
        if unit is not None:
            return unit
        stored = await self._store.get_unit(key)
        if stored is None:
            return None
        record = await self._store.get_script(tenant, script)
        if record is None:
            return None
        if not self._seal.is_valid(key, stored.unit, stored.mac):
            log.error("unit_seal_broken", unit_key=key, script_id=script)
            return None
        compiled = script_pb2.CompiledScript.FromString(record.functions)
        unit = CompiledUnit.of(key, stored.unit, compiled)
        self.cache.put(unit)
        return unit

    async def _compile(
        self, source: script_pb2.ScriptSource, grant: Grant, script: str, key: str, name: str
    ) -> Compilation:
        start = child_pb2.Start(
            protocol_version=1,
            seed=secrets.token_bytes(32),
            start_time_ns=time.time_ns(),
            limits=bounds.job_limits(grant.limits),
            security_level=grant.level,
            modules=grant.modules,
            compile=child_pb2.CompileJob(source=source),
        )
        job = Job(start, OutputLog(), host_call=None)
        await self._run(job, grant)
        self.compilations += 1
        result = job.result
        if not isinstance(result, child_pb2.CompileResult):
            self.failed_compilations += 1
            return _failed(job)
        diagnostics = tuple(result.diagnostics)
        rendered = result.rendered[:_MAX_RENDERED]
        if not result.unit:
            self.failed_compilations += 1
            return Compilation(None, diagnostics, rendered, cached=False)
        compiled = script_pb2.CompiledScript(
            script_id=script,
            functions=[f for f in result.functions if f.is_public] + [f for f in result.functions if not f.is_public],
            modules=result.modules,
            security_level=grant.level,
            bytecode_bytes=len(result.unit),
            source_bytes=source_size(source),
            rune_version=self.toolchain.rune_version,
            rune_patch_level=self.toolchain.patch_level,
        )
        compiled.compile_time.FromMicroseconds(result.compile_time_us)
        unit = CompiledUnit.of(key, result.unit, compiled, diagnostics, rendered)
        now = time.time_ns()
        await self._store.put_script(
            self._record(source, grant, unit),
            UnitRecord(key, grant.tenant, script, unit.unit, self._seal.seal(key, unit.unit), now),
            name or None,
        )
        self.cache.put(unit)
        return Compilation(unit, diagnostics, rendered, cached=False)

    async def _run(self, job: Job, grant: Grant) -> None:
        # Few at once: a compiler keeps its processor busy. Apart from executions, so that long ones do not hold it up.
        limits = bounds.child_limits(grant.limits)
        ticket = self._admission.enter(grant.principal, None)
        try:
            await ticket.turn
            await job.run(await self._interpreter.take(limits), limits)
        finally:
            self._admission.leave(ticket)

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


def source_size(source: script_pb2.ScriptSource) -> int:
    """Bytes of all files together."""
    return len(source.source.encode()) + sum(len(text.encode()) for text in source.files.values())


def check_name(name: str, field: str) -> None:
    """Refuses what cannot be a script's name."""
    if not _NAME.match(name):
        raise invalid(field, f"expected 1 to 128 letters, digits, `_`, `-`, `.`, `/`, got {name[:80]!r}")


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
    )


def _with_hint(diagnostic: script_pb2.Diagnostic) -> str:
    return f"{diagnostic.message}; {diagnostic.hint}" if diagnostic.hint else diagnostic.message


def _check_source(source: script_pb2.ScriptSource, limits: Limits) -> None:
    if not source.source:
        raise invalid("source.source", "expected the text of a script, got an empty one")
    size = source_size(source)
    if limits.max_source_bytes is not None and size > limits.max_source_bytes:
        raise ServiceError(
            ErrorKind.ERROR_KIND_RESOURCE_EXCEEDED,
            f"source.source: expected at most {limits.max_source_bytes} bytes with all included files, got {size}",
            quota="max_source_bytes",
        )
    if len(source.file_name.encode()) > _MAX_PATH_BYTES:
        size = len(source.file_name.encode())
        raise invalid("source.file_name", f"expected at most {_MAX_PATH_BYTES} bytes, got {size}")
    if len(source.files) > _MAX_FILES:
        raise invalid("source.files", f"expected at most {_MAX_FILES} files, got {len(source.files)}")
    for path in source.files:
        parts = path.split("/")
        is_long = len(path.encode()) > _MAX_PATH_BYTES
        if is_long or not path.endswith(".rn") or any(part in ("", ".", "..") for part in parts):
            raise invalid(
                f"source.files[{path[:80]!r}]",
                f"expected a relative path such as `util.rn` or `util/mod.rn`, of at most {_MAX_PATH_BYTES} bytes",
            )


def _failed(job: Job) -> Compilation:
    failure = job.failure
    assert failure is not None
    code = _LIMIT_CODES.get(failure.kind)
    if code is None or job.is_interpreter_lost:
        raise ServiceError(ErrorKind.ERROR_KIND_UNAVAILABLE, f"compiling failed: {failure.message}", retry_after=0.5)
    message = f"while compiling: {failure.message}"
    diagnostic = script_pb2.Diagnostic(severity=script_pb2.SEVERITY_ERROR, message=message, code=code)
    return Compilation(None, (diagnostic,), f"error: {message}\n", cached=False)


def _not_found(message: str) -> ServiceError:
    return ServiceError(
        ErrorKind.ERROR_KIND_SCRIPT_NOT_FOUND,
        f"{message}; compile it first, or send its source with the call",
    )
