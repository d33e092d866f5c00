"""Compiles one source in a child of its own."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass

from crucible.v1 import script_pb2
from crucible.vm.v1 import child_pb2
from crucible_server.engine import bounds
from crucible_server.engine.admission import Admission
from crucible_server.engine.crashes import CrashLimit
from crucible_server.engine.identity import Toolchain
from crucible_server.engine.interpreter import Interpreter
from crucible_server.engine.job import Job, Kind
from crucible_server.engine.sources import source_size
from crucible_server.errors import ErrorKind, ServiceError
from crucible_server.policy.grants import Grant
from crucible_server.telemetry.place import recorder, span

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


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the compiler made of a source."""

    script: script_pb2.CompiledScript | None
    """None when it does not compile."""
    unit: bytes
    """Byte code; empty when there is none."""
    diagnostics: tuple[script_pb2.Diagnostic, ...]
    rendered: str
    seconds: float


class Compiler:
    """Runs compile jobs, few at once, and counts them."""

    def __init__(self, interpreter: Interpreter, admission: Admission, crashes: CrashLimit) -> None:
        self._interpreter = interpreter
        self._admission = admission
        self._crashes = crashes
        self.compilations = 0
        self.failed_compilations = 0
        self.compile_seconds = 0.0
        """Of all compilations together."""

    @property
    def toolchain(self) -> Toolchain:
        """What compiles at the moment."""
        ready = self._interpreter.ready
        return Toolchain(ready.vm_version, ready.rune_version, ready.rune_patch_level)

    async def compile(self, source: script_pb2.ScriptSource, grant: Grant, script_id: str) -> Compiled:
        """Compiles a source. Raises ServiceError when no compiler can be had, not for what does not compile."""
        start = child_pb2.Start(
            protocol_version=1,
            seed=secrets.token_bytes(32),
            start_time_ns=time.time_ns(),
            limits=bounds.job_limits(grant.compile_limits),
            security_level=grant.level,
            modules=grant.modules,
            compile=child_pb2.CompileJob(source=source),
        )
        job = Job(start, None, host_call=None)
        with span("compile", facts={"crucible.script.id": script_id}):
            await self._run(job, grant)
        result = job.result
        is_compiled = isinstance(result, child_pb2.CompileResult) and bool(result.unit)
        self.compilations += 1
        self.failed_compilations += not is_compiled
        self.compile_seconds += job.elapsed
        recorder().compiled(job.elapsed, success=is_compiled)
        if not isinstance(result, child_pb2.CompileResult):
            return _failed(job)
        rendered = result.rendered[:_MAX_RENDERED]
        if not is_compiled:
            return Compiled(None, b"", tuple(result.diagnostics), rendered, job.elapsed)
        script = script_pb2.CompiledScript(
            script_id=script_id,
            functions=[f for f in result.functions if f.is_public] + [f for f in result.functions if not f.is_public],
            modules=result.modules,
            security_level=grant.level,
            bytecode_bytes=len(result.unit),
            source_bytes=source_size(source),
            rune_version=self.toolchain.rune_version,
            rune_patch_level=self.toolchain.patch_level,
        )
        script.compile_time.FromMicroseconds(result.compile_time_us)
        return Compiled(script, result.unit, tuple(result.diagnostics), rendered, job.elapsed)

    async def _run(self, job: Job, grant: Grant) -> None:
        self._crashes.check(grant.tenant, grant.principal)
        # Few at once: a compiler keeps its processor busy. Apart from executions, so that long ones do not hold it up.
        limits = bounds.child_limits(grant.compile_limits)
        ticket = self._admission.enter(grant.principal, None)
        try:
            await ticket.turn
            await job.run(await self._interpreter.take(limits), limits)
        finally:
            self._admission.leave(ticket)
        if job.is_crash:
            self._crashes.note(grant.tenant, grant.principal)


def _failed(job: Job) -> Compiled:
    failure = job.failure
    assert failure is not None
    code = _LIMIT_CODES.get(failure.kind)
    if code is None or job.is_interpreter_lost:
        raise ServiceError(ErrorKind.ERROR_KIND_UNAVAILABLE, f"compiling failed: {failure.message}", retry_after=0.5)
    message = f"while compiling: {failure.message}"
    diagnostic = script_pb2.Diagnostic(severity=script_pb2.SEVERITY_ERROR, message=message, code=code)
    return Compiled(None, b"", (diagnostic,), f"error: {message}\n", job.elapsed)
