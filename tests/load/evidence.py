"""What there is to see from outside: the store as a killed server left it, the log, and all records at the end."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import crucible
from crucible.v1 import error_pb2, execution_pb2
from crucible.v1 import script_service_pb2 as api
from crucible_server.engine.output import chunks_of
from crucible_server.store import OutputSegment
from tests.engine.processes import PATIENCE
from tests.load.careful import History
from tests.servers import RunningServer

State = execution_pb2.ExecutionState
UNFINISHED = (State.EXECUTION_STATE_QUEUED, State.EXECUTION_STATE_RUNNING)
_KINDS = {
    error_pb2.EXECUTION_ERROR_KIND_INTERRUPTED,
    # The zygote or the child was killed.
    error_pb2.EXECUTION_ERROR_KIND_CRASHED,
}
_RAN = re.compile(r"script_log .*execution_id=([0-9a-f]+)")


def left_behind(data_dir: Path, copy: Path) -> dict[str, str]:
    """The unfinished executions in the store of a server that was killed, with the output that is stored of each.

    Looks at a copy, so that it is the next server that puts the store in order. AssertionError when it is damaged.
    """
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("crucible.db", "crucible.db-wal"):
        if (data_dir / name).exists():
            shutil.copy(data_dir / name, copy / name)
    with closing(sqlite3.connect(copy / "crucible.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        found: dict[str, str] = {
            execution_id: ""
            for (execution_id,) in connection.execute(
                "SELECT execution_id FROM executions WHERE state IN (?, ?)", UNFINISHED
            )
        }
        rows = connection.execute(
            "SELECT execution_id, first_sequence, last_sequence, stdout_bytes, stderr_bytes, data FROM output_segments "
            "ORDER BY execution_id, first_sequence"
        )
        for execution_id, *segment in rows:
            if execution_id in found:
                found[execution_id] += "".join(chunk.text for chunk in chunks_of(OutputSegment(*segment)))
    return found


def check_interrupted(client: crucible.Client, left: dict[str, str]) -> None:
    """What was unfinished has ended, as INTERRUPTED, with the output that was stored."""
    for execution_id, text in left.items():
        record = client.get_execution(execution_id)
        assert record.state == "INTERRUPTED"
        assert record.result is not None
        assert record.result.error is not None
        assert "not run again" in record.result.error.message
        assert record.result.message.stdout_bytes == len(text)
        assert text_of(client, execution_id) == text


def text_of(client: crucible.Client, execution_id: str) -> str:
    """All output that is stored of an execution."""
    following = client.wait(execution_id, check=False, deadline=PATIENCE)
    pieces = list(following)
    assert [piece.sequence for piece in pieces] == list(range(1, len(pieces) + 1))
    assert following.result is not None
    return "".join(piece.text for piece in pieces)


def runs_in(servers: Iterable[RunningServer]) -> Counter[str]:
    """How often each execution said in the log that it ran."""
    return Counter(match[1] for server in servers for line in server.log if (match := _RAN.search(line)) is not None)


def listed(client: crucible.Client) -> Iterator[execution_pb2.Execution]:
    """All executions."""
    request = api.ListExecutionsRequest(page_size=1000)
    while True:
        answer = client.stub.ListExecutions(request, timeout=PATIENCE)
        yield from answer.executions
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def check_history(client: crucible.Client, history: History, servers: Iterable[RunningServer]) -> Counter[str]:
    """Nothing acknowledged is lost, nothing ran twice; returns how many executions ended in which state."""
    assert history.faults == []
    records = {record.execution_id: record for record in listed(client)}
    details = client.health().details
    assert details["stored_executions"].int_value == len(records)
    assert records.keys() <= history.begun
    assert history.begun <= history.results.keys(), "a careful client gets an answer for everything"
    assert history.announced <= records.keys()
    assert history.results.keys() <= records.keys()
    for execution_id, result in history.results.items():
        _check_answer(client, history, execution_id, result)
    _check_scripts(client, history, records)
    runs = runs_in(servers)
    assert {execution_id: count for execution_id, count in runs.items() if count > 1} == {}
    succeeded = {each for each, record in records.items() if record.state == State.EXECUTION_STATE_SUCCEEDED}
    assert succeeded <= runs.keys() <= records.keys()
    return Counter(State.Name(record.state).removeprefix("EXECUTION_STATE_") for record in records.values())


def _check_answer(
    client: crucible.Client, history: History, execution_id: str, answer: execution_pb2.ExecutionResult
) -> None:
    record = client.get_execution(execution_id)
    assert record.result is not None, f"{execution_id} was answered and has not ended"
    stored = record.result.message
    if execution_id in history.unary:
        assert stored == answer
    else:
        text = text_of(client, execution_id)
        assert len(text) == stored.stdout_bytes
        if answer.success:
            assert text == history.texts[execution_id]
        else:
            # The client saw it come; the server was killed before all of it was stored.
            assert history.texts[execution_id].startswith(text) or text.startswith(history.texts[execution_id])
        for field in ("stdout", "stdout_truncated"):
            stored.ClearField(field)
        assert stored == answer
    assert answer.success or answer.error.kind in _KINDS, answer.error


def _check_scripts(client: crucible.Client, history: History, records: dict[str, execution_pb2.Execution]) -> None:
    for script_id, source in history.sources.items():
        script = client.stub.GetScript(
            api.GetScriptRequest(script_id=script_id, include_source=True), timeout=PATIENCE
        ).script
        assert script.source == source
        assert client.stub.ExecuteScript(
            api.ExecuteScriptRequest(context=execution_pb2.ExecutionContext(script_id=script_id)), timeout=PATIENCE
        ).result.success
    for name, script_id in history.names.items():
        found = client.stub.GetScript(api.GetScriptRequest(script_name=name), timeout=PATIENCE)
        assert found.script.script_id == script_id
    ended = Counter(record.script_id for record in records.values())
    succeeded = Counter(
        record.script_id for record in records.values() if record.state == State.EXECUTION_STATE_SUCCEEDED
    )
    scripts = sorted(ended.keys() - history.sources.keys())
    for start in range(0, len(scripts), 1000):
        request = api.GetMetricsRequest(script_ids=scripts[start : start + 1000])
        for stats in client.stub.GetMetrics(request, timeout=PATIENCE).script_stats:
            expected = (ended[stats.script_id], succeeded[stats.script_id])
            assert (stats.total_executions, stats.successful_executions) == expected
