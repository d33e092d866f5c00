"""Records with every field set to something that can be told from the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from crucible_server.store import ExecutionEnd, ExecutionRecord, OutputSegment, ScriptRecord, UnitRecord

QUEUED, RUNNING, SUCCEEDED, FAILED, INTERRUPTED = 1, 2, 3, 4, 6
NOW = 1_800_000_000_123_456_789


def execution(execution_id: str = "e1", **changes: Any) -> ExecutionRecord:
    """A queued execution."""
    record = ExecutionRecord(
        tenant="local",
        execution_id=execution_id,
        request_hash=b"\x00hash",
        script_id="sha256",
        script_name="tools/clean",
        function="main",
        state=QUEUED,
        detached=True,
        principal="anna",
        security_level=3,
        instance_id="run-1",
        create_time=NOW,
        start_time=None,
        end_time=None,
        expire_time=None,
        request=b"arguments",
        result=None,
        last_sequence=0,
        limits=b"limits",
        redacted=False,
        return_value=None,
    )
    return replace(record, **changes)


def end(execution_id: str = "e1", **changes: Any) -> ExecutionEnd:
    """A successful end of it."""
    record = ExecutionEnd(
        tenant="local",
        execution_id=execution_id,
        script_id="sha256",
        state=SUCCEEDED,
        start_time=NOW + 1,
        end_time=NOW + 2,
        expire_time=NOW + 3,
        result=b"result",
        return_value=b"value",
        output=segment(6, 7),
        last_sequence=7,
        success=True,
        execution_time_ns=1_000,
        memory_bytes=4_096,
    )
    return replace(record, **changes)


def segment(first: int = 1, last: int = 7, data: bytes = b"log", **changes: Any) -> OutputSegment:
    """A piece of its output."""
    record = OutputSegment(first_sequence=first, last_sequence=last, stdout_bytes=2, stderr_bytes=1, data=data)
    return replace(record, **changes)


def script(script_id: str = "sha256", **changes: Any) -> ScriptRecord:
    """A script."""
    record = ScriptRecord(
        tenant="local",
        script_id=script_id,
        principal="anna",
        create_time=NOW,
        last_used_time=NOW,
        source_bytes=6,
        source=b"source",
        functions=b"functions",
    )
    return replace(record, **changes)


def unit(unit_key: str = "key", **changes: Any) -> UnitRecord:
    """Byte code of it."""
    record = UnitRecord(
        unit_key=unit_key,
        tenant="local",
        script_id="sha256",
        toolchain="rune 1",
        compiled=b"compiled",
        unit=b"\x00code",
        mac=b"mac",
        create_time=NOW,
    )
    return replace(record, **changes)
