"""Frames that a child must not send: the first one kills it, and nothing that it said counts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from crucible.v1 import error_pb2, value_pb2
from crucible.vm.v1 import child_pb2, zygote_pb2
from crucible_server.engine.child import Child
from crucible_server.engine.job import FRAMES_PER_SECOND, Job, Kind
from crucible_server.engine.output import OutputLog
from crucible_server.store import OutputSegment

LIMITS = zygote_pb2.ChildLimits(wall_time_ms=60_000)
PATIENCE = 20.0
NULL = value_pb2.Value(null_value=value_pb2.NullValue())


def frame(sequence: int, **content: object) -> bytes:
    data = child_pb2.ChildFrame(sequence=sequence, **content).SerializeToString()  # type: ignore[arg-type]
    return struct.pack("<I", len(data)) + data


def output(sequence: int, data: bytes) -> bytes:
    return frame(sequence, output=child_pb2.Output(data=data))


def result(sequence: int, number: int = 42) -> bytes:
    value = child_pb2.ExecuteResult(operations_count=1)
    value.value.int_value = number
    return frame(sequence, execute_result=value)


def nested(levels: int) -> child_pb2.ExecuteResult:
    value = child_pb2.ExecuteResult()
    inner = value.value
    for _ in range(levels - 1):
        inner = inner.list_value.values.add()
    inner.int_value = 1
    return value


def failed(**error: object) -> bytes:
    """A result that is an error."""
    value = child_pb2.ExecuteResult(error=error_pb2.ExecutionError(**error))  # type: ignore[arg-type]
    return frame(1, execute_result=value)


def profiled(*samples: child_pb2.ProfileSample) -> bytes:
    """A result with a profile of one place."""
    profile = child_pb2.Profile(names=["main"], places=[child_pb2.ProfilePlace(line=1)], samples=samples)
    return frame(1, execute_result=child_pb2.ExecuteResult(value=NULL, operations_count=1, profile=profile))


def without_outcome() -> bytes:
    return frame(1, execute_result=child_pb2.ExecuteResult())


async def nothing_to_keep(segment: OutputSegment) -> None:
    raise AssertionError(f"so little output does not need the store, but {segment.last_sequence} chunks came")


async def nothing_to_load(after: int) -> OutputSegment | None:
    raise AssertionError(f"nothing was stored, but what comes after {after} is asked for")


HOSTILE = {
    "a length beyond every limit": struct.pack("<I", 0xFFFFFFFF),
    "bytes that are no frame": struct.pack("<I", 4) + b"\xff\xff\xff\xff",
    "an empty frame": frame(1),
    "a wrong sequence number": output(2, b"x"),
    "a sequence number again": output(1, b"x") + output(1, b"y"),
    "output that is not UTF-8": output(1, b"\xff"),
    "empty output": output(1, b""),
    "output beyond one frame": output(1, b"x" * (64 * 1024 + 1)),
    "output beyond its limit": output(1, b"x" * 600) + output(2, b"x" * 600),
    "the result of another job": frame(1, compile_result=child_pb2.CompileResult(unit=b"x")),
    "a result without an outcome": without_outcome(),
    "a result beyond 32 levels": frame(1, execute_result=nested(33)),
    "output after the result": result(1) + output(2, b"x"),
    "two results": result(1) + result(2, 43),
    "bytes after the result": result(1) + b"\x01",
    "figures that cannot be": frame(1, execute_result=child_pb2.ExecuteResult(value=NULL, operations_count=2**64 - 1)),
    "an error of no kind": failed(message="x"),
    "an error of an unknown kind": failed(kind=12345, message="x"),
    "an error with too many stack frames": failed(kind=1, stack_trace=[error_pb2.StackFrame()] * 65),
    "an error with a long message": failed(kind=1, message="x" * 300_000),
    "a profile that nobody asked for": profiled(child_pb2.ProfileSample(places=[0], instructions=1)),
    "a host call with a long name": frame(1, host_call=child_pb2.HostCall(call_id=1, name="x" * 129)),
    "a host call out of order": frame(1, host_call=child_pb2.HostCall(call_id=7, name="crucible.basic.log")),
    "a flood of small frames": b"".join(output(n, b"x") for n in range(1, 8 * FRAMES_PER_SECOND)),
}


@dataclass
class Hostile:
    """A child whose process is harmless and whose socket is in our hands."""

    child: Child
    process: subprocess.Popen[bytes]
    theirs: socket.socket


@pytest.fixture
async def hostile() -> AsyncIterator[Hostile]:
    with subprocess.Popen(["sleep", "60"]) as process:
        ours, theirs = socket.socketpair()
        with theirs:
            child = Child(1)
            child.attach(ours, os.pidfd_open(process.pid))
            try:
                yield Hostile(child, process, theirs)
            finally:
                process.kill()
                process.wait()
                if not child.ended.done():
                    child.lost()


def job() -> Job:
    limits = child_pb2.JobLimits(output_bytes=1000, return_bytes=1000, max_host_calls=10)
    start = child_pb2.Start(protocol_version=1, limits=limits, execute=child_pb2.ExecuteJob(function="main"))

    async def refuse(_call: child_pb2.HostCall) -> None:
        raise AssertionError("this call was never to be made")

    return Job(start, OutputLog(nothing_to_keep, nothing_to_load), refuse)  # type: ignore[arg-type]


async def conclude(hostile: Hostile, data: bytes) -> Job:
    """Lets the child say this, end, and be reaped with the code of one that is done."""
    running = job()
    task = asyncio.create_task(running.run(hostile.child, LIMITS))
    await asyncio.sleep(0)
    hostile.theirs.setblocking(False)
    # It may be cut off in the middle of it.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(hostile.theirs, data), PATIENCE)
    hostile.theirs.close()
    for _ in range(5):
        await asyncio.sleep(0.001)
    hostile.child.reaped(zygote_pb2.Exited(child_id=1, exit_code=0))
    await asyncio.wait_for(task, PATIENCE)
    return running


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_frame_that_does_not_fit_ends_the_child(hostile: Hostile, name: str) -> None:
    concluded = await conclude(hostile, HOSTILE[name])
    assert concluded.result is None
    assert concluded.failure is not None
    assert concluded.failure.kind == Kind.EXECUTION_ERROR_KIND_CRASHED
    assert "broke the protocol" in concluded.failure.message


async def test_a_proper_result_counts(hostile: Hostile) -> None:
    """The same path with nothing wrong: the tests above fail for what they name."""
    concluded = await conclude(hostile, output(1, b"hi") + result(2))
    assert concluded.failure is None
    assert isinstance(concluded.result, child_pb2.ExecuteResult)
    assert concluded.result.value.int_value == 42
    assert concluded.output is not None
    assert concluded.output.stdout_bytes == 2


async def test_the_process_behind_a_wrong_frame_is_killed(hostile: Hostile) -> None:
    task = asyncio.create_task(job().run(hostile.child, LIMITS))
    await asyncio.sleep(0)
    hostile.theirs.sendall(output(9, b"x"))
    async with asyncio.timeout(PATIENCE):
        while hostile.process.poll() is None:
            await asyncio.sleep(0.001)
    hostile.child.reaped(zygote_pb2.Exited(child_id=1, signal=9))
    await asyncio.wait_for(task, PATIENCE)


async def test_an_exit_code_that_lies_does_not_make_a_result(hostile: Hostile) -> None:
    """Done, says the code, but nothing was sent."""
    concluded = await conclude(hostile, output(1, b"x"))
    assert concluded.result is None
    assert concluded.failure is not None
