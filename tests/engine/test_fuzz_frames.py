"""Whatever a child or a zygote may say, chosen by hypothesis: the server understands it, or ends who said it.

An exception that reaches the event loop fails these tests, and so does a job that never ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import tracemalloc
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crucible.v1 import value_pb2
from crucible.vm.v1 import child_pb2, zygote_pb2
from crucible_server.engine.child import Child
from crucible_server.engine.job import MAX_CALLS_IN_FLIGHT, HostCallHandler, Job, Kind
from crucible_server.engine.output import OutputLog
from crucible_server.store import OutputSegment
from tests.lengths import LONG, TIMEOUT

pytestmark = pytest.mark.timeout(TIMEOUT)

LIMITED = child_pb2.JobLimits(output_bytes=4000, return_bytes=1000, max_host_calls=20)
LIMITS = zygote_pb2.ChildLimits(wall_time_ms=60_000)
PATIENCE = 20.0
HEADER = struct.Struct("<I")
NULL = value_pb2.Value(null_value=value_pb2.NullValue())

fuzzed = settings(
    max_examples=20_000 if LONG else 300,
    derandomize=not LONG,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    database=None,
)


def scalars() -> st.SearchStrategy[value_pb2.Value]:
    return st.one_of(
        st.just(value_pb2.Value()),
        st.just(value_pb2.Value(null_value=value_pb2.NullValue())),
        st.builds(lambda n: value_pb2.Value(int_value=n), st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda n: value_pb2.Value(uint_value=n), st.integers(0, 2**64 - 1)),
        st.builds(lambda n: value_pb2.Value(double_value=n), st.floats()),
        st.builds(lambda t: value_pb2.Value(string_value=t), st.text(st.characters(exclude_categories=["Cs"]))),
        st.builds(lambda b: value_pb2.Value(bytes_value=b), st.binary(max_size=2000)),
    )


def nested(inner: st.SearchStrategy[value_pb2.Value]) -> st.SearchStrategy[value_pb2.Value]:
    def deep(value: value_pb2.Value, levels: int) -> value_pb2.Value:
        for _ in range(levels):
            value = value_pb2.Value(list_value=value_pb2.ListValue(values=[value]))
        return value

    return st.builds(deep, inner, st.sampled_from([0, 1, 2, 30, 31, 32, 33, 45]))


FIGURES = st.sampled_from([0, 1, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
CALL_IDS = st.one_of(st.integers(0, 4), FIGURES)
ERRORS: st.SearchStrategy[dict[str, object]] = st.builds(
    dict, kind=st.sampled_from([0, 1, 2, 5, 99, -1]), message=st.text(st.characters(codec="utf-8"), max_size=20)
)
CONTENTS: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.just({}),
    st.builds(
        lambda data, is_stderr: {"output": child_pb2.Output(data=data, is_stderr=is_stderr)},
        st.one_of(st.binary(max_size=40), st.text(st.characters(codec="utf-8"), min_size=1).map(str.encode)),
        st.booleans(),
    ),
    st.builds(
        lambda call_id, name, arguments: {
            "host_call": child_pb2.HostCall(call_id=call_id, name=name, arguments=arguments)
        },
        CALL_IDS,
        st.sampled_from(["crucible.http.request", "", "x" * 128, "x" * 129, "\x00"]),
        nested(scalars()),
    ),
    st.builds(
        lambda value, operations, memory: {
            "execute_result": child_pb2.ExecuteResult(value=value, operations_count=operations, memory_bytes=memory)
        },
        nested(scalars()),
        FIGURES,
        FIGURES,
    ),
    st.builds(lambda error: {"execute_result": {"error": error}}, ERRORS),
    st.builds(lambda unit: {"compile_result": child_pb2.CompileResult(unit=unit)}, st.binary()),
)
"""What is in a ChildFrame besides its sequence number."""


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Frames with the right numbers and lengths, or almost, then changed, cut off or neither."""
    stream = b""
    for number, content in enumerate(draw(st.lists(CONTENTS, max_size=6)), 1):
        sequence = draw(st.sampled_from([number] * 9 + [0]))
        data = child_pb2.ChildFrame(sequence=sequence, **content).SerializeToString()  # type: ignore[arg-type]
        stream += HEADER.pack(max(0, len(data) + draw(st.sampled_from([0] * 12 + [1, -1, 2**20, 2**31])))) + data
    for _ in range(draw(st.sampled_from([0, 0, 1, 3]))):
        at = draw(st.integers(0, len(stream)))
        stream = stream[:at] + draw(st.binary(max_size=3)) + stream[at + draw(st.integers(0, 3)) :]
    return stream[: draw(st.sampled_from([len(stream)] * 4 + [len(stream) // 2]))]


async def nothing_to_keep(segment: OutputSegment) -> None:
    raise AssertionError(f"so little output does not need the store, but {segment.last_sequence} chunks came")


async def nothing_to_load(after: int) -> OutputSegment | None:
    raise AssertionError(f"nothing was stored, but what comes after {after} is asked for")


async def null(_call: child_pb2.HostCall) -> value_pb2.Value:
    return value_pb2.Value(null_value=value_pb2.NullValue())


class Talk:
    """A job whose child's socket is in our hands."""

    def __init__(
        self,
        pid: int,
        is_compile: bool = False,
        limits: child_pb2.JobLimits = LIMITED,
        host_call: HostCallHandler = null,
    ) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.child = Child(1)
        self.child.attach(ours, os.pidfd_open(pid))
        start = child_pb2.Start(protocol_version=1, limits=limits)
        if is_compile:
            start.compile.SetInParent()
            self.job = Job(start, None, None)
        else:
            start.execute.function = "main"
            self.job = Job(start, OutputLog(nothing_to_keep, nothing_to_load), host_call)
        self.running = asyncio.create_task(self.job.run(self.child, LIMITS))

    async def say(self, data: bytes) -> None:
        """Says it, and lets the server listen. Once it does not listen any more, the rest is not said."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.theirs, data), PATIENCE)
        for _ in range(2):
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Hangs up, is reaped as one that ended well, and waits for what the server makes of it."""
        self.theirs.close()
        self.child.reaped(zygote_pb2.Exited(child_id=1, exit_code=0))
        await asyncio.wait_for(self.running, PATIENCE)


def on_a_loop(scene: Callable[[], Awaitable[None]]) -> None:
    """Runs it, and raises what the event loop would only have logged."""
    escaped: list[dict[str, object]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: escaped.append(context))
        await scene()

    asyncio.run(watched())
    for context in escaped:
        error = context.get("exception")
        raise error if isinstance(error, BaseException) else AssertionError(context["message"])


def check(talk: Talk) -> None:
    """Exactly one of result and failure, and the failure is the one that frames lead to."""
    job = talk.job
    assert (job.result is None) != (job.failure is None)
    if job.failure is not None:
        assert job.failure.kind == Kind.EXECUTION_ERROR_KIND_CRASHED
    else:
        assert not talk.child.violation
    if isinstance(job.result, child_pb2.ExecuteResult):
        assert job.result.value.ByteSize() <= LIMITED.return_bytes
    if job.output is not None:
        assert job.output.total_bytes <= LIMITED.output_bytes
    assert job.host_calls <= LIMITED.max_host_calls + 1


@fuzzed
@given(stream=streams(), is_compile=st.sampled_from([False, False, False, True]), parts=st.lists(st.integers(1, 60)))
def test_what_a_child_says(corpse: int, stream: bytes, is_compile: bool, parts: list[int]) -> None:
    async def scene() -> None:
        talk = Talk(corpse, is_compile)
        await asyncio.sleep(0)
        rest = stream
        for size in parts:
            await talk.say(rest[:size])
            rest = rest[size:]
        await talk.say(rest)
        await talk.end()
        check(talk)

    on_a_loop(scene)


@fuzzed
@given(noise=st.binary(max_size=300))
def test_noise(corpse: int, noise: bytes) -> None:
    async def scene() -> None:
        talk = Talk(corpse)
        await talk.say(noise)
        await talk.end()
        check(talk)
        assert talk.job.result is None

    on_a_loop(scene)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.sampled_from([1, 2, MAX_CALLS_IN_FLIGHT, MAX_CALLS_IN_FLIGHT + 1])),
        st.tuples(st.just("print"), st.sampled_from([1, 100, 60_000, 65_536])),
        st.tuples(st.just("result"), st.just(0)),
        st.tuples(st.just("wait"), st.just(0)),
        st.tuples(st.just("read"), st.sampled_from([1, 100, 1 << 20])),
        st.tuples(st.just("end"), st.just(0)),
        st.tuples(st.just("reap"), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)
"""What a child does; what it says leaves it when it does something else."""
FULL = [("call", MAX_CALLS_IN_FLIGHT), ("wait", 0), ("call", MAX_CALLS_IN_FLIGHT), ("wait", 0)]
"""So many replies wait for it that there is room for one or two more."""


class Speaker:
    """Frames with the right numbers."""

    def __init__(self) -> None:
        self.sequence = self.calls = 0

    def frames(self, step: str, count: int) -> bytes:
        if step == "call":
            return b"".join(self._call() for _ in range(count))
        if step == "print":
            return self._frame(output=child_pb2.Output(data=b"x" * count))
        return self._frame(execute_result=child_pb2.ExecuteResult(value=NULL))

    def _call(self) -> bytes:
        self.calls += 1
        return self._frame(host_call=child_pb2.HostCall(call_id=self.calls, name="x", arguments=NULL))

    def _frame(self, **content: object) -> bytes:
        self.sequence += 1
        data = child_pb2.ChildFrame(sequence=self.sequence, **content).SerializeToString()  # type: ignore[arg-type]
        return HEADER.pack(len(data)) + data


@fuzzed
@example(steps=[*FULL, ("call", 1), ("wait", 0), ("print", 65_536), ("result", 0)], reply_bytes=100_000)
@example(steps=[*FULL, ("call", 2), ("wait", 0), ("print", 65_536), ("result", 0)], reply_bytes=100_000)
@example(steps=[*FULL, ("call", 2), ("wait", 0), ("print", 65_536), ("result", 0), ("reap", 0)], reply_bytes=100_000)
@given(steps=STEPS, reply_bytes=st.sampled_from([0, 1000, 100_000]))
def test_a_walk_through_a_channel(corpse: int, steps: list[tuple[str, int]], reply_bytes: int) -> None:
    """Well-formed frames at any time, in any order and any number, from a child that reads its replies or does not."""

    async def large(_call: child_pb2.HostCall) -> value_pb2.Value:
        return value_pb2.Value(bytes_value=bytes(reply_bytes))

    async def scene() -> None:
        limits = child_pb2.JobLimits()
        talk = Talk(corpse, limits=limits, host_call=large)
        await asyncio.sleep(0)
        speaker = Speaker()
        unsaid = b""
        for step, count in steps:
            if step in ("call", "print", "result"):
                unsaid += speaker.frames(step, count)
                continue
            if step == "reap":
                with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
                    talk.theirs.send(unsaid)
                break
            await talk.say(unsaid)
            unsaid = b""
            if step == "read":
                with contextlib.suppress(BlockingIOError, ConnectionResetError):
                    talk.theirs.recv(count)
            elif step == "end":
                talk.theirs.shutdown(socket.SHUT_WR)
            await asyncio.sleep(0.001 if step == "wait" else 0)
        else:
            await talk.say(unsaid)
        await talk.end()
        assert (talk.job.result is None) != (talk.job.failure is None)

    on_a_loop(scene)


@pytest.mark.parametrize("depth", [33, 100, 50_000])
async def test_depths_that_no_library_encodes(corpse: int, depth: int) -> None:
    value = b"\x18\x01"
    for _ in range(depth):
        for tag in (b"\x0a", b"\x42"):
            value = tag + varint(len(value)) + value
        if len(value) > LIMITED.return_bytes * 500:
            break
    result = b"\x0a" + varint(len(value)) + value
    data = b"\x08\x01\x2a" + varint(len(result)) + result
    talk = Talk(corpse)
    await asyncio.sleep(0)
    await talk.say(HEADER.pack(len(data)) + data)
    await talk.end()
    check(talk)
    assert talk.job.result is None


async def test_a_frame_that_never_ends_takes_no_more_memory_than_the_largest(corpse: int) -> None:
    talk = Talk(corpse)
    await asyncio.sleep(0)
    limit = talk.child.max_frame_bytes
    tracemalloc.start()
    try:
        await talk.say(HEADER.pack(limit) + bytes(limit - 1))
        assert not talk.child.violation
        await talk.say(b"\xff" * (8 * limit))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    await talk.end()
    check(talk)
    # What is said is here as well; what was read may be held twice while it is decoded.
    assert peak - 9 * limit < 4 * limit


def varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])
