"""What lists and executions cost in a store of 1,000 executions and in one of 100,000: the same, as it should be."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from benchmarks.fill_store import TENANT, fill
from benchmarks.rows import Row, row
from crucible.v1 import execution_pb2
from crucible_server.store import ExecutionEnd, ExecutionQuery, ExecutionRecord, ScriptQuery, Store

SMALL = (1_000, 1_000)
LARGE = (10_000, 100_000)
"""Scripts and executions."""

_PAGE = 10
_BLOCK = 50
_FAILED = execution_pb2.EXECUTION_STATE_FAILED
Call = Callable[[], Awaitable[object]]


def measure(folder: Path, rounds: int) -> list[Row]:
    """Fills two stores in `folder`, which takes some ten seconds, and compares them; figures in milliseconds."""
    return asyncio.run(_measure(folder, rounds))


async def _measure(folder: Path, rounds: int) -> list[Row]:
    calls: list[dict[str, Call]] = []
    stores = []
    for size in (SMALL, LARGE):
        path = folder / f"{size[1]}.db"
        scripts = await asyncio.to_thread(fill, path, *size)
        store = await Store.open(f"sqlite:///{path}")
        stores.append(store)
        calls.append(_calls(store, scripts[0], time.time_ns()))
    rows = []
    for name in calls[0]:
        samples = await _by_turns([each[name] for each in calls], rounds)
        small = row(f"{name}, {SMALL[1]:,} stored", samples[0], "ms")
        large = row(f"{name}, {LARGE[1]:,} stored", samples[1], "ms", against=small, must="<= 1.5", goal="<= 1.2")
        rows += [small, large]
    for store in stores:
        await store.close()
    return rows


def _calls(store: Store, hot: str, now: int) -> dict[str, Call]:
    day = 86_400_000_000_000

    def executions(**filters: object) -> Call:
        query = ExecutionQuery(TENANT, _PAGE, **filters)  # type: ignore[arg-type]
        return lambda: store.list_executions(query)

    def scripts(**filters: object) -> Call:
        query = ScriptQuery(TENANT, _PAGE, **filters)  # type: ignore[arg-type]
        return lambda: store.list_scripts(query)

    return {
        "begin and finish an execution": lambda: execute(store, hot),
        "list executions": executions(),
        "list executions, a page in the middle": executions(before=(now - day, "")),
        "list executions, by script": executions(script_id=hot),
        "list executions, by principal": executions(principal="anna"),
        "list executions, by state": executions(states=(_FAILED,)),
        "list executions, by time": executions(created_after=now - 2 * day, created_before=now - day),
        "list executions, by script and state": executions(script_id=hot, states=(_FAILED,)),
        "list scripts": scripts(),
        "list scripts, by name": scripts(name_prefix="tools/0004"),
        "list scripts, by principal": scripts(principal="anna"),
        "list scripts, by time": scripts(created_before=now - day),
    }


async def _by_turns(calls: list[Call], rounds: int) -> list[list[float]]:
    samples: list[list[float]] = [[] for _ in calls]
    for _ in range(max(rounds // _BLOCK, 1)):
        for call, kept in zip(calls, samples, strict=True):
            for index in range(_BLOCK + 5):
                began = time.perf_counter()
                await call()
                if index >= 5:
                    kept.append((time.perf_counter() - began) * 1000)
    return samples


async def execute(store: Store, script: str) -> None:
    """Begins and finishes an execution of a script. Raises StoreError."""
    now = time.time_ns()
    execution_id = f"exec-{secrets.token_hex(16)}"
    record = ExecutionRecord(
        tenant=TENANT,
        execution_id=execution_id,
        request_hash=bytes(32),
        script_id=script,
        script_name="",
        function="main",
        state=execution_pb2.EXECUTION_STATE_RUNNING,
        detached=False,
        principal="local",
        security_level=2,
        instance_id="0" * 16,
        create_time=now,
        start_time=now,
        end_time=None,
        expire_time=None,
        request=bytes(100),
        result=None,
        last_sequence=0,
        limits=bytes(40),
        redacted=False,
        return_value=None,
    )
    end = ExecutionEnd(
        tenant=TENANT,
        execution_id=execution_id,
        script_id=script,
        state=execution_pb2.EXECUTION_STATE_SUCCEEDED,
        start_time=now,
        end_time=now + 1_000_000,
        expire_time=now + 604_800_000_000_000,
        result=bytes(160),
        return_value=bytes(10),
        output=None,
        last_sequence=1,
        success=True,
        execution_time_ns=1_000_000,
        memory_bytes=1_000_000,
    )
    await store.begin_execution(record)
    await store.finish_execution(end)
