"""The output of one execution: written once, read by any number of readers at their own pace."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.protobuf.proto import parse_length_prefixed, serialize_length_prefixed

from crucible.v1 import execution_pb2


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


class OutputLog:
    """Grows by `append` until `close`; `follow` reads it from any sequence number.

    Its size is bounded by whoever appends: the execution's `max_output_bytes`.
    """

    def __init__(self) -> None:
        self.chunks: list[OutputChunk] = []
        self.closed = False
        self.stdout_bytes = 0
        self.stderr_bytes = 0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def last_sequence(self) -> int:
        """Sequence number of the newest chunk; 0 when there is none."""
        return len(self.chunks)

    @property
    def total_bytes(self) -> int:
        """Bytes of both streams."""
        return self.stdout_bytes + self.stderr_bytes

    def append(self, is_stderr: bool, text: str, size: int) -> None:
        """Adds a piece of `size` bytes."""
        self.chunks.append(OutputChunk(len(self.chunks) + 1, is_stderr, text))
        if is_stderr:
            self.stderr_bytes += size
        else:
            self.stdout_bytes += size
        self._wake()

    def close(self) -> None:
        """Ends the log: readers come to their end."""
        self.closed = True
        self._wake()

    async def follow(self, after: int = 0) -> AsyncIterator[OutputChunk]:
        """Yields every chunk after the given sequence number, waiting for new ones until the log is closed."""
        position = after
        while True:
            while position < len(self.chunks):
                yield self.chunks[position]
                position += 1
            if self.closed:
                return
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def text(self, is_stderr: bool, limit: int) -> tuple[str, bool]:
        """One stream's text, cut at `limit` bytes between characters, and whether it was cut."""
        parts: list[str] = []
        room = limit
        for chunk in self.chunks:
            if chunk.is_stderr != is_stderr:
                continue
            encoded = chunk.text.encode()
            if len(encoded) > room:
                parts.append(encoded[:room].decode(errors="ignore"))
                return "".join(parts), True
            parts.append(chunk.text)
            room -= len(encoded)
        return "".join(parts), False

    def dump(self) -> bytes:
        """The log as length-delimited ExecutionChunks, for the store."""
        stream = io.BytesIO()
        for chunk in self.chunks:
            serialize_length_prefixed(chunk.message(), stream)
        return stream.getvalue()

    @classmethod
    def load(cls, data: bytes) -> OutputLog:
        """A closed log from what `dump` gave."""
        log = cls()
        stream = io.BytesIO(data)
        while stream.tell() < len(data):
            message = parse_length_prefixed(execution_pb2.ExecutionChunk, stream)
            is_stderr = message.WhichOneof("chunk") == "stderr"
            text = message.stderr if is_stderr else message.stdout
            log.append(is_stderr, text, len(text.encode()))
        log.closed = True
        return log
