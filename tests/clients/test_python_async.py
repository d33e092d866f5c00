"""The contract of the Python client, for asyncio, against a real server."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import datetime

import pytest

import crucible
from tests.clients.conftest import WELL
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
    assert (await client.health()).status in WELL
    assert (await client.server_info()).version


async def test_what_is_stored_is_named_listed_and_deleted(client: crucible.AsyncClient) -> None:
    prefix = f"async/{uuid.uuid4().hex}/"
    stored = [
        (await client.compile(f"/// {prefix}\npub fn main(n) {{ {number} / n }}", name=f"{prefix}{number}")).script_id
        for number in range(5)
    ]
    script = await client.script(name=f"{prefix}0", include_source=True)
    assert script.source is not None
    assert script.source.startswith(f"/// {prefix}")
    assert (await client.script(stored[0])).source is None
    assert (await client.name_script(f"{prefix}again", stored[0])).names == (f"{prefix}0", f"{prefix}again")
    await client.remove_name(f"{prefix}again")
    with pytest.raises(crucible.ScriptNotFound):
        await client.script(name=f"{prefix}again")
    with pytest.raises(ValueError, match="remove_name"):
        await client.name_script(f"{prefix}0", "")
    assert [each.script_id async for each in client.scripts(prefix, page_size=2)] == stored[::-1]
    after = (await client.script(stored[3])).create_time
    assert [each.script_id async for each in client.scripts(prefix, created_after=after)] == stored[:2:-1]
    assert [each.script_id async for each in client.scripts(prefix, created_before=after)] == stored[2::-1]

    await asyncio.gather(*(client.run(script, args={"n": n}, check=False) for n in range(5)))
    failed = [each async for each in client.executions(["FAILED"], script_id=stored[0], page_size=1)]
    assert [(each.state, each.script_id) for each in failed] == [("FAILED", stored[0])]
    assert failed[0].message.limits.max_memory_bytes
    figures = await client.metrics(stored[0])
    assert figures.total_executions >= 5
    assert (figures.scripts[stored[0]].total_executions, figures.scripts[stored[0]].successful_executions) == (5, 4)

    count = 0
    async for execution in client.executions(script_id=stored[0], page_size=2):
        await client.redact_execution(execution.execution_id)
        assert (await client.get_execution(execution.execution_id)).redacted
        await client.delete_execution(execution.execution_id)
        count += 1
    assert count == 5
    async for each in client.scripts(prefix, page_size=2):
        await client.delete_script(each.script_id)
    assert [each async for each in client.scripts(prefix)] == []


async def test_an_execution_that_has_not_ended_stays(client: crucible.AsyncClient) -> None:
    async with client.stream(ENDLESS) as stream:
        async for _ in stream:
            with pytest.raises(crucible.ExecutionUnfinished):
                await client.delete_execution(stream.execution_id)
            with pytest.raises(crucible.ExecutionUnfinished):
                await client.redact_execution(stream.execution_id)
            break


async def test_what_cannot_be_asked_for_is_refused_at_once(client: crucible.AsyncClient) -> None:
    with pytest.raises(ValueError, match="created_after: expected a datetime with a time zone"):
        client.scripts(created_after=datetime(2030, 1, 1))  # noqa: DTZ001 - that it has no time zone is the point
    with pytest.raises(ValueError, match="exactly one of"):
        await client.script()
    with pytest.raises(crucible.ValidationError):
        await anext(client.executions(page_size=1001))
