"""kill -9 of anything at any time: only what was in flight fails, it says so, and nothing runs twice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import pytest

import crucible
from tests.conftest import StartServer
from tests.engine.processes import (
    LOOP,
    PATIENCE,
    PROMPT,
    STEPS,
    child_started_by,
    exists,
    wait_gone,
    wait_until,
)
from tests.servers import RunningServer, children_of

CALLERS = 6
KILLS = 3
SHORT = 2
ENDLESS: Any = {"level": "production", "limits": {"max_cpu_percentage": 5.0}}
"""How a loop is called that has to be there for a while: thirty seconds, and little of the processor."""


@dataclass
class Load:
    """Callers that run a short script again and again, each time with an id of its own, and keep what came of it."""

    address: str
    script_id: str
    results: dict[str, crucible.Result] = field(default_factory=dict)
    errors: dict[str, crucible.CrucibleError] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.threads = [threading.Thread(target=self._call) for _ in range(CALLERS)]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.results) > CALLERS, "the load does not run")
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self.threads), "a call never came back"

    def _call(self) -> None:
        with crucible.Client(self.address, options=[("grpc.enable_retries", 0)]) as client:
            while not self.stopping.is_set():
                execution_id = uuid.uuid4().hex
                try:
                    self.results[execution_id] = client.run(
                        script_id=self.script_id,
                        args={"steps": SHORT},
                        execution_id=execution_id,
                        check=False,
                        deadline=PATIENCE,
                    )
                except crucible.CrucibleError as error:
                    self.errors[execution_id] = error
                    self.stopping.wait(0.05)

    def failures(self) -> list[crucible.ExecutionError]:
        return [result.error for result in list(self.results.values()) if result.error is not None]

    def more(self, number: int) -> None:
        """Waits until so many more have succeeded."""
        wanted = self.successes() + number
        wait_until(lambda: self.successes() >= wanted, "later calls do not work")

    def successes(self) -> int:
        return sum(result.success for result in list(self.results.values()))


def compiled(server: RunningServer) -> str:
    with crucible.Client(server.address) as client:
        return client.compile(STEPS).script_id


@pytest.mark.sqlite
def test_killing_the_zygote_fails_only_the_calls_in_flight(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client, Load(server.address, compiled(server)) as load:
        for killed in range(1, KILLS + 1):
            stream = client.stream(LOOP, check=False)
            assert next(iter(stream)).text == "up\n"
            zygote = server.zygote_pid()
            family = [zygote, *children_of(zygote)]
            os.kill(zygote, signal.SIGKILL)
            list(stream)
            assert stream.result is not None
            assert stream.result.error is not None
            assert stream.result.error.kind == "CRASHED"
            assert "was not run again" in stream.result.error.message
            wait_gone(family)
            # Enough that those which the kill cost are few among the latest.
            load.more(CALLERS * 12)
            health = client.health()
            assert health.details["interpreter_restarts"].int_value == killed
            # Once or twice may happen; what dies again and again is reported.
            assert health.status == (1 if killed < 3 else 2), health.message
    assert not load.errors
    assert {error.kind for error in load.failures()} <= {"CRASHED"}
    assert all("was not run again" in error.message for error in load.failures())
    # At most what each caller had in flight at each kill.
    assert len(load.failures()) <= KILLS * CALLERS


def test_a_zygote_that_dies_forking_fails_nothing_that_had_not_begun(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        script_id = client.compile("pub fn main(steps) { steps }").script_id
        with Load(server.address, script_id) as load:
            for _ in range(KILLS + 1):
                for _ in range(3):
                    time.sleep(0.1)
                    for zygote in children_of(server.pid):
                        # One that was killed before may be reaped just now.
                        with suppress(ProcessLookupError):
                            os.kill(zygote, signal.SIGKILL)
                # Where it is slow to start, each is killed as it starts. More than may have been on their way back.
                load.more(CALLERS + 1)
        assert not load.errors
        # What was forked for and never got its script is given another child; the rest says what became of it.
        assert {error.kind for error in load.failures()} <= {"CRASHED"}
        assert client.health().details["interpreter_restarts"].int_value > KILLS
        assert client.run("pub fn main() { 1 }").value == 1
    wait_until(lambda: len(children_of(server.pid)) == 1, "zygotes are left")


def test_killing_children_fails_only_their_calls(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_SPARE_CHILDREN="2")
    zygote = server.zygote_pid()
    kills = 0
    with Load(server.address, compiled(server)) as load:
        chance = random.Random(7)
        started = time.monotonic()
        # While the server stands still there may be none but spares.
        while kills < KILLS * 8 or not load.failures():
            assert time.monotonic() - started < PATIENCE, "no call fails"
            if children := children_of(zygote):
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(children), signal.SIGKILL)
                    kills += 1
            time.sleep(0.02)
        load.more(CALLERS * 2)
    assert server.zygote_pid() == zygote
    assert not load.errors
    assert {error.kind for error in load.failures()} == {"CRASHED"}
    assert all("SIGKILL" in error.message for error in load.failures())
    assert len(load.failures()) <= kills
    wait_until(lambda: len(children_of(zygote)) == 2, "expected the spares alone")


def test_a_killed_child_is_a_crash_that_names_the_signal(bare: crucible.Client, bare_server: RunningServer) -> None:
    script = bare.compile(LOOP)
    stream, pid = child_started_by(bare_server, lambda: bare.stream(script, check=False))
    assert next(iter(stream)).text == "up\n"
    os.kill(pid, signal.SIGKILL)
    list(stream)
    assert stream.result is not None
    assert stream.result.error is not None
    assert stream.result.error.kind == "CRASHED"
    assert "SIGKILL" in stream.result.error.message
    assert bare.get_execution(stream.execution_id).state == "FAILED"


def in_background(run: Callable[[], object]) -> threading.Thread:
    """A call that will be lost with its server."""

    def quietly() -> None:
        with suppress(crucible.CrucibleError):
            run()

    thread = threading.Thread(target=quietly)
    thread.start()
    return thread


def test_killing_the_server_loses_nothing_that_was_answered_and_runs_nothing_twice(
    start_server: StartServer,
) -> None:
    server = start_server()
    script_id = compiled(server)
    unfinished = {"attached": False, "detached": True}
    with crucible.Client(server.address) as client:
        done = client.run('pub fn main() { println!("kept"); [1, 1.0] }', execution_id="done")
        failed = client.run('pub fn main() { println!("kept"); 1 / 0 }', execution_id="failed", check=False)
        loop = client.compile(LOOP).script_id
        calls = [
            in_background(partial(client.run, script_id=loop, execution_id=name, detached=detached, **ENDLESS))
            for name, detached in unfinished.items()
        ]
        for name in unfinished:
            wait_until(partial(is_running, client, name), f"{name} does not run")
        with Load(server.address, script_id) as load:
            zygote = server.zygote_pid()
            family = [zygote, *children_of(zygote)]
            server.kill()
            wait_gone(family, PROMPT)
            wait_until(lambda: len(load.errors) >= CALLERS, "calls to a dead server do not end")
        for call in calls:
            call.join(PATIENCE)
            assert not call.is_alive()
    assert {type(error) for error in load.errors.values()} == {crucible.Unavailable}
    assert not load.failures()

    again = start_server()
    assert again.pid != server.pid
    with crucible.Client(again.address) as client:
        assert client.run('pub fn main() { println!("kept"); [1, 1.0] }', execution_id="done") == done
        assert client.run('pub fn main() { println!("kept"); 1 / 0 }', execution_id="failed", check=False) == failed
        for name, detached in unfinished.items():
            assert_interrupted(client, loop, name, detached)
        for execution_id, answered in load.results.items():
            record = client.get_execution(execution_id)
            assert record.state == "SUCCEEDED"
            assert record.result == answered
        for execution_id in load.errors:
            assert_not_run_again(client, script_id, execution_id)
        assert client.run("pub fn main() { 1 }").value == 1
        assert len(children_of(again.zygote_pid())) <= 3


def is_running(client: crucible.Client, execution_id: str) -> bool:
    with suppress(crucible.ExecutionNotFound):
        return client.get_execution(execution_id).state == "RUNNING"
    return False


def assert_interrupted(client: crucible.Client, script_id: str, execution_id: str, detached: bool) -> None:
    record = client.get_execution(execution_id)
    assert (record.state, record.detached) == ("INTERRUPTED", detached)
    assert record.message.HasField("end_time")
    started = time.monotonic()
    result = client.run(script_id=script_id, execution_id=execution_id, detached=detached, check=False, **ENDLESS)
    # Run again, the script would take its thirty seconds.
    assert time.monotonic() - started < PATIENCE / 2
    assert result.error is not None
    assert result.error.kind == "INTERRUPTED"
    assert "not run again" in result.error.message
    following = client.wait(execution_id, check=False)
    list(following)
    assert following.result is not None
    assert following.result.error == result.error
    assert client.get_execution(execution_id) == record


def assert_not_run_again(client: crucible.Client, script_id: str, execution_id: str) -> None:
    """A call that got no answer had ended, was interrupted, or had never begun: whichever, it stays so."""
    try:
        record = client.get_execution(execution_id)
    except crucible.ExecutionNotFound:
        return
    assert record.state in ("SUCCEEDED", "INTERRUPTED")
    result = client.run(script_id=script_id, args={"steps": SHORT}, execution_id=execution_id, check=False)
    assert result == record.result
    assert client.get_execution(execution_id) == record


def test_a_server_that_is_killed_in_the_middle_starts_again_and_again(start_server: StartServer) -> None:
    names = [f"loop-{number}" for number in range(2)]
    for number, name in enumerate(names):
        server = start_server()
        with crucible.Client(server.address) as client:
            for earlier in names[:number]:
                assert client.get_execution(earlier).state == "INTERRUPTED"
            call = in_background(partial(client.run, LOOP, execution_id=name, detached=True))
            wait_until(partial(is_running, client, name), "it does not run")
            zygote = server.zygote_pid()
            server.kill()
            wait_gone([zygote])
            call.join(PATIENCE)
    assert not exists(zygote)
