"""A stranger with grpcurl: no .proto file at hand, only what the server tells by reflection."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.servers import RunningServer

SERVICE = "crucible.v1.ScriptService"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def grpcurl(run_program: Run, server: RunningServer) -> Run:
    """Runs grpcurl against the server: flags first, then what to do."""

    def call(*words: str, flags: tuple[str, ...] = (), stdin: str = "") -> subprocess.CompletedProcess[str]:
        return run_program(["grpcurl", "-plaintext", "-max-time", "60", *flags, server.address, *words], stdin=stdin)

    return call


def test_it_lists_the_services(grpcurl: Run) -> None:
    done = grpcurl("list")
    assert done.returncode == 0, done.stderr
    assert {
        SERVICE,
        "crucible.v1.EventService",
        "crucible.v1.RegistryService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    } <= set(done.stdout.split())
    assert f"{SERVICE}.ExecuteScriptStream" in grpcurl("list", SERVICE).stdout.split()


@pytest.mark.parametrize(
    ("symbol", "comment"),
    [
        (SERVICE, "// Compiles a source and stores it."),
        (f"{SERVICE}.ExecuteScript", "// Runs a function to its end."),
        ("crucible.v1.Value", "// A value that enters or leaves a script."),
        ("crucible.v1.Value", "// Rune's `i64`."),
        ("crucible.v1.ErrorKind", "// The source does not compile."),
        ("grpc.health.v1.Health", "// Check gets the health of the specified service."),
    ],
)
def test_it_describes_with_comments(grpcurl: Run, symbol: str, comment: str) -> None:
    done = grpcurl("describe", symbol)
    assert done.returncode == 0, done.stderr
    assert comment in done.stdout


def test_it_does_not_find_what_is_not_there(grpcurl: Run) -> None:
    done = grpcurl("describe", "crucible.v1.Absent")
    assert done.returncode != 0
    assert "not known here" in done.stderr or "not found" in done.stderr.lower()


def execute(grpcurl: Run, context: dict[str, Any], method: str = "ExecuteScript") -> subprocess.CompletedProcess[str]:
    return grpcurl(f"{SERVICE}/{method}", flags=("-d", json.dumps({"context": context, "include_return_json": True})))


def test_it_runs_a_script(grpcurl: Run) -> None:
    source = {"source": 'pub fn main(name) { println!("hello {}", name); #{ n: 7, who: name } }'}
    done = execute(grpcurl, {"source": source, "arguments_json": '{"name": "you"}'})
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["success"] is True
    assert result["stdout"] == "hello you\n"
    assert json.loads(result["returnJson"]) == {"n": 7, "who": "you"}


def test_it_streams_a_script(grpcurl: Run) -> None:
    source = {"source": 'pub fn main() { for n in 0..3 { println!("{}", n); } }'}
    done = execute(grpcurl, {"source": source}, "ExecuteScriptStream")
    assert done.returncode == 0, done.stderr
    decoder, chunks, rest = json.JSONDecoder(), [], done.stdout.lstrip()
    while rest:
        message, end = decoder.raw_decode(rest)
        chunks.append(message["chunk"])
        rest = rest[end:].lstrip()
    assert "".join(chunk.get("stdout", "") for chunk in chunks) == "0\n1\n2\n"
    assert chunks[-1]["complete"]["success"] is True


def test_it_shows_the_details_of_an_error(grpcurl: Run) -> None:
    done = execute(grpcurl, {"script_id": "0" * 64})
    assert done.returncode != 0
    assert "NotFound" in done.stderr
    assert "SCRIPT_NOT_FOUND" in done.stderr


def test_it_asks_for_the_health(grpcurl: Run) -> None:
    done = grpcurl("grpc.health.v1.Health/Check", flags=("-d", json.dumps({"service": SERVICE})))
    assert json.loads(done.stdout) == {"status": "SERVING"}


def test_it_lists_names_and_deletes_by_hand(grpcurl: Run) -> None:
    def call(method: str, **request: Any) -> dict[str, Any]:
        done = grpcurl(f"{SERVICE}/{method}", flags=("-d", json.dumps(request)))
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    name = f"grpcurl/{uuid.uuid4().hex}"
    compiled = call("CompileScript", source={"source": f"/// {name}\npub fn main() {{ 7 }}"})
    script_id = compiled["script"]["scriptId"]
    assert call("NameScript", name=name, script_id=script_id)["script"]["names"] == [name]
    (listed,) = call("ListScripts", name_prefix=name)["scripts"]
    assert listed["scriptId"] == script_id
    assert call("GetScript", script_name=name, include_source=True)["script"]["source"]["source"].startswith("///")
    for _ in range(3):
        assert call("ExecuteScript", context={"script_name": name})["result"]["success"] is True
    found: list[str] = []
    page: dict[str, Any] = {"nextPageToken": ""}
    while "nextPageToken" in page:
        page = call(
            "ListExecutions",
            script_id=script_id,
            states=["EXECUTION_STATE_SUCCEEDED"],
            page_size=2,
            page_token=page["nextPageToken"],
        )
        found += [execution["executionId"] for execution in page["executions"]]
    assert len(set(found)) == 3
    (stats,) = call("GetMetrics", script_ids=[script_id])["scriptStats"]
    assert stats["totalExecutions"] == "3"
    for execution_id in found:
        assert call("DeleteExecution", execution_id=execution_id, redact_only=True) == {}
        assert call("GetExecution", execution_id=execution_id)["execution"]["redacted"] is True
        assert call("DeleteExecution", execution_id=execution_id) == {}
    assert call("ListExecutions", script_id=script_id) == {}
    assert call("NameScript", name=name) == {}
    assert call("DeleteScript", script_id=script_id) == {}
    gone = grpcurl(f"{SERVICE}/GetScript", flags=("-d", json.dumps({"script_id": script_id})))
    assert "SCRIPT_NOT_FOUND" in gone.stderr


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that are printed one after the other."""
    decoder, found, rest = json.JSONDecoder(), [], text.lstrip()
    while rest:
        message, end = decoder.raw_decode(rest)
        found.append(message)
        rest = rest[end:].lstrip()
    return found


def test_it_emits_follows_and_lists_events(grpcurl: Run) -> None:
    kind = f"grpcurl.{uuid.uuid4().hex}"
    service = "crucible.v1.EventService"
    events = [{"type": kind, "data": {"int_value": number}} for number in range(3)]
    emitted = grpcurl(f"{service}/Emit", flags=("-d", json.dumps({"events": events})))
    assert emitted.returncode == 0, emitted.stderr
    sequences = [event["sequence"] for event in json.loads(emitted.stdout)["events"]]
    request = {"filter": {"types": [kind]}, "after_sequence": str(int(sequences[0]) - 1)}
    # It follows until its time is up, of which a busy machine may need more.
    for seconds in ("3", "12", "48"):
        followed = grpcurl(f"{service}/Subscribe", flags=("-max-time", seconds, "-d", json.dumps(request)))
        messages = objects(followed.stdout)
        told = [event for message in messages if "batch" in message for event in message["batch"]["events"]]
        if len(told) >= len(events):
            break
    assert messages[0]["started"]["subscriptionId"].startswith("sub-")
    assert [event["sequence"] for event in told] == sequences
    assert [event["custom"]["data"]["intValue"] for event in told] == ["0", "1", "2"]
    listed = grpcurl(f"{service}/ListEvents", flags=("-d", json.dumps({"filter": {"types": [kind]}})))
    assert [event["sequence"] for event in json.loads(listed.stdout)["events"]] == sequences[::-1]
    wrong = grpcurl(f"{service}/Subscribe", flags=("-d", json.dumps({"filter": {"types": ["script_compild"]}})))
    assert "script_compiled" in wrong.stderr


def test_it_registers_finds_and_takes_back_a_service(grpcurl: Run) -> None:
    service, name = "crucible.v1.RegistryService", uuid.uuid4().hex

    def call(method: str, **request: Any) -> dict[str, Any]:
        done = grpcurl(f"{service}/{method}", flags=("-d", json.dumps(request)))
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    info = {"service_id": name, "service_type": name, "endpoint": "10.0.0.5:80", "metadata": {"zone": "a"}}
    assert call("RegisterService", service=info, lease="20s")["service"]["lease"] == "20s"
    assert "leaseExpireTime" in call("Heartbeat", service_id=name)
    (found,) = call("DiscoverServices", filter={"service_type": name, "healthy_only": True})["services"]
    assert found["info"]["metadata"] == {"zone": "a"}
    assert call("UnregisterService", service_id=name) == {}
    assert call("DiscoverServices", filter={"service_type": name}) == {}
