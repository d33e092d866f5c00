"""Many callers at the same few things at once: afterwards all views of each agree; nothing ran more often than it may.

`LONG_TESTS=1 python -m pytest tests/load/test_races.py` goes on for many rounds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import grpc
import pytest

import crucible
from crucible.errors import from_rpc_error
from crucible.v1 import execution_pb2, script_pb2
from crucible.v1 import script_service_pb2 as api
from crucible.v1.script_service_pb2_grpc import ScriptServiceStub
from tests.conftest import StartServer
from tests.engine.processes import PATIENCE, wait_until
from tests.lengths import LONG, TIMEOUT
from tests.load.evidence import listed, runs_in
from tests.servers import RunningServer

pytestmark = pytest.mark.timeout(TIMEOUT)

ROUNDS = int(os.environ.get("ROUNDS", "100" if LONG else "5"))
SECONDS = 0.4
CALLERS = 6
# Fewer than the scripts: what is looked for in memory is as often in the store only.
SMALL_CACHE = {"CRUCIBLE_ENGINE__MAX_CACHE_SIZE": "2"}
LOGS = 'pub fn main() { crucible::basic::log("ran"); println!("out"); 7 }'

Step = Callable[[ScriptServiceStub, random.Random], object]


def at_once(server: RunningServer, seed: int, step: Step) -> None:
    """Callers that take a step again and again for a while; those steps that are refused are no fault."""
    until = time.monotonic() + SECONDS
    faults: list[str] = []

    def run(number: int) -> None:
        chance = random.Random(seed * 100 + number)
        with crucible.Client(server.address, options=[("grpc.enable_retries", 0)]) as client:
            while time.monotonic() < until:
                try:
                    step(client.stub, chance)
                except grpc.RpcError as error:
                    kind = from_rpc_error(error).kind
                    if kind not in ("SCRIPT_NOT_FOUND", "EXECUTION_NOT_FOUND", "EXECUTION_UNFINISHED", "UNAVAILABLE"):
                        faults.append(f"{kind}: {error}")
                except AssertionError as error:
                    faults.append(str(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert not faults


def is_refused(kind: str, call: Callable[[], object]) -> bool:
    """Whether a call fails with this kind of error, rather than works; AssertionError when with another."""
    try:
        call()
    except grpc.RpcError as error:
        found = from_rpc_error(error).kind
    else:
        return False
    assert found == kind
    return True


def compiling(source: script_pb2.ScriptSource, name: str = "") -> api.CompileScriptRequest:
    request = api.CompileScriptRequest(source=source)
    request.context.name = name
    return request


def executing(script_id: str) -> api.ExecuteScriptRequest:
    return api.ExecuteScriptRequest(context=execution_pb2.ExecutionContext(script_id=script_id))


def test_scripts_stored_named_run_and_deleted_at_once(start_server: StartServer) -> None:
    server = start_server(**SMALL_CACHE)
    sources = [script_pb2.ScriptSource(source=f"pub fn main() {{ {number} }}") for number in range(4)]
    with crucible.Client(server.address) as client:
        ids = [client.compile(source.source).script_id for source in sources]

        def step(stub: ScriptServiceStub, chance: random.Random) -> None:
            number = chance.randrange(len(ids))
            script_id, source, name = ids[number], sources[number], f"name-{number}"
            match chance.randrange(7):
                case 0 | 1:
                    assert stub.CompileScript(compiling(source, chance.choice(["", name])), timeout=PATIENCE).success
                case 2:
                    stub.DeleteScript(api.DeleteScriptRequest(script_id=script_id), timeout=PATIENCE)
                case 3:
                    answer = stub.ExecuteScript(executing(script_id), timeout=PATIENCE)
                    assert answer.result.return_value.int_value == number
                case 4:
                    context = execution_pb2.ExecutionContext(source=source)
                    answer = stub.ExecuteScript(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)
                    assert answer.result.return_value.int_value == number
                case 5:
                    stub.NameScript(api.NameScriptRequest(name=name, script_id=script_id), timeout=PATIENCE)
                case 6:
                    context = execution_pb2.ExecutionContext(script_name=name)
                    answer = stub.ExecuteScript(api.ExecuteScriptRequest(context=context), timeout=PATIENCE)
                    assert answer.result.return_value.int_value == number

        for seed in range(ROUNDS):
            at_once(server, seed, step)
            check_scripts(client, ids, sources)


def check_scripts(client: crucible.Client, ids: Sequence[str], sources: Sequence[script_pb2.ScriptSource]) -> None:
    """Every way to ask says the same of every script, and the last that is done to it decides."""
    stub = client.stub
    present = {each.script_id for each in stub.ListScripts(api.ListScriptsRequest(), timeout=PATIENCE).scripts}
    assert client.health().details["stored_scripts"].int_value == len(present)
    for number, (script_id, source) in enumerate(zip(ids, sources, strict=True)):
        reading = api.GetScriptRequest(script_id=script_id)
        asked: tuple[Callable[[], object], ...] = (
            partial(stub.GetScript, reading, timeout=PATIENCE),
            partial(stub.ExecuteScript, executing(script_id), timeout=PATIENCE),
            partial(stub.GetMetrics, api.GetMetricsRequest(script_ids=[script_id]), timeout=PATIENCE),
        )
        for ask in asked:
            assert is_refused("SCRIPT_NOT_FOUND", ask) == (script_id not in present)
        assert stub.CompileScript(compiling(source), timeout=PATIENCE).success
        assert stub.GetScript(reading, timeout=PATIENCE).script.script_id == script_id
        assert stub.ExecuteScript(executing(script_id), timeout=PATIENCE).result.return_value.int_value == number
        stub.DeleteScript(api.DeleteScriptRequest(script_id=script_id), timeout=PATIENCE)
        assert is_refused("SCRIPT_NOT_FOUND", partial(stub.ExecuteScript, executing(script_id), timeout=PATIENCE))


def test_executions_run_followed_erased_and_deleted_at_once(start_server: StartServer) -> None:
    server = start_server(**SMALL_CACHE)
    deletions: Counter[str] = Counter()
    lock = threading.Lock()
    with crucible.Client(server.address) as client:
        script_id = client.compile(LOGS).script_id

        def step(stub: ScriptServiceStub, chance: random.Random) -> None:
            execution_id = f"{chance.randrange(4):032x}"
            context = execution_pb2.ExecutionContext(script_id=script_id, execution_id=execution_id)
            match chance.randrange(8):
                case 0 | 1 | 2:
                    check_result(stub.ExecuteScript(api.ExecuteScriptRequest(context=context), timeout=PATIENCE).result)
                case 3:
                    request = api.ExecuteScriptStreamRequest(context=context)
                    check_result(end_of(stub.ExecuteScriptStream(request, timeout=PATIENCE)))
                case 4:
                    following = api.WaitExecutionRequest(execution_id=execution_id)
                    check_result(end_of(stub.WaitExecution(following, timeout=PATIENCE)))
                case 5:
                    stub.CancelExecution(api.CancelExecutionRequest(execution_id=execution_id), timeout=PATIENCE)
                case 6:
                    erasing = api.DeleteExecutionRequest(execution_id=execution_id, redact_only=True)
                    stub.DeleteExecution(erasing, timeout=PATIENCE)
                case 7:
                    deleting = api.DeleteExecutionRequest(execution_id=execution_id)
                    stub.DeleteExecution(deleting, timeout=PATIENCE)
                    with lock:
                        deletions[execution_id] += 1

        for seed in range(ROUNDS):
            at_once(server, seed, step)
            wait_until(lambda: not client.health().details["active_executions"].int_value, "something lives on")
            records = list(listed(client))
            assert client.health().details["stored_executions"].int_value == len(records)
            for record in records:
                found = client.get_execution(record.execution_id)
                assert found.result is not None
                check_result(found.result.message)
        # Each id runs once, and once more for each time that it was made free again.
        runs = runs_in([server])
        assert runs
        assert {each: count for each, count in runs.items() if count > deletions[each] + 1} == {}


def end_of(call: Iterable[Any]) -> execution_pb2.ExecutionResult:
    *_, last = call
    result: execution_pb2.ExecutionResult = getattr(last.chunk, last.chunk.WhichOneof("chunk"))
    return result


def check_result(result: execution_pb2.ExecutionResult) -> None:
    if result.success:
        assert result.stdout_bytes == 4
    else:
        assert result.error.message.startswith(("cancelled", "the contents of this execution", "the call that it")), (
            result
        )


@pytest.mark.skipif(not LONG, reason="scripts are swept once a minute: set LONG_TESTS=1")
def test_what_is_compiled_while_scripts_are_swept_stays(start_server: StartServer) -> None:
    kept = 200
    server = start_server(CRUCIBLE_MAX_STORED_SCRIPTS=str(kept), CRUCIBLE_ENGINE__MAX_CACHE_SIZE="5000")
    sources = [script_pb2.ScriptSource(source=f"pub fn main() {{ {number} }}") for number in range(kept * 15)]
    with crucible.Client(server.address) as client:
        for source in sources:
            client.stub.CompileScript(compiling(source), timeout=PATIENCE)

        def step(stub: ScriptServiceStub, chance: random.Random) -> None:
            source = chance.choice(sources)
            script_id = stub.CompileScript(compiling(source), timeout=PATIENCE).script.script_id
            reading = api.GetScriptRequest(script_id=script_id)
            assert not is_refused("SCRIPT_NOT_FOUND", partial(stub.GetScript, reading, timeout=PATIENCE)), script_id

        def count() -> int:
            return client.health().details["stored_scripts"].int_value

        most = count()
        until = time.monotonic() + 90
        while count() >= most and time.monotonic() < until:
            at_once(server, int(time.monotonic() * 1000), step)
        at_once(server, 0, step)
        assert count() < most, "nothing was swept"
