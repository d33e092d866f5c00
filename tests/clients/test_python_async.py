"""The contract of the Python client, for asyncio, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

import crucible
from crucible.v1 import server_info_pb2
from tests.servers import RunningServer

ECHO = "pub fn main(x) { x }"
ENDLESS = 'pub fn main() { println!("up"); loop {} }'


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[crucible.AsyncClient]:
    async with crucible.AsyncClient(server.address) as connected:
        yield connected


async def test_compiles_and_runs(client: crucible.AsyncClient) -> None:
    script = await client.compile(ECHO)
    native = {"list": [1, 1.0, None, b"\xff", 2**64 - 1]}
    assert repr((await client.run(script, args={"x": native})).value) == repr(native)
    with pytest.raises(crucible.CompilationError):
        await client.compile("pub fn main( {")
    assert not (await client.check("pub fn main( {")).script


async def test_output_is_streamed(client: crucible.AsyncClient) -> None:
    source = 'pub fn main() { println!("a"); crucible::basic::eprintln!("b"); 7 }'
    async with client.stream(source) as stream:
        pieces = [(piece.stream, piece.text) async for piece in stream]
    assert pieces == [("stdout", "a\n"), ("stderr", "b\n")]
    assert stream.result is not None
    assert stream.result.value == 7
    again = client.wait(stream.execution_id, after=1)
    assert [piece.text async for piece in again] == ["b\n"]


async def test_failures_and_refusals_are_typed(client: crucible.AsyncClient) -> None:
    with pytest.raises(crucible.ExecutionFailed) as raised:
        await client.run('pub fn main() {\n    panic!("no")\n}')
    assert (raised.value.kind, raised.value.error.line) == ("PANIC", 2)
    with pytest.raises(crucible.ScriptNotFound):
        await client.run(script_id="0" * 64)
    with pytest.raises(crucible.ExecutionNotFound):
        await client.get_execution("absent")


async def test_cancelling_the_task_kills_the_script(client: crucible.AsyncClient) -> None:
    task = asyncio.create_task(client.run(ENDLESS, execution_id="clients-task"))
    async with asyncio.timeout(20):
        await started(client, "clients-task")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        following = client.wait("clients-task", check=False)
        assert [piece.text async for piece in following] == ["up\n"]
    assert following.result is not None
    assert following.result.error is not None
    assert following.result.error.kind == "CANCELLED"


async def started(client: crucible.AsyncClient, execution_id: str) -> None:
    """Returns once an execution has written something."""
    while True:
        try:
            async for _ in client.wait(execution_id):
                return
        except crucible.ExecutionNotFound:
            await asyncio.sleep(0.02)


async def test_cancel_ends_an_execution(client: crucible.AsyncClient) -> None:
    stream = client.stream(ENDLESS, check=False)
    async for piece in stream:
        assert piece.text == "up\n"
        assert (await client.cancel(stream.execution_id)).state == "CANCELLED"
    assert stream.result is not None
    with pytest.raises(crucible.ExecutionFailed) as raised:
        stream.result.unwrap()
    assert raised.value.kind == "CANCELLED"


async def test_many_streams_at_once(client: crucible.AsyncClient) -> None:
    async def run(number: int) -> tuple[str, int]:
        source = 'pub fn main(x) { for n in 0..5 { println!("{}", x); } x }'
        async with client.stream(source, args={"x": number}) as stream:
            text = "".join([piece.text async for piece in stream])
        assert stream.result is not None
        return text, stream.result.value

    results = await asyncio.gather(*(run(number) for number in range(32)))
    assert results == [(f"{number}\n" * 5, number) for number in range(32)]


async def test_the_server_says_how_it_is(client: crucible.AsyncClient) -> None:
    assert (await client.health()).status == server_info_pb2.SERVICE_STATUS_HEALTHY
    assert (await client.server_info()).version
