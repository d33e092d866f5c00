"""The one writer: executes all waiting operations in one transaction, then answers them all."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from .database import Connection
from .errors import StoreError, store_closed

T = TypeVar("T")

Operation: TypeAlias = Callable[[Connection, Any], T]
"""Does its work on the connection inside the group's transaction. What it raises is its caller's alone.

It may be called again when the transaction was undone: it changes nothing but the database.
"""

# Bounds how long the first of a group waits for the last.
_MAX_GROUP = 256


class Write:
    """An operation on its way. `error` and `result` are the writer's until the future is resolved."""

    __slots__ = ("argument", "committed", "compound", "error", "future", "operation", "result", "small")

    def __init__(
        self,
        operation: Operation[Any],
        argument: Any,
        compound: bool = False,
        small: bool = False,
        future: asyncio.Future[Any] | None = None,
        committed: Callable[[Any], None] | None = None,
    ) -> None:
        self.operation = operation
        self.argument = argument
        self.compound = compound
        self.small = small
        self.future = future
        self.committed = committed
        self.result: Any = None
        self.error: Exception | None = None


class Writer(ABC):
    """Owns the only writing connection. To be used from one event loop."""

    idle_seconds: float | None = None
    """After so long without an operation the thread does `_idle`."""
    reconnects = 0
    """Connections that were lost."""

    def __init__(self, name: str, committed: Callable[[int], None]) -> None:
        """Tells `committed`, in the loop, each group's size; `name` is that of the database in messages."""
        self._name = name
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[Write | None] = SimpleQueue()
        self._closed = False
        self.written: Callable[[float], None] = lambda _seconds: None
        """Told in the loop how long each transaction took."""
        # A daemon, so that a store that was never closed does not keep the interpreter alive.
        self._thread = threading.Thread(target=self._run, name="crucible-store-writer", daemon=True)

    def submit(
        self,
        operation: Operation[T],
        argument: Any,
        *,
        compound: bool = False,
        small: bool = False,
        committed: Callable[[T], None] | None = None,
    ) -> asyncio.Future[T]:
        """Queues an operation. The future is resolved once its transaction is committed.

        `compound` operations execute several statements that must succeed or fail together. `small` ones write
        a few kilobytes and may be executed in the event loop. Cancelling the future does not take the
        operation back; `committed` is told the outcome in the event loop even then. Raises StoreError when the
        writer is closed.
        """
        self._check_open()
        future: asyncio.Future[T] = self._loop.create_future()
        self._enqueue(Write(operation, argument, compound, small, future, committed))
        return future

    def post(self, operation: Operation[Any], argument: Any) -> None:
        """Queues an operation whose outcome nobody waits for. Raises StoreError when the writer is closed."""
        self._check_open()
        self._queue.put(Write(operation, argument))

    async def close(self) -> None:
        """Executes what is queued, then closes the connection."""
        if not self._closed:
            self._closed = True
            self._finish()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _check_open(self) -> None:
        if self._closed:
            raise store_closed(self._name)

    def _enqueue(self, write: Write) -> None:
        self._queue.put(write)

    @abstractmethod
    def _finish(self) -> None:
        """In the event loop, before the thread ends."""

    @abstractmethod
    def _execute_in_thread(self, group: Sequence[Write]) -> None:
        """Executes a group and notes what came of each; raises nothing."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Closes the connection; raises nothing."""

    @abstractmethod
    def _idle(self) -> None:
        """Nothing has been written for `idle_seconds`; raises nothing."""

    def _run(self) -> None:
        running = True
        while running:
            group: list[Write] = []
            try:
                write = self._queue.get(timeout=self.idle_seconds)
            except Empty:
                self._idle()
                continue
            try:
                while write is not None:
                    group.append(write)
                    if len(group) == _MAX_GROUP:
                        break
                    write = self._queue.get_nowait()
                else:
                    running = False
            except Empty:
                pass
            if group:
                began = time.perf_counter()
                self._execute_in_thread(group)
                seconds = time.perf_counter() - began
                self._answer(group, seconds)
        self._disconnect()

    def _answer(self, group: Sequence[Write], seconds: float) -> None:
        """In the thread: has the loop tell those who wait what came of a group that took so long."""
        # A closed event loop has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._resolve, group, seconds)

    def _take_waiting(self) -> list[Write]:
        """In the thread: what is queued, up to the end of all."""
        waiting: list[Write] = []
        with contextlib.suppress(Empty):
            while (write := self._queue.get_nowait()) is not None:
                waiting.append(write)
            self._queue.put(None)
        return waiting

    def _resolve(self, group: Sequence[Write], seconds: float) -> None:
        for write in group:
            if write.committed is not None and write.error is None:
                write.committed(write.result)
            future = write.future
            if future is None or future.done():
                continue
            if write.error is None:
                future.set_result(write.result)
            else:
                future.set_exception(write.error)
        self._committed(len(group))
        self.written(seconds)


def is_of_kind(error: Exception | None, *kinds: object) -> bool:
    """Whether it is a StoreError of one of these kinds."""
    return isinstance(error, StoreError) and error.kind in kinds
