"""The readers: several threads that are patient together when the database is gone."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from crucible_server.store import reader


class LostError(Exception):
    """What a lost connection raises."""


class Connected:
    """A connection that can be closed."""

    def close(self) -> None:
        pass


DATABASE: Any = SimpleNamespace(
    readers=2,
    reconnects=0,
    errors=(LostError,),
    connect=Connected,
    is_lost=lambda _error: True,
    translate=lambda error: error,
)


async def test_one_that_succeeds_while_another_counts_its_patience_does_not_break_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, succeeded, looks = threading.Event(), threading.Event(), itertools.count(1)

    def monotonic() -> float:
        if next(looks) == 2:
            # How long it has been: in the midst of this the other thread succeeds.
            asked.set()
            assert succeeded.wait(60)
        return time.monotonic()

    readers = reader.Readers(DATABASE)
    lost = iter((True, False))

    def failing(_: object) -> str:
        if next(lost):
            raise LostError
        return "read again"

    def succeeding(_: object) -> str:
        assert asked.wait(60)
        return "read"

    monkeypatch.setattr(reader, "time", SimpleNamespace(monotonic=monotonic, sleep=time.sleep))
    first, second = (asyncio.create_task(readers.run(query)) for query in (failing, succeeding))
    assert await second == "read"
    succeeded.set()
    assert await first == "read again"
    await readers.close()
