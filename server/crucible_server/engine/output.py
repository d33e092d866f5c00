"""The output of one execution: written once, read by any number of readers at their own pace.

Short output stays in memory until the execution ends. Of long output only the newest part does: the rest is in the
store, segment by segment, where readers that are behind find it.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from google.protobuf.proto import parse_length_prefixed, serialize_length_prefixed

from crucible.v1 import execution_pb2
from crucible_server.store import OutputSegment, StoreError

HEAD_BYTES = 256 * 1024
"""Of each stream, what unary results can hold."""
_SEGMENT_BYTES = 256 * 1024
# Chunks of a few bytes cost more in memory than they hold.
_SEGMENT_CHUNKS = 4096
# Segments on their way to the store while more output is taken.
_MAX_PENDING = 2

KeepSegment = Callable[[OutputSegment], Awaitable[None]]
LoadSegment = Callable[[int], Awaitable[OutputSegment | None]]
"""Gives the first stored segment that ends after a sequence number."""


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """One piece of output."""

    sequence: int
    """Counts from 1 without a gap."""
    is_stderr: bool
    text: str

    def message(self) -> execution_pb2.ExecutionChunk:
        """The same as the contract has it, without the execution's id."""
        message = execution_pb2.ExecutionChunk(sequence=self.sequence)
        if self.is_stderr:
            message.stderr = self.text
        else:
            message.stdout = self.text
        return message


class Output(Protocol):
    """The output of an execution that runs or has ended."""

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest chunk; 0 when there is none."""

    def follow(self, after: int = 0) -> AsyncIterator[OutputChunk]:
        """Yields every chunk after the given sequence number, waiting for new ones until the output has ended.

        Raises StoreError.
        """

    async def head(self, is_stderr: bool) -> tuple[str, bool]:
        """The first HEAD_BYTES of one stream, cut between characters, and whether it was cut. Raises StoreError."""


class OutputLog:
    """The output of an execution that lives. Grows by `append` until `close`.

    What it holds in memory is bounded as long as its writer stops when `is_congested` until `on_room` is called; what
    it holds in all is bounded by whoever appends: the execution's `max_output_bytes`.
    """

    def __init__(self, keep: KeepSegment, load: LoadSegment) -> None:
        """`keep` stores a segment; `load` finds a stored one."""
        self._keep = keep
        self._load = load
        self._chunks: list[OutputChunk] = []
        self._dropped = 0
        """Chunks that are in the store only: those up to this sequence number."""
        self._sealed = 0
        self._stored = 0
        self._open_bytes = 0
        self._pending: list[OutputSegment] = []
        self._spilling: asyncio.Task[None] | None = None
        self._heads: tuple[list[str], list[str]] = ([], [])
        self._waiters: list[asyncio.Future[None]] = []
        self.closed = False
        self.stdout_bytes = 0
        self.stderr_bytes = 0
        self.failure: StoreError | None = None
        """Why output could not be stored; what follows stays in memory."""
        self.on_room: Callable[[], None] = lambda: None
        """Called when the log is no longer congested, or will never be again because storing has failed."""

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest chunk; 0 when there is none."""
        return self._dropped + len(self._chunks)

    @property
    def total_bytes(self) -> int:
        """Bytes of both streams."""
        return self.stdout_bytes + self.stderr_bytes

    @property
    def is_congested(self) -> bool:
        """Whether the store is behind: more output should wait."""
        return len(self._pending) >= _MAX_PENDING

    def append(self, is_stderr: bool, text: str, size: int) -> None:
        """Adds a piece of `size` bytes."""
        self._chunks.append(OutputChunk(self.last_sequence + 1, is_stderr, text))
        if (self.stderr_bytes if is_stderr else self.stdout_bytes) <= HEAD_BYTES:
            self._heads[is_stderr].append(text)
        if is_stderr:
            self.stderr_bytes += size
        else:
            self.stdout_bytes += size
        self._open_bytes += size
        if self._open_bytes >= _SEGMENT_BYTES or self.last_sequence - self._sealed >= _SEGMENT_CHUNKS:
            self._seal()
        self._wake()

    def _seal(self) -> None:
        if self.failure is not None:
            return
        self._pending.append(_segment_of(self._chunks[self._sealed - self._dropped :]))
        self._sealed = self.last_sequence
        self._open_bytes = 0
        if self._spilling is None:
            self._spilling = asyncio.get_running_loop().create_task(self._spill())

    async def _spill(self) -> None:
        try:
            while self._pending:
                segment = self._pending[0]
                await self._keep(segment)
                # The segment before stays until now: a reader that is nearly there need not ask the store.
                del self._chunks[: self._stored - self._dropped]
                self._dropped = self._stored
                self._stored = segment.last_sequence
                self._pending.pop(0)
                if not self.is_congested:
                    self.on_room()
        except StoreError as error:
            self.failure = error
            self._pending.clear()
            self.on_room()
        finally:
            self._spilling = None

    async def settle(self) -> OutputSegment | None:
        """Waits until what was sealed is stored; returns what is not stored yet as one segment."""
        if self._spilling is not None:
            await asyncio.shield(self._spilling)
        rest = self._chunks[self._stored - self._dropped :]
        return _segment_of(rest) if rest else None

    def close(self) -> None:
        """Ends the log: readers come to their end."""
        self.closed = True
        self._wake()

    async def follow(self, after: int = 0) -> AsyncIterator[OutputChunk]:
        """See `Output`."""
        position = after
        while True:
            while position < self.last_sequence:
                if position >= self._dropped:
                    yield self._chunks[position - self._dropped]
                    position += 1
                    continue
                segment = await self._load(position)
                if segment is None:
                    # Deleted or redacted meanwhile: nothing more is to be had.
                    return
                for chunk in chunks_of(segment):
                    if chunk.sequence > position:
                        yield chunk
                        position = chunk.sequence
            if self.closed:
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    async def head(self, is_stderr: bool) -> tuple[str, bool]:
        """See `Output`."""
        return _cut(self._heads[is_stderr], self.stderr_bytes if is_stderr else self.stdout_bytes)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class StoredOutput:
    """The output of an execution that has ended."""

    def __init__(
        self,
        result: execution_pb2.ExecutionResult,
        last_sequence: int,
        load: LoadSegment,
        load_stream: Callable[[bool, int], Awaitable[OutputSegment | None]],
    ) -> None:
        """`load_stream` finds the first segment after a sequence number that holds bytes of one stream."""
        self._bytes = (result.stdout_bytes, result.stderr_bytes)
        self._load = load
        self._load_stream = load_stream
        self.last_sequence = last_sequence

    async def follow(self, after: int = 0) -> AsyncIterator[OutputChunk]:
        """See `Output`."""
        position = after
        while position < self.last_sequence and (segment := await self._load(position)) is not None:
            for chunk in chunks_of(segment):
                if chunk.sequence > position:
                    yield chunk
            position = segment.last_sequence

    async def head(self, is_stderr: bool) -> tuple[str, bool]:
        """See `Output`."""
        total = self._bytes[is_stderr]
        parts: list[str] = []
        size = position = 0
        while size < min(total, HEAD_BYTES):
            segment = await self._load_stream(is_stderr, position)
            if segment is None:
                break
            parts += [chunk.text for chunk in chunks_of(segment) if chunk.is_stderr == is_stderr]
            size += segment.stderr_bytes if is_stderr else segment.stdout_bytes
            position = segment.last_sequence
        return _cut(parts, total)


def _cut(parts: Sequence[str], total: int) -> tuple[str, bool]:
    text = "".join(parts)
    if total <= HEAD_BYTES:
        return text, False
    return text.encode()[:HEAD_BYTES].decode(errors="ignore"), True


def _segment_of(chunks: Sequence[OutputChunk]) -> OutputSegment:
    stream = io.BytesIO()
    sizes = [0, 0]
    for chunk in chunks:
        serialize_length_prefixed(chunk.message(), stream)
        sizes[chunk.is_stderr] += len(chunk.text.encode())
    return OutputSegment(chunks[0].sequence, chunks[-1].sequence, sizes[0], sizes[1], stream.getvalue())


def chunks_of(segment: OutputSegment) -> list[OutputChunk]:
    """The chunks of a stored segment."""
    chunks: list[OutputChunk] = []
    stream = io.BytesIO(segment.data)
    while stream.tell() < len(segment.data):
        message = parse_length_prefixed(execution_pb2.ExecutionChunk, stream)
        is_stderr = message.WhichOneof("chunk") == "stderr"
        chunks.append(OutputChunk(message.sequence, is_stderr, message.stderr if is_stderr else message.stdout))
    return chunks
