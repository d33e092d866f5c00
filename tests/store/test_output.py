"""Output in segments."""

from __future__ import annotations

import asyncio

import pytest

from crucible_server.store import ExecutionRecord, OutputSegment, Store, StoreError, StoreErrorKind
from tests.store.records import NOW, end, execution, segment


async def written(store: Store) -> list[OutputSegment]:
    """An execution with five segments of three chunks each; only the third holds standard error."""
    await store.begin_execution(execution())
    segments = [
        segment(number * 3 + 1, number * 3 + 3, b"%d" % number, stdout_bytes=9, stderr_bytes=5 * (number == 2))
        for number in range(5)
    ]
    for each in segments[:4]:
        await store.append_output("local", "e1", each)
    await store.finish_execution(end(output=segments[4], last_sequence=16))
    return segments


async def test_from_any_place_in_the_output(store: Store) -> None:
    segments = await written(store)
    for after in range(15):
        assert await store.get_output("local", "e1", after) == segments[after // 3]
        assert await store.get_output_of("local", "e1", False, after) == segments[after // 3]
        expected = segments[2] if after < 9 else None
        assert await store.get_output_of("local", "e1", True, after) == expected
    for after in (15, 16, (1 << 63) - 2, (1 << 63) - 1, (1 << 64) - 1):
        assert await store.get_output("local", "e1", after) is None
        assert await store.get_output_of("local", "e1", False, after) is None
    assert await store.get_output("local", "e2") is None
    assert await store.get_output("other", "e1") is None


async def test_what_is_written_is_read_before_the_end(store: Store) -> None:
    await store.begin_execution(execution())
    await store.append_output("local", "e1", segment(1, 4))
    assert await store.get_output("local", "e1") == segment(1, 4)
    assert await store.get_output("local", "e1", 4) is None


async def test_output_is_refused_after_the_end_and_without_a_beginning(store: Store) -> None:
    with pytest.raises(StoreError, match="never begun") as caught:
        await store.append_output("local", "e1", segment())
    assert caught.value.kind is StoreErrorKind.CONFLICT
    await written(store)
    with pytest.raises(StoreError, match="ended before"):
        await store.append_output("local", "e1", segment(16, 17))
    assert await store.get_output("local", "e1", 15) is None


async def test_a_segment_is_stored_once(store: Store) -> None:
    await store.begin_execution(execution())
    await store.append_output("local", "e1", segment(1, 4))
    with pytest.raises(StoreError) as caught:
        await store.append_output("local", "e1", segment(1, 9))
    assert caught.value.kind is StoreErrorKind.CONFLICT
    # An end that brings it again is refused whole.
    with pytest.raises(StoreError):
        await store.finish_execution(end(output=segment(1, 9)))
    assert await store.get_execution("local", "e1") == execution()
    await store.finish_execution(end(output=segment(5, 9)))
    assert await store.get_output("local", "e1") == segment(1, 4)


async def test_an_interrupted_execution_keeps_what_it_wrote(store: Store, url: str) -> None:
    await store.begin_execution(execution())
    await store.append_output("local", "e1", segment(1, 4, stdout_bytes=10, stderr_bytes=0))
    await store.append_output("local", "e1", segment(5, 6, stdout_bytes=3, stderr_bytes=4))
    await store.begin_execution(execution("silent"))
    await store.close()

    again = await Store.open(url)
    asked: dict[str, tuple[int, int]] = {}

    def result(record: ExecutionRecord, stdout: int, stderr: int) -> bytes:
        asked[record.execution_id] = (stdout, stderr)
        return b"interrupted"

    try:
        assert await again.interrupt_unfinished(NOW + 9, result, NOW + 90) == 2
        assert asked == {"e1": (13, 4), "silent": (0, 0)}
        found = await again.get_execution("local", "e1")
        silent = await again.get_execution("local", "silent")
        assert found is not None
        assert silent is not None
        assert (found.last_sequence, found.expire_time, silent.last_sequence) == (6, NOW + 90, 0)
        assert await again.get_output("local", "e1", 4) == segment(5, 6, stdout_bytes=3, stderr_bytes=4)
    finally:
        await again.close()


async def test_large_outputs_beside_small_executions(store: Store) -> None:
    piece = bytes(range(256)) * 4096
    await store.begin_execution(execution("large"))

    async def write() -> None:
        for number in range(20):
            await store.append_output("local", "large", segment(number + 1, number + 1, piece))

    async def live(number: int) -> None:
        for turn in range(10):
            await store.begin_execution(execution(f"{number}-{turn}"))
            await store.finish_execution(end(f"{number}-{turn}", output=None))

    await asyncio.gather(write(), *(live(number) for number in range(8)))
    await store.finish_execution(end("large", output=None, last_sequence=21))
    for number in range(20):
        assert await store.get_output("local", "large", number) == segment(number + 1, number + 1, piece)
