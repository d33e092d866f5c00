"""What is old or too much goes, what has a name or still runs stays."""

from __future__ import annotations

import time

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from tests.conftest import StartServer
from tests.engine.processes import LOOP, wait_until


def executions(client: crucible.Client) -> list[str]:
    listed = client.stub.ListExecutions(api.ListExecutionsRequest(page_size=1000))
    return [execution.execution_id for execution in listed.executions]


def scripts(client: crucible.Client) -> set[str]:
    listed = client.stub.ListScripts(api.ListScriptsRequest(page_size=1000))
    return {script.script_id for script in listed.scripts}


def test_executions_older_than_their_retention_go(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_EXECUTION_RETENTION="1s")
    with crucible.Client(server.address) as client:
        old = client.run('pub fn main() { println!("x"); 1 }')
        record = client.get_execution(old.execution_id).message
        assert record.expire_time.ToNanoseconds() - record.end_time.ToNanoseconds() == 10**9
        time.sleep(1.1)
    server.terminate()
    # It cleans up as it starts, and once a minute.
    server.start()
    with crucible.Client(server.address) as client:
        wait_until(lambda: not executions(client), "the old one is still there")
        with pytest.raises(crucible.ExecutionNotFound):
            client.get_execution(old.execution_id)
        kept = client.run("pub fn main() { 2 }")
        assert client.get_execution(kept.execution_id).state == "SUCCEEDED"


def test_executions_that_are_too_many_go_oldest_first(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_STORED_EXECUTIONS="3")
    with crucible.Client(server.address) as client:
        done = [client.run("pub fn main() { 1 }").execution_id for _ in range(6)]
    server.terminate()
    server.start()
    with crucible.Client(server.address) as client:
        wait_until(lambda: len(executions(client)) == 3, "expected three to be left")
        assert executions(client) == done[:2:-1]
        assert client.health().details["stored_executions"].int_value == 3


@pytest.mark.sqlite
def test_scripts_without_a_name_go_when_nobody_uses_them(start_server: StartServer) -> None:
    # Longer than the server takes to start anew.
    server = start_server(CRUCIBLE_SCRIPT_RETENTION="8s")
    with crucible.Client(server.address) as client:
        unused = client.compile("pub fn main() { 1 }").script_id
        named = client.compile("pub fn main() { 2 }", name="kept").script_id
        used = client.compile("pub fn main() { 3 }").script_id
        time.sleep(8.1)
        assert client.run(script_id=used).value == 3
    server.terminate()
    server.start()
    with crucible.Client(server.address) as client:
        wait_until(lambda: scripts(client) == {named, used}, "expected the unused one to go")
        with pytest.raises(crucible.ScriptNotFound):
            client.run(script_id=unused)
        assert client.run(name="kept").value == 2


def test_compiling_again_counts_as_use(start_server: StartServer) -> None:
    # Longer than the server takes to start anew.
    server = start_server(CRUCIBLE_SCRIPT_RETENTION="8s")
    with crucible.Client(server.address) as client:
        script = client.compile("pub fn main() { 1 }").script_id
        time.sleep(8.1)
        assert client.compile("pub fn main() { 1 }").cached
    server.terminate()
    server.start()
    with crucible.Client(server.address) as client:
        assert client.run(script_id=script).value == 1


def test_scripts_that_are_too_many_go_least_recently_used_first(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_STORED_SCRIPTS="2")
    with crucible.Client(server.address) as client:
        first, second, third = (client.compile(f"pub fn main() {{ {n} }}").script_id for n in range(3))
        client.run(script_id=first)
    server.terminate()
    server.start()
    with crucible.Client(server.address) as client:
        wait_until(lambda: scripts(client) == {first, third}, f"expected {second} to go")


def test_what_runs_is_not_deleted(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        stream = client.stream(LOOP, check=False)
        next(iter(stream))
        for redact_only in (False, True):
            request = api.DeleteExecutionRequest(execution_id=stream.execution_id, redact_only=redact_only)
            with pytest.raises(Exception, match="has not ended; cancel it first") as raised:
                client.stub.DeleteExecution(request)
            assert raised.value.code().name == "FAILED_PRECONDITION"  # type: ignore[attr-defined]
        client.cancel(stream.execution_id)
        client.stub.DeleteExecution(api.DeleteExecutionRequest(execution_id=stream.execution_id))
        with pytest.raises(crucible.ExecutionNotFound):
            client.get_execution(stream.execution_id)


def test_a_redacted_execution_keeps_its_outcome_and_no_word(start_server: StartServer) -> None:
    server = start_server()
    secret = "hunter2-" * 4
    with crucible.Client(server.address) as client:
        failed = client.run(
            'pub fn main(word) { println!("{word}"); crucible::basic::eprintln!("{word}"); panic!("{word}") }',
            args={"word": secret},
            environment={"WORD": secret},
            check=False,
        )
        returned = client.run("pub fn main(word) { Err(word) }", args={"word": secret}, check=False)
        for execution_id in (failed.execution_id, returned.execution_id):
            before = client.get_execution(execution_id)
            assert secret in str(before.message)
            client.stub.DeleteExecution(api.DeleteExecutionRequest(execution_id=execution_id, redact_only=True))
            after = client.get_execution(execution_id)
            assert after.message.redacted
            assert secret not in str(after.message)
            assert after.state == before.state == "FAILED"
            assert after.message.result.error.kind == before.message.result.error.kind
            assert after.message.result.resource_usage == before.message.result.resource_usage
            assert after.message.last_sequence == before.message.last_sequence
            chunks = list(client.wait(execution_id, check=False))
            assert not chunks
    server.terminate()
    for file in server.data_dir.glob("crucible.db*"):
        assert secret.encode() not in file.read_bytes(), f"{file} still holds it"
