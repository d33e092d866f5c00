"""One job in one child: feeds it, checks every frame it sends, and names its end.

Nothing that the child reports authorises anything: exit codes and errors are words for the caller.
"""

from __future__ import annotations

import asyncio
import contextvars
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from crucible.v1 import error_pb2, execution_pb2, value_pb2
from crucible.vm.v1 import child_pb2, zygote_pb2
from crucible_server.engine import profiles, values
from crucible_server.engine.child import Child, FrameError
from crucible_server.engine.output import OutputLog

Kind = error_pb2.ExecutionErrorKind
HostCallHandler = Callable[[child_pb2.HostCall], Awaitable[value_pb2.Value]]

OUTPUT_CREDIT = 256 * 1024
"""Output bytes that a child may send ahead of the server."""
_CREDIT_STEP = OUTPUT_CREDIT // 4
_MAX_OUTPUT_FRAME = 64 * 1024
# Of a compiler: its own limit of memory leaves room for byte code of some megabytes.
_MAX_UNIT_FRAME = 16 * 1024 * 1024
_FRAME_BURST = 4_000
FRAMES_PER_SECOND = 4_000
"""Frames that a child may send in one second; one that sends more is killed."""
MAX_CALLS_IN_FLIGHT = 64
_MAX_CALL_NAME = 128
_MAX_FIGURE = 2**48
"""No child lives to count further; the store counts up to 2**63."""
_MAX_ERROR_BYTES = 256 * 1024
"""Of an error without its value: several times what the child cuts its texts to."""
_MAX_STACK_FRAMES = 64

log = structlog.get_logger()

# Reserved exit codes of crucible-vm (vm/src/exit.rs).
_EXITS: dict[int, tuple[Kind, str]] = {
    100: (Kind.EXECUTION_ERROR_KIND_INTERNAL, "the jail could not be built; see the server's log"),
    101: (Kind.EXECUTION_ERROR_KIND_INTERNAL, "the interpreter did not understand the server"),
    102: (Kind.EXECUTION_ERROR_KIND_MEMORY_EXCEEDED, "the interpreter process ran out of memory; keep less at once"),
    103: (Kind.EXECUTION_ERROR_KIND_CRASHED, "the interpreter panicked"),
    104: (
        Kind.EXECUTION_ERROR_KIND_STACK_OVERFLOW,
        "the native stack overflowed: a value or an expression is nested too deeply, or contains itself",
    ),
    105: (
        Kind.EXECUTION_ERROR_KIND_CPU_TIME_EXCEEDED,
        "the script used more processor time than {} s and was killed; make it do less or raise max_cpu_time",
    ),
    106: (Kind.EXECUTION_ERROR_KIND_CANCELLED, "the interpreter lost its server"),
    107: (Kind.EXECUTION_ERROR_KIND_CRASHED, "the interpreter accessed invalid memory"),
}


class HostCallError(Exception):
    """A host call that returns `Err` to the script, with this message."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a job is ended from outside."""

    kind: Kind
    message: str
    limit_name: str = ""
    """The limit that was reached, and its value; a time in milliseconds."""
    limit_value: int = 0


class Job:
    """Runs once. After `run`, exactly one of `result` and `failure` is set."""

    def __init__(self, start: child_pb2.Start, output: OutputLog | None, host_call: HostCallHandler | None) -> None:
        """Without `output` or `host_call` the job may not write or call."""
        self.start = start
        self.output = output
        self.result: child_pb2.ExecuteResult | child_pb2.CompileResult | None = None
        self.failure: error_pb2.ExecutionError | None = None
        self.is_interpreter_lost = False
        """The child went with its zygote, or somebody killed it, which is no doing of the job."""
        self.is_crash = False
        """The child crashed: see `Child.crashed`."""
        self.usage = execution_pb2.ExecutionResult().resource_usage
        self.host_calls = 0
        self.elapsed = 0.0
        """Seconds from the start of the job to the end of its child."""
        self._host_call = host_call
        self._calls: set[asyncio.Task[None]] = set()
        self._child: Child | None = None
        self._ending: Ending | None = None
        self._uncredited = 0
        self._frames = 0
        self._started = 0.0
        self._context = contextvars.Context()
        self._limits = start.limits
        self._time_ns = 0

    async def run(self, child: Child, limits: zygote_pb2.ChildLimits) -> None:
        """Runs the job to its end in a child that was just taken with these limits."""
        self._child = child
        self._started = time.monotonic()
        # Frames arrive in the context of whoever had this child forked.
        self._context = contextvars.copy_context()
        self._time_ns = self.start.start_time_ns
        child.max_frame_bytes = max(self._limits.return_bytes + 65536, 1024 * 1024)
        if self.start.WhichOneof("job") == "compile":
            child.max_frame_bytes = _MAX_UNIT_FRAME
        elif self.start.execute.profile:
            child.max_frame_bytes += profiles.MAX_FRAME_BYTES
        if self._ending is not None:
            child.kill()
        if self.output is not None:
            self.output.on_room = self._credit
        # A spare is bounded by the zygote, which may come to it later than the spare to this.
        self.start.heap_bytes = limits.heap_bytes
        child.start(self.start, self)
        try:
            await child.ended
        except asyncio.CancelledError:
            child.kill()
            raise
        finally:
            for call in self._calls:
                call.cancel()
        self.elapsed = time.monotonic() - self._started
        self._conclude(child, limits)

    def end(self, ending: Ending) -> None:
        """Kills the child; the first reason given is the one reported."""
        if self._ending is None:
            self._ending = ending
        if self._child is not None:
            self._child.kill()

    async def room(self) -> None:
        """Waits until the child has taken what it was sent."""
        if self._child is not None:
            await self._child.drained()

    # -- frames

    def on_frame(self, frame: child_pb2.ChildFrame) -> bool:
        """Takes the next frame of the child; True for the result. Raises FrameError when it does not fit."""
        kind = frame.WhichOneof("frame")
        if self.result is not None:
            raise FrameError(f"{kind} after the result")
        self._frames += 1
        if self._frames > _FRAME_BURST + FRAMES_PER_SECOND * (time.monotonic() - self._started):
            raise FrameError(f"more than {FRAMES_PER_SECOND} frames a second")
        if kind == "output" and self.output is not None:
            self._on_output(frame.output, self.output)
        elif kind == "host_call" and self._host_call is not None:
            self._on_host_call(frame.host_call)
        elif kind == "execute_result" and self.start.WhichOneof("job") == "execute":
            self._on_execute_result(frame.execute_result)
        elif kind == "compile_result" and self.start.WhichOneof("job") == "compile":
            self.result = frame.compile_result
        else:
            raise FrameError(f"{kind or 'an empty frame'} does not belong to this job")
        return self.result is not None

    def _on_output(self, output: child_pb2.Output, log: OutputLog) -> None:
        size = len(output.data)
        if not 0 < size <= _MAX_OUTPUT_FRAME:
            raise FrameError(f"output of {size} bytes in one frame")
        try:
            text = output.data.decode()
        except UnicodeDecodeError:
            raise FrameError("output that is not UTF-8") from None
        limit = self._limits.output_bytes
        if limit and log.total_bytes + size > limit:
            raise FrameError("more output than its limit")
        self._uncredited += size
        if self._uncredited > OUTPUT_CREDIT:
            raise FrameError("more output than its credit")
        log.append(output.is_stderr, text, size)
        self._credit()

    def _credit(self) -> None:
        log = self.output
        if log is None or self._child is None:
            return
        if log.failure is not None:
            message = f"its output could not be stored: {log.failure.message}"
            self.end(Ending(Kind.EXECUTION_ERROR_KIND_INTERNAL, message))
        elif self._uncredited >= _CREDIT_STEP and not log.is_congested:
            credit = child_pb2.OutputCredit(bytes=self._uncredited)
            self._uncredited = 0
            self._child.send(child_pb2.ServerFrame(output_credit=credit))

    def _on_host_call(self, call: child_pb2.HostCall) -> None:
        self.host_calls += 1
        if call.call_id != self.host_calls:
            raise FrameError(f"expected host call {self.host_calls}, got {call.call_id}")
        if len(call.name) > _MAX_CALL_NAME:
            raise FrameError(f"a host call with a name of {len(call.name)} characters")
        if self._limits.max_host_calls and self.host_calls > self._limits.max_host_calls:
            raise FrameError("more host calls than its limit")
        if len(self._calls) >= MAX_CALLS_IN_FLIGHT:
            raise FrameError(f"more than {MAX_CALLS_IN_FLIGHT} host calls in flight")
        try:
            values.check(call.arguments)
        except values.InvalidValueError as error:
            raise FrameError(f"host call arguments: {error}") from None
        task = asyncio.get_running_loop().create_task(self._answer(call), context=self._context.copy())
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _answer(self, call: child_pb2.HostCall) -> None:
        assert self._host_call is not None
        reply = child_pb2.HostReply(call_id=call.call_id)
        try:
            reply.value.CopyFrom(await self._host_call(call))
        except HostCallError as error:
            reply.error = str(error)
        except Exception:
            # Whoever waits for the answer would wait for ever.
            log.exception("host_call_failed", call=call.name)
            reply.error = f"{call.name} failed inside the server; see its log"
        # Virtual time never goes back, whatever is done to the clock.
        self._time_ns = reply.time_ns = max(time.time_ns(), self._time_ns)
        if self._child is not None:
            self._child.send(child_pb2.ServerFrame(host_reply=reply))

    def _on_execute_result(self, result: child_pb2.ExecuteResult) -> None:
        outcome = result.WhichOneof("outcome")
        if outcome is None:
            raise FrameError("a result without an outcome")
        if max(result.operations_count, result.memory_bytes) > _MAX_FIGURE:
            raise FrameError(f"{result.operations_count} instructions and {result.memory_bytes} bytes in its result")
        if outcome == "error":
            _check_error(result.error)
        value = result.value if outcome == "value" else result.error.value
        if outcome == "value" or result.error.HasField("value"):
            try:
                values.check(value)
            except values.InvalidValueError as error:
                raise FrameError(f"result: {error}") from None
            size = value.ByteSize()
            if self._limits.return_bytes and size > self._limits.return_bytes:
                raise FrameError(f"a return value of {size} bytes")
        if result.HasField("profile"):
            self._check_profile(result)
        self.result = result

    def _check_profile(self, result: child_pb2.ExecuteResult) -> None:
        if not self.start.execute.profile:
            raise FrameError("a profile that nobody asked for")
        try:
            profiles.check(result.profile, result.operations_count)
        except profiles.InvalidProfileError as error:
            raise FrameError(str(error)) from None

    # -- the end

    def _conclude(self, child: Child, limits: zygote_pb2.ChildLimits) -> None:
        exited = child.exited
        self.is_crash = child.crashed
        usage = self.usage
        usage.host_calls_count = self.host_calls
        if exited is not None:
            usage.cpu_time.FromMicroseconds(exited.cpu_time_us)
            usage.max_resident_bytes = exited.max_resident_bytes
            usage.cpu_percentage = exited.cpu_time_us / 10_000 / max(self.elapsed, 1e-6)
        if isinstance(self.result, child_pb2.ExecuteResult):
            usage.operations_count = self.result.operations_count
            usage.memory_bytes = self.result.memory_bytes
        clean = exited is not None and exited.exit_code == 0 and exited.signal == 0
        if self.result is not None and clean and not child.violation:
            return
        self.result = None
        self.failure = self._name_failure(child, limits)

    def _name_failure(self, child: Child, limits: zygote_pb2.ChildLimits) -> error_pb2.ExecutionError:
        exited = child.exited
        error = error_pb2.ExecutionError()
        if self._ending is not None:
            error.CopyFrom(error_of(self._ending))
        elif exited is not None and exited.wall_time_exceeded:
            error.kind = Kind.EXECUTION_ERROR_KIND_TIMEOUT
            error.message = (
                f"the script ran longer than {limits.wall_time_ms / 1000:g} s and was killed; "
                "make it do less or raise max_execution_time"
            )
            error.limit_name, error.limit_value = "max_execution_time", limits.wall_time_ms
        elif exited is not None and exited.cpu_time_exceeded:
            error.kind, error.message = _EXITS[105]
        elif child.violation:
            error.kind = Kind.EXECUTION_ERROR_KIND_CRASHED
            error.message = f"the interpreter broke the protocol and was killed: {child.violation}"
        elif exited is None:
            self.is_interpreter_lost = True
            error.kind = Kind.EXECUTION_ERROR_KIND_CRASHED
            error.message = "the interpreter's parent process died and took the script with it; it was not run again"
        elif exited.signal == signal.SIGSYS:
            error.kind = Kind.EXECUTION_ERROR_KIND_SECURITY_VIOLATION
            error.message = "the interpreter attempted a forbidden system call and was killed"
        elif exited.signal == signal.SIGXCPU:
            error.kind, error.message = _EXITS[105]
        elif exited.signal:
            self.is_interpreter_lost = exited.signal == signal.SIGKILL
            error.kind = Kind.EXECUTION_ERROR_KIND_CRASHED
            error.message = f"the interpreter was killed by {_signal_name(exited.signal)}; the script was not run again"
        else:
            error.kind, error.message = _EXITS.get(
                exited.exit_code,
                (
                    Kind.EXECUTION_ERROR_KIND_CRASHED,
                    f"the interpreter ended with code {exited.exit_code}, no result",
                ),
            )
        if error.kind == Kind.EXECUTION_ERROR_KIND_MEMORY_EXCEEDED:
            error.limit_name, error.limit_value = "max_memory_bytes", self._limits.memory_bytes
        elif error.kind == Kind.EXECUTION_ERROR_KIND_CPU_TIME_EXCEEDED:
            error.limit_name, error.limit_value = "max_cpu_time", limits.cpu_time_ms
            error.message = error.message.replace("{}", f"{limits.cpu_time_ms / 1000:g}")
        return error


def error_of(ending: Ending) -> error_pb2.ExecutionError:
    """What is said of an execution that was ended from outside."""
    return error_pb2.ExecutionError(
        kind=ending.kind, message=ending.message, limit_name=ending.limit_name, limit_value=ending.limit_value
    )


def _check_error(error: error_pb2.ExecutionError) -> None:
    if error.kind not in Kind.values() or error.kind == Kind.EXECUTION_ERROR_KIND_UNSPECIFIED:
        raise FrameError(f"an error of kind {error.kind}")
    if len(error.stack_trace) > _MAX_STACK_FRAMES:
        raise FrameError(f"an error with {len(error.stack_trace)} stack frames")
    size = error.ByteSize() - error.value.ByteSize()
    if size > _MAX_ERROR_BYTES:
        raise FrameError(f"an error of {size} bytes")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
