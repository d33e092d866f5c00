"""What the Python client, synchronous, does with stored scripts, executions and figures of a real server."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import grpc
import pytest

import crucible

COUNT = 7
ENDLESS = 'pub fn main() { println!("up"); loop {} }'


@pytest.fixture
def prefix() -> str:
    """The beginning of names that no other test has."""
    return f"stored/{uuid.uuid4().hex}/"


@pytest.fixture
def stored(client: crucible.Client, prefix: str) -> Iterator[list[crucible.CompiledScript]]:
    """Seven scripts, oldest first, the first of which has been executed seven times, every other time in vain."""
    scripts = [
        client.compile(
            f'/// {prefix}\npub fn main(n) {{ if n % 2 == 0 {{ panic!("no") }} n + {number} }}',
            name=f"{prefix}{number}",
        )
        for number in range(COUNT)
    ]
    for n in range(COUNT):
        client.run(scripts[0], args={"n": n}, check=False)
    yield scripts
    for execution in client.executions(script_id=scripts[0].script_id):
        client.delete_execution(execution.execution_id)
    for script in client.scripts(prefix):
        client.delete_script(script.script_id)


def ids(scripts: list[crucible.CompiledScript]) -> list[str]:
    """Their ids as lists have them, newest first."""
    return [script.script_id for script in reversed(scripts)]


def test_a_script_is_read_by_id_and_by_name(client: crucible.Client, prefix: str) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    source, files = f"/// {prefix}\nmod util; pub fn main(n) {{ util::add(n) }}", {"util.rn": "pub fn add(n) { n + 1 }"}
    compiled = client.compile(source, files=files, name=f"{prefix}one")
    script = client.script(compiled.script_id)
    assert script == client.script(script_id=compiled.script_id) == client.script(name=f"{prefix}one")
    assert (script.script_id, script.names, script.principal) == (compiled.script_id, (f"{prefix}one",), "local")
    assert script.functions == compiled.functions
    assert script.source_bytes == len(source) + len(files["util.rn"])
    assert before < script.create_time <= script.last_used_time <= datetime.now(UTC)
    assert (script.source, script.files) == (None, {})
    with_text = client.script(script.script_id, include_source=True)
    assert (with_text.source, with_text.files) == (source, files)
    assert client.run(script, args={"n": 1}).value == 2
    client.delete_script(script.script_id)


def test_names_are_given_moved_and_removed(client: crucible.Client, stored: list[crucible.CompiledScript]) -> None:
    first, second = stored[0].script_id, stored[1].script_id
    name = f"{stored[0].name}/again"
    assert client.name_script(name, first).names == (stored[0].name, name)
    assert client.name_script(name, second).script_id == second
    assert client.script(name=name).script_id == second
    assert client.script(first).names == (stored[0].name,)
    client.remove_name(name)
    for call in (lambda: client.script(name=name), lambda: client.remove_name(name)):
        with pytest.raises(crucible.ScriptNotFound):
            call()
    with pytest.raises(crucible.ScriptNotFound):
        client.name_script(name, "0" * 64)
    with pytest.raises(crucible.ValidationError):
        client.name_script("no name", first)
    assert client.script(second).names == (stored[1].name,)


def test_naming_with_an_empty_id_does_not_remove_the_name(
    client: crucible.Client, stored: list[crucible.CompiledScript]
) -> None:
    with pytest.raises(ValueError, match="remove_name"):
        client.name_script(stored[0].name, "")
    assert client.script(name=stored[0].name).script_id == stored[0].script_id


@pytest.mark.parametrize("page_size", [1, 2, COUNT, 1000, None])
def test_lists_come_in_pages_by_themselves(
    client: crucible.Client, prefix: str, stored: list[crucible.CompiledScript], page_size: int | None
) -> None:
    scripts = list(client.scripts(prefix, page_size=page_size))
    assert [script.script_id for script in scripts] == ids(stored)
    assert [script.names for script in scripts] == [(script.name,) for script in reversed(stored)]
    assert {script.source for script in scripts} == {None}
    executions = list(client.executions(script_id=stored[0].script_id, page_size=page_size))
    assert len({execution.execution_id for execution in executions}) == COUNT
    times = [execution.create_time for execution in executions]
    assert times == sorted(times, reverse=True)
    assert [execution.state for execution in executions] == [
        "FAILED" if n % 2 == 0 else "SUCCEEDED" for n in reversed(range(COUNT))
    ]


def test_lists_are_filtered(client: crucible.Client, prefix: str, stored: list[crucible.CompiledScript]) -> None:
    script_id = stored[0].script_id
    assert [script.script_id for script in client.scripts(f"{prefix}3")] == [stored[3].script_id]
    assert list(client.scripts(prefix, principal="nobody")) == []
    middle = client.script(stored[3].script_id).create_time
    # The same moment by a clock elsewhere.
    elsewhere = middle.astimezone(timezone(timedelta(hours=-7, minutes=30)))
    assert [script.script_id for script in client.scripts(prefix, created_after=elsewhere)] == ids(stored[3:])
    assert [script.script_id for script in client.scripts(prefix, created_before=elsewhere)] == ids(stored[:3])
    states: list[list[crucible.State]] = [["FAILED"], ["SUCCEEDED"], ["FAILED", "SUCCEEDED"], ["RUNNING", "QUEUED"]]
    for wanted, count in zip(states, (4, 3, COUNT, 0), strict=True):
        found = [execution.state for execution in client.executions(wanted, script_id=script_id, page_size=2)]
        assert len(found) == count
        assert set(found) <= set(wanted)
    assert len(list(client.executions(script_id=script_id, principal="local"))) == COUNT
    assert list(client.executions(script_id=script_id, principal="nobody")) == []
    start = client.script(script_id).create_time
    assert len(list(client.executions(script_id=script_id, created_after=start))) == COUNT
    assert list(client.executions(script_id=script_id, created_before=start)) == []


def test_a_page_is_fetched_when_it_is_read(
    client: crucible.Client,
    prefix: str,
    stored: list[crucible.CompiledScript],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    method: Callable[..., Any] = client.stub.ListScripts

    def counting(request: Any, **options: Any) -> Any:
        asked.append(request.page_size)
        return method(request, **options)

    monkeypatch.setattr(client.stub, "ListScripts", counting)
    scripts = client.scripts(prefix, page_size=3)
    assert asked == []
    assert next(scripts).script_id == stored[-1].script_id
    assert asked == [3]
    assert len(list(itertools.islice(scripts, 2))) == 2
    assert asked == [3]
    next(scripts)
    assert asked == [3, 3]
    assert len(list(scripts)) == 3
    assert asked == [3, 3, 3]


def test_what_is_listed_may_be_deleted_meanwhile(
    client: crucible.Client, prefix: str, stored: list[crucible.CompiledScript]
) -> None:
    for execution in client.executions(script_id=stored[0].script_id, page_size=2):
        client.delete_execution(execution.execution_id)
    assert list(client.executions(script_id=stored[0].script_id)) == []
    for script in client.scripts(prefix, page_size=2):
        client.delete_script(script.script_id)
    assert list(client.scripts(prefix)) == []
    for script_id in ids(stored):
        with pytest.raises(crucible.ScriptNotFound):
            client.script(script_id)


def test_a_deleted_execution_is_gone_and_its_id_is_free(client: crucible.Client) -> None:
    execution_id = uuid.uuid4().hex
    client.run("pub fn main() { 1 }", execution_id=execution_id)
    client.delete_execution(execution_id)
    for call in (client.get_execution, client.delete_execution, client.redact_execution):
        with pytest.raises(crucible.ExecutionNotFound):
            call(execution_id)
    assert client.run("pub fn main() { 2 }", execution_id=execution_id).value == 2


def test_a_redacted_execution_keeps_its_outcome(client: crucible.Client) -> None:
    execution_id = uuid.uuid4().hex
    client.run('pub fn main(x) { println!("{}", x); x }', args={"x": "secret"}, execution_id=execution_id)
    before = client.get_execution(execution_id)
    assert before.result is not None
    assert (before.redacted, before.result.value, before.result.stdout) == (False, "secret", "secret\n")
    client.redact_execution(execution_id)
    client.redact_execution(execution_id)
    after = client.get_execution(execution_id)
    assert after.redacted
    assert b"secret" not in after.message.SerializeToString()
    assert after.result is not None
    assert (after.state, after.result.success, after.result.value) == ("SUCCEEDED", True, None)
    assert (after.create_time, after.start_time, after.end_time) == (
        before.create_time,
        before.start_time,
        before.end_time,
    )
    assert before.start_time is not None
    assert before.end_time is not None
    assert before.expire_time is not None
    assert before.create_time <= before.start_time <= before.end_time < before.expire_time


def test_an_execution_that_has_not_ended_stays(client: crucible.Client) -> None:
    with client.stream(ENDLESS) as stream:
        next(iter(stream))
        record = client.get_execution(stream.execution_id)
        assert (record.principal, record.end_time, record.result) == ("local", None, None)
        for call in (client.delete_execution, client.redact_execution):
            with pytest.raises(crucible.ExecutionUnfinished) as raised:
                call(stream.execution_id)
            assert (raised.value.kind, raised.value.code) == (
                "EXECUTION_UNFINISHED",
                grpc.StatusCode.FAILED_PRECONDITION,
            )
        assert stream.execution_id in {each.execution_id for each in client.executions(["RUNNING"])}
        client.cancel(stream.execution_id)
    client.delete_execution(stream.execution_id)


def test_figures_are_those_of_what_happened(client: crucible.Client, stored: list[crucible.CompiledScript]) -> None:
    before = client.metrics()
    assert before.scripts == {}
    first, second = stored[0].script_id, stored[1].script_id
    client.run(script_id=first, args={"n": 1})
    after = client.metrics(first, second)
    assert after.total_executions == before.total_executions + 1
    assert after.successful_executions == before.successful_executions + 1
    assert after.failed_executions == before.failed_executions
    assert after.total_compilations >= COUNT
    assert after.uptime > before.uptime > 0
    assert after.memory_bytes > 0
    assert after.average_execution_time > 0
    assert after.average_compile_time > 0
    assert after.message.forked_children > 0
    assert list(after.scripts) == [first, second]
    stats = after.scripts[first]
    assert (stats.total_executions, stats.successful_executions) == (COUNT + 1, 4)
    assert 0 < stats.average_execution_time <= stats.max_execution_time
    assert stats.last_execution_time is not None
    assert abs(datetime.now(UTC) - stats.last_execution_time) < timedelta(minutes=5)
    assert after.scripts[second].last_execution_time is None
    with pytest.raises(crucible.ScriptNotFound):
        client.metrics("0" * 64)


def test_what_cannot_be_asked_for_is_refused_before_it_is_sent() -> None:
    naive = datetime(2030, 1, 1)  # noqa: DTZ001 - that it has no time zone is the point
    states: Any = ["RUNING"]
    state: Any = "running"
    with crucible.Client("127.0.0.1:1") as client:
        for call, message in (
            (lambda: client.scripts(created_after=naive), "created_after: expected a datetime with a time zone"),
            (lambda: client.executions(created_before=naive), "created_before: expected a datetime with a time zone"),
            (lambda: client.executions(states), "expected some of QUEUED, RUNNING.* got 'RUNING'"),
            (lambda: client.executions(state), "got 'running'"),
            (lambda: client.scripts(page_size=2**31), "2147483648"),
            (client.script, "exactly one of script_id= and name="),
            (lambda: client.script("a", name="b"), "exactly one of script_id= and name="),
        ):
            with pytest.raises(ValueError, match=message):
                call()


def test_the_server_says_what_is_wrong_with_a_page(client: crucible.Client) -> None:
    for page_size in (-1, 1001):
        with pytest.raises(crucible.ValidationError) as raised:
            next(client.scripts(page_size=page_size))
        assert raised.value.violations[0].field == "page_size"
    moment = datetime.now(UTC)
    with pytest.raises(crucible.ValidationError, match="later than created_after"):
        list(client.executions(created_after=moment, created_before=moment))


@pytest.mark.parametrize(
    "moment", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)], ids=["first", "last"]
)
def test_the_first_and_the_last_moment_are_moments(client: crucible.Client, moment: datetime) -> None:
    list(itertools.islice(client.scripts(created_after=moment), 1))
