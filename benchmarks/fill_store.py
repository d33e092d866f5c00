"""A store with a long history, as a server could have written it, for benchmarks of what must not grow with it.

Usage: `python -m benchmarks.fill_store PATH [--scripts 10000] [--executions 100000]`, then start a server on it with
`CRUCIBLE_STORE_URL=sqlite:///PATH`. Or call `fill(path, scripts, executions)`. 100,000 executions take some seconds.
"""

from __future__ import annotations

import argparse
import io
import random
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.proto import serialize_length_prefixed

from crucible.v1 import error_pb2, execution_pb2, script_pb2, security_pb2, value_pb2
from crucible_server.engine.identity import script_id
from crucible_server.store import ExecutionEnd, ExecutionRecord, OutputSegment, ScriptRecord
from crucible_server.store.connection import SqliteConnection, connect, create_file
from crucible_server.store.execution_operations import begin_execution, finish_execution
from crucible_server.store.schema import ensure_schema
from crucible_server.store.script_operations import put_script

TENANT = "local"
PRINCIPALS = {"local": 0.98, "anna": 0.019, "rare": 0.001}
"""Who started the executions, and how much of them."""
STATES = {
    execution_pb2.EXECUTION_STATE_SUCCEEDED: 0.95,
    execution_pb2.EXECUTION_STATE_FAILED: 0.04,
    execution_pb2.EXECUTION_STATE_CANCELLED: 0.009,
    execution_pb2.EXECUTION_STATE_INTERRUPTED: 0.001,
}
HOT_SHARE = 0.5
"""How much of the executions ran the first script; the others share the rest."""

_LIMITS = security_pb2.ResourceLimits(
    max_memory_bytes=256_000_000, max_operations=100_000_000, max_output_bytes=1_000_000
).SerializeToString()
_SECOND = 1_000_000_000
_RETENTION_NS = 7 * 86_400 * _SECOND
_COMMIT_EVERY = 5_000


def fill(path: Path, scripts: int, executions: int, *, until: int | None = None, seed: int = 1) -> list[str]:
    """Adds scripts and executions to the store at `path`, creating it; returns the ids of the scripts.

    The executions ended in the two days before `until` (nanoseconds since 1970, default now). The same seed gives
    the same rows. Every second script has a name, `tools/00000` and on. Raises StoreError and sqlite3.Error.
    """
    create_file(path)
    ensure_schema(path)
    connection = SqliteConnection(connect(path, read_only=False))
    try:
        end = time.time_ns() if until is None else until
        begin = end - 2 * 86_400 * _SECOND
        ids = [
            _put_script(connection, number, begin + number) for number in _in_transactions(connection, range(scripts))
        ]
        chance = random.Random(seed)
        step = max((end - begin) // max(executions, 1), 1)
        for number in _in_transactions(connection, range(executions)):
            _execute(connection, chance, seed, number, ids, begin + number * step)
        connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()
    return ids


def _in_transactions(connection: SqliteConnection, numbers: Iterable[int]) -> Iterator[int]:
    raw = connection.raw
    raw.execute("BEGIN IMMEDIATE")
    for number in numbers:
        yield number
        if number % _COMMIT_EVERY == _COMMIT_EVERY - 1:
            raw.execute("COMMIT")
            raw.execute("BEGIN IMMEDIATE")
    raw.execute("COMMIT")


def _put_script(connection: SqliteConnection, number: int, now: int) -> str:
    source = script_pb2.ScriptSource(source=f"pub fn main(n) {{ n + {number} }}")
    script = script_id(source)
    size = len(source.source)
    compiled = script_pb2.CompiledScript(script_id=script, source_bytes=size)
    compiled.functions.add(name="main", is_public=True).parameters.add(name="n")
    record = ScriptRecord(
        tenant=TENANT,
        script_id=script,
        principal="anna" if number % 100 == 0 else "local",
        create_time=now,
        last_used_time=now,
        source_bytes=size,
        source=source.SerializeToString(deterministic=True),
        functions=compiled.SerializeToString(deterministic=True),
    )
    put_script(connection, (record, None, f"tools/{number:05}" if number % 2 == 0 else None))
    return script


def _execute(
    connection: SqliteConnection, chance: random.Random, seed: int, number: int, scripts: list[str], now: int
) -> None:
    state = chance.choices(list(STATES), list(STATES.values()))[0]
    principal = chance.choices(list(PRINCIPALS), list(PRINCIPALS.values()))[0]
    script = scripts[0] if chance.random() < HOT_SHARE else chance.choice(scripts)
    execution_id = f"exec-{seed:08x}{number:024x}" if number % 2 else f"exec-{chance.getrandbits(128):032x}"
    success = state == execution_pb2.EXECUTION_STATE_SUCCEEDED
    context = execution_pb2.ExecutionContext(script_id=script, function="main")
    context.arguments["n"].int_value = number
    result = execution_pb2.ExecutionResult(execution_id=execution_id, script_id=script, success=success)
    result.execution_time.FromNanoseconds(1_000_000)
    result.resource_usage.memory_bytes = 1_000_000
    if not success:
        result.error.kind = error_pb2.EXECUTION_ERROR_KIND_RUNTIME
        result.error.message = "something went wrong"
    output = None
    if number % 10 == 0:
        stream = io.BytesIO()
        serialize_length_prefixed(execution_pb2.ExecutionChunk(sequence=1, stdout="hello\n"), stream)
        output = OutputSegment(1, 1, 6, 0, stream.getvalue())
        result.stdout_bytes = 6
    record = ExecutionRecord(
        tenant=TENANT,
        execution_id=execution_id,
        request_hash=bytes(32),
        script_id=script,
        script_name="",
        function="main",
        state=execution_pb2.EXECUTION_STATE_QUEUED,
        detached=False,
        principal=principal,
        security_level=security_pb2.SECURITY_LEVEL_SAFE,
        instance_id="0" * 16,
        create_time=now,
        start_time=None,
        end_time=None,
        expire_time=None,
        request=context.SerializeToString(),
        result=None,
        last_sequence=0,
        limits=_LIMITS,
        redacted=False,
        return_value=None,
    )
    finish = ExecutionEnd(
        tenant=TENANT,
        execution_id=execution_id,
        script_id=script,
        state=state,
        start_time=now + 100_000,
        end_time=now + 1_100_000,
        expire_time=now + _RETENTION_NS,
        result=result.SerializeToString(),
        return_value=value_pb2.Value(int_value=number).SerializeToString() if success else None,
        output=output,
        last_sequence=2 if output else 1,
        success=success,
        execution_time_ns=1_000_000,
        memory_bytes=1_000_000,
    )
    if begin_execution(connection, record) is not None:
        raise ValueError(f"{execution_id} is there already: fill with another seed")
    finish_execution(connection, finish)


def main() -> None:
    """Fills the store that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--scripts", type=int, default=10_000)
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    fill(options.path, options.scripts, options.executions, seed=options.seed)
    size = options.path.stat().st_size / 1e6
    print(f"{options.path}: {size:.0f} MB in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()
