"""Streams: whole, in order, many at once; read again from any place, while the script runs and afterwards."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from bisect import bisect
from typing import Any

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from tests.engine.processes import PATIENCE, STEPS
from tests.servers import RunningServer

TALKER = """
pub fn main(me, lines) {
    for n in 0..lines {
        println!("{me}:{n}");
        if n % 4 == 0 { crucible::basic::eprintln!("{me}!{n}"); }
        let work = 0;
        while work < 20000 { work += 1; }
    }
    me
}
"""
STREAMS = 64
RUNNING = 50
"""Of them, what Production runs at once; the others wait for their turn."""
LINES = 24
STEP_COUNT = 40


def assert_in_order(pieces: list[crucible.Output], after: int = 0) -> None:
    assert [piece.sequence for piece in pieces] == list(range(after + 1, after + 1 + len(pieces)))


def text_of(pieces: list[crucible.Output], stream: str) -> str:
    return "".join(piece.text for piece in pieces if piece.stream == stream)


async def test_many_streams_at_once_are_each_complete_and_in_order(server: RunningServer) -> None:
    async with crucible.AsyncClient(server.address) as client:
        script = await client.compile(TALKER, level="production")
        all_begun = asyncio.Barrier(STREAMS)
        begun: list[int] = []
        ended: list[int] = []

        async def one(me: int) -> None:
            stream = client.stream(
                script,
                args={"me": me, "lines": LINES},
                level="production",
                limits={"max_cpu_percentage": 2.0},
                deadline=PATIENCE * 2,
            )
            pieces: list[crucible.Output] = []
            async for piece in stream:
                if not pieces:
                    # Nobody reads on before every stream has begun: all of them are open at once.
                    await all_begun.wait()
                pieces.append(piece)
            assert_in_order(pieces)
            assert text_of(pieces, "stdout") == "".join(f"{me}:{n}\n" for n in range(LINES))
            assert text_of(pieces, "stderr") == "".join(f"{me}!{n}\n" for n in range(0, LINES, 4))
            assert stream.result is not None
            assert stream.result.value == me
            record = await client.get_execution(stream.execution_id)
            assert record.last_sequence == len(pieces)
            begun.append(record.message.start_time.ToNanoseconds())
            ended.append(record.message.end_time.ToNanoseconds())

        await asyncio.gather(*map(one, range(STREAMS)))
        begun.sort()
        ended.sort()
        # By the server's own clock: whoever looks from outside may miss the moment. On a slow machine some have ended
        # before the last of them are forked.
        assert max(bisect(begun, moment) - bisect(ended, moment) for moment in begun) >= RUNNING / 2


async def test_several_readers_follow_one_execution_from_different_places(server: RunningServer) -> None:
    async with crucible.AsyncClient(server.address) as client:
        # Some seconds, in which its readers come.
        slowly: Any = {"level": "production", "limits": {"max_cpu_percentage": 8.0}}
        stream = client.stream(STEPS, args={"steps": STEP_COUNT}, deadline=PATIENCE, **slowly)
        whole: list[crucible.Output] = []
        readers: list[asyncio.Task[list[crucible.Output]]] = []

        async def read(after: int) -> list[crucible.Output]:
            following = client.wait(stream.execution_id, after=after, deadline=PATIENCE)
            pieces = [piece async for piece in following]
            assert following.result is not None
            assert following.result.value == STEP_COUNT
            return pieces

        async for piece in stream:
            if not whole:
                record = await client.get_execution(stream.execution_id)
                assert record.state == "RUNNING"
                assert record.last_sequence < STEP_COUNT / 2, "the script is too fast for this test"
                # From the start, from the newest piece, and from one that is yet to come.
                readers = [asyncio.create_task(read(after)) for after in (0, 0, record.last_sequence, 5)]
            whole.append(piece)
        assert text_of(whole, "stdout") == "".join(f"step {n}\n" for n in range(STEP_COUNT))
        for after, pieces in zip((0, 0, None, 5), await asyncio.gather(*readers), strict=True):
            first = pieces[0].sequence - 1 if after is None else after
            assert pieces == whole[first:]


def test_an_ended_execution_is_read_again_from_every_place(client: crucible.Client) -> None:
    with client.stream(TALKER, args={"me": 1, "lines": 12}) as stream:
        whole = list(stream)
    assert len(whole) > 3
    for after in range(len(whole) + 1):
        following = client.wait(stream.execution_id, after=after)
        assert list(following) == whole[after:]
        assert following.result is not None
        assert following.result.value == 1


def test_a_place_beyond_the_end_gives_the_end(client: crucible.Client) -> None:
    result = client.run('pub fn main() { println!("one"); }')
    request = api.WaitExecutionRequest(execution_id=result.execution_id, after_sequence=2**63)
    (last,) = client.stub.WaitExecution(request, timeout=PATIENCE)
    assert last.chunk.complete.success
    assert last.chunk.sequence == 2


def test_output_can_be_skipped(client: crucible.Client) -> None:
    result = client.run('pub fn main() { println!("one"); 1 }')
    request = api.WaitExecutionRequest(execution_id=result.execution_id, skip_output=True)
    (last,) = client.stub.WaitExecution(request, timeout=PATIENCE)
    assert (last.chunk.sequence, last.chunk.complete.return_value.int_value) == (2, 1)


def test_every_chunk_names_its_execution_and_so_do_the_headers(client: crucible.Client) -> None:
    request = api.ExecuteScriptStreamRequest()
    request.context.source.source = 'pub fn main() { println!("one"); }'
    call = client.stub.ExecuteScriptStream(request, timeout=PATIENCE)
    execution_id = dict(call.initial_metadata())["crucible-execution-id"]
    chunks = [response.chunk for response in call]
    assert execution_id
    assert {chunk.execution_id for chunk in chunks} == {execution_id}
    assert [chunk.WhichOneof("chunk") for chunk in chunks] == ["stdout", "complete"]


def test_losing_a_reader_harms_nothing(client: crucible.Client) -> None:
    stream = client.stream(STEPS, args={"steps": STEP_COUNT}, execution_id=uuid.uuid4().hex)
    pieces = iter(stream)
    first = next(pieces)
    with client.wait(stream.execution_id) as following:
        assert next(iter(following)) == first
    assert len([first, *pieces]) == client.get_execution(stream.execution_id).last_sequence
    assert stream.result is not None
    assert stream.result.value == STEP_COUNT


def test_characters_are_never_split(client: crucible.Client) -> None:
    source = 'pub fn main() { for n in 0..3000 { print!("a\u20ac\U0001f980"); } }'
    with client.stream(source) as stream:
        pieces = list(stream)
    assert "".join(piece.text for piece in pieces) == "a\u20ac\U0001f980" * 3000
    assert_in_order(pieces)


def test_unary_output_is_cut_and_says_so_while_the_stream_has_all_of_it(client: crucible.Client) -> None:
    line = "x" * 999
    result = client.run('pub fn main() { for n in 0..400 { println!("' + line + '"); } }')
    assert result.stdout == ((line + "\n") * 400)[: 256 * 1024]
    assert result.message.stdout_truncated
    assert result.message.stdout_bytes == 400_000
    assert not result.message.stderr_truncated
    whole = "".join(itertools.chain(piece.text for piece in client.wait(result.execution_id)))
    assert whole == (line + "\n") * 400


def test_waiting_for_nothing_is_refused(client: crucible.Client) -> None:
    with pytest.raises(crucible.ExecutionNotFound):
        list(client.wait("absent"))
    with pytest.raises(crucible.ValidationError, match="execution_id"):
        list(client.wait(""))


def test_lines_before_a_long_native_call_arrive_though_it_is_killed(client: crucible.Client) -> None:
    source = """
    pub fn main() {
        for n in 0..8 { println!("line {n}"); }
        let v = []; v.resize(1000000, 5);
        loop { v.sort(); }
    }
    """
    result = client.run(source, timeout=2.5, check=False)
    assert not result.success
    assert result.stdout == "".join(f"line {n}\n" for n in range(8))
