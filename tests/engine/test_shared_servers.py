"""Several real servers on one PostgreSQL database: they share scripts and executions, and nothing runs twice."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import crucible
from crucible.v1 import server_info_pb2
from tests.postgresql import PostgresServer
from tests.servers import RunningServer, children_of

CHANCE = "use crucible::basic::random; pub fn main() { random::int(0, 4000000000000000) }"
LOOP = 'pub fn main() { println!("up"); loop {} }'
LASTING: Any = {"detached": True, "level": "production", "limits": {"max_cpu_percentage": 5.0}}
"""How a loop is called that lasts thirty seconds, and takes little of the processor."""
SHORT = {"CRUCIBLE_STORE_LEASE": "3s"}
"""For servers that others are to give up. The rest has the default: they may stand still for a moment."""
Start = Callable[..., RunningServer]


@pytest.fixture
def start(postgres: PostgresServer, tmp_path: Path) -> Iterator[Start]:
    """Starts servers that share a database and a key, each with a folder of its own."""
    name = postgres.create()
    started: list[RunningServer] = []

    def run(folder: str, url: str = "", **settings: str) -> RunningServer:
        shared = {"CRUCIBLE_STORE_URL": url or postgres.url(name), "CRUCIBLE_UNIT_KEY": "ab" * 32}
        started.append(RunningServer(tmp_path / folder, {**shared, **settings}))
        return started[-1].start()

    yield run
    for server in started:
        server.kill()
    postgres.drop(name)


def eventually(found: Callable[[], bool], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def begin(client: crucible.Client, source: str = LOOP) -> str:
    """Starts a detached execution and waits until it runs; returns its id."""
    execution_id = uuid.uuid4().hex
    with client.stream(source, execution_id=execution_id, **LASTING) as stream:
        assert next(iter(stream)).text == "up\n"
    return execution_id


def test_scripts_are_shared_and_so_are_their_ends(start: Start) -> None:
    first, second = start("a"), start("b")
    with crucible.Client(first.address) as one, crucible.Client(second.address) as two:
        script = one.compile("pub fn main() { 6 * 7 }", name="answer")
        assert two.run(name="answer").value == 42
        assert two.run(script_id=script.script_id).value == 42
        assert [each.script_id for each in two.scripts()] == [script.script_id]
        one.delete_script(script.script_id)

        def is_gone() -> bool:
            # Its byte code is in the memory of the second for a moment longer.
            try:
                two.run(script_id=script.script_id)
            except crucible.ScriptNotFound:
                return True
            return False

        eventually(is_gone, 10)
        assert two.run("pub fn main() { 6 * 7 }").value == 42
        assert one.run(script_id=script.script_id).value == 42


def test_one_id_runs_once_whichever_server_is_asked(start: Start) -> None:
    servers = [start(name) for name in ("a", "b", "c")]
    with ExitStack() as stack, ThreadPoolExecutor(24) as pool:
        clients = [stack.enter_context(crucible.Client(server.address)) for server in servers]
        ids = [uuid.uuid4().hex for _ in range(40)]
        calls = [
            (execution_id, pool.submit(client.run, CHANCE, execution_id=execution_id))
            for execution_id in ids
            for client in clients
        ]
        values: dict[str, set[object]] = {execution_id: set() for execution_id in ids}
        for execution_id, call in calls:
            values[execution_id].add(call.result(60).value)
        # A second run would have had another value.
        assert [len(found) for found in values.values()] == [1] * len(ids)
        assert len({tuple(found) for found in values.values()}) == len(ids)
        with pytest.raises(crucible.ExecutionExists):
            clients[1].run("pub fn main() { 1 }", execution_id=ids[0])


def test_executions_are_followed_and_cancelled_from_any_server(start: Start) -> None:
    first, second = start("a"), start("b")
    with crucible.Client(first.address) as one, crucible.Client(second.address) as two:
        execution_id = begin(one)
        assert two.get_execution(execution_id).state == "RUNNING"
        ends: list[str] = []

        def follow() -> None:
            with two.wait(execution_id, check=False, deadline=60) as stream:
                ends.extend(piece.text for piece in stream)
                assert stream.result is not None
                assert stream.result.error is not None
                ends.append(stream.result.error.message)

        follower = threading.Thread(target=follow)
        follower.start()
        time.sleep(0.3)
        assert follower.is_alive()
        began = time.monotonic()
        assert two.cancel(execution_id, reason="enough").state == "CANCELLED"
        assert time.monotonic() - began < 20
        follower.join(20)
        assert ends == ["up\n", "cancelled: enough"]
        assert one.get_execution(execution_id).state == "CANCELLED"
        assert one.cancel(execution_id).state == "CANCELLED"


def test_each_server_answers_for_its_own_executions(start: Start) -> None:
    first, second = start("a", CRUCIBLE_STORE_LEASE="10m"), start("b")
    with crucible.Client(second.address) as two:
        with crucible.Client(first.address) as one:
            lost = begin(one)
        kept = begin(two)
        first.kill()
        # Its lease is long: nobody else can know.
        time.sleep(1)
        assert two.get_execution(lost).state == "RUNNING"
        first = start("a")
        with crucible.Client(first.address) as one:
            assert one.get_execution(lost).state == "INTERRUPTED"
            assert two.get_execution(lost).state == "INTERRUPTED"
            assert one.get_execution(kept).state == "RUNNING"
            assert one.run(LOOP, execution_id=lost, check=False, **LASTING).error is not None
        first.kill()
        assert two.get_execution(kept).state == "RUNNING"
        assert two.cancel(kept).state == "CANCELLED"


def test_the_executions_of_a_dead_server_are_ended_by_those_that_live(start: Start) -> None:
    first, second = start("a", **SHORT), start("b")
    with crucible.Client(second.address) as two:
        with crucible.Client(first.address) as one:
            lost = begin(one)
        first.kill()
        eventually(lambda: two.get_execution(lost).state == "INTERRUPTED")
        result = two.run(LOOP, execution_id=lost, check=False, **LASTING)
        assert result.error is not None
        assert result.error.kind == "INTERRUPTED"


def test_a_server_that_was_frozen_ends_what_others_have_given_up(start: Start) -> None:
    first, second = start("a", CRUCIBLE_SPARE_CHILDREN="0", CRUCIBLE_MAX_SPARE_CHILDREN="0", **SHORT), start("b")
    with crucible.Client(first.address) as one, crucible.Client(second.address) as two:
        lost = begin(one)
        children = children_of(first.zygote_pid())
        assert children
        os.kill(first.pid, signal.SIGSTOP)
        try:
            eventually(lambda: two.get_execution(lost).state == "INTERRUPTED")
        finally:
            os.kill(first.pid, signal.SIGCONT)
        # Sooner than the loop would have ended by itself.
        eventually(lambda: not set(children) & set(children_of(first.zygote_pid())), 15)
        eventually(lambda: one.get_execution(lost).state == "INTERRUPTED")
        # It has a lease again, and what it runs now is its own.
        kept = begin(one)
        time.sleep(1)
        assert two.get_execution(kept).state == "RUNNING"
        assert two.cancel(kept).state == "CANCELLED"


@pytest.mark.timeout(180)
def test_a_restart_of_the_database_under_load_loses_nothing(start: Start) -> None:
    with PostgresServer() as own:
        url = own.url(own.create())
        servers = [start("a", url), start("b", url)]
        ended: dict[str, object] = {}
        faults: list[str] = []
        stopping = threading.Event()

        def call(client: crucible.Client) -> None:
            while not stopping.is_set():
                execution_id = uuid.uuid4().hex
                try:
                    ended[execution_id] = client.run(CHANCE, execution_id=execution_id, deadline=60).value
                except (crucible.Unavailable, crucible.CallTimeout):
                    continue
                except crucible.CrucibleError as error:
                    faults.append(repr(error))

        def told(client: crucible.Client) -> str:
            return server_info_pb2.ServiceStatus.Name(client.health().status).removeprefix("SERVICE_STATUS_")

        with ExitStack() as stack:
            clients = [stack.enter_context(crucible.Client(server.address)) for server in servers]
            callers = [threading.Thread(target=call, args=(client,)) for client in clients for _ in range(4)]
            for caller in callers:
                caller.start()
            try:
                eventually(lambda: len(ended) > 100)
                own.stop()
                for client in clients:
                    eventually(lambda client=client: told(client) == "DEGRADED")  # type: ignore[misc]
                own.start()
                before = len(ended)
                eventually(lambda: len(ended) > before + 100)
                for client in clients:
                    eventually(lambda client=client: told(client) == "HEALTHY")  # type: ignore[misc]
            finally:
                stopping.set()
                for caller in callers:
                    caller.join(70)
            assert faults == []
            for execution_id, value in ended.items():
                # From the other server as well, and without another run.
                assert clients[1].run(CHANCE, execution_id=execution_id).value == value
