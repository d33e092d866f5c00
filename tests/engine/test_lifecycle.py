"""Whose end is whose: a lost call takes its script along, a detached script lives on, CancelExecution ends both."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import grpc
import pytest

import crucible
from crucible.v1 import execution_pb2, security_pb2, value_pb2
from crucible.v1 import script_service_pb2 as api
from tests.conftest import StartServer
from tests.engine.processes import (
    LOOP,
    PATIENCE,
    PROMPT,
    STEPS,
    child_started_by,
    descriptors_of,
    exists,
    standing_still,
    status_of,
    wait_gone,
    wait_until,
)
from tests.servers import RunningServer, children_of

MANY_STEPS = 60
DEADLINE = 2.0
"""Seconds that a call may take in which its child has to begin, and which pass while it runs."""

CALLER = """
import sys, threading
import crucible

address, endless, steps, *ids = sys.argv[1:]
client = crucible.Client(address)

def run(number, execution_id):
    detached = number >= 2
    script = {"script_id": steps, "args": {"steps": 60}} if detached else {"script_id": endless}
    if number % 2:
        client.run(execution_id=execution_id, detached=detached, level="production", **script)
    else:
        list(client.stream(execution_id=execution_id, detached=detached, level="production", **script))

for number, execution_id in enumerate(ids):
    threading.Thread(target=run, args=(number, execution_id)).start()
"""


@pytest.fixture(scope="module")
def scripts(bare_server: RunningServer) -> dict[str, str]:
    """Ids of compiled scripts, so that no compiler shows up among the children."""
    flood = 'pub fn main() { for n in 0..9000 { println!("{n} ' + "x" * 100 + '"); } loop {} }'
    with crucible.Client(bare_server.address) as client:
        return {
            name: client.compile(source, level="production").script_id
            for name, source in {"loop": LOOP, "steps": STEPS, "flood": flood}.items()
        }


def context(script_id: str, *, detached: bool = False, **arguments: int) -> execution_pb2.ExecutionContext:
    # At Safe what goes on without end does so for ten seconds.
    level = security_pb2.SecurityContext(security_level=security_pb2.SECURITY_LEVEL_PRODUCTION)
    return execution_pb2.ExecutionContext(
        security_context=level,
        execution_id=uuid.uuid4().hex,
        script_id=script_id,
        detached=detached,
        arguments={name: value_pb2.Value(int_value=number) for name, number in arguments.items()},
    )


def begin(
    client: crucible.Client, what: execution_pb2.ExecutionContext, *, streamed: bool, deadline: float | None = None
) -> Any:
    """Starts a call and does not wait for it."""
    if streamed:
        return client.stub.ExecuteScriptStream(api.ExecuteScriptStreamRequest(context=what), timeout=deadline)
    return client.stub.ExecuteScript.future(api.ExecuteScriptRequest(context=what), timeout=deadline)


def ended(client: crucible.Client, execution_id: str) -> crucible.Execution:
    """The record once the execution has ended."""
    for _ in client.wait(execution_id, check=False, deadline=PATIENCE):
        pass
    return client.get_execution(execution_id)


def assert_finished_alone(client: crucible.Client, execution_id: str, seen_before: int) -> None:
    """A detached script went on after its call was lost, and came to its own end."""
    following = client.wait(execution_id, deadline=PATIENCE)
    text = "".join(piece.text for piece in following)
    assert text == "".join(f"step {n}\n" for n in range(MANY_STEPS))
    assert following.result is not None
    assert following.result.value == MANY_STEPS
    record = client.get_execution(execution_id)
    assert record.state == "SUCCEEDED"
    assert record.last_sequence > seen_before


def assert_lost_its_call(client: crucible.Client, execution_id: str) -> None:
    record = ended(client, execution_id)
    assert record.state == "CANCELLED"
    assert record.result is not None
    assert record.result.error is not None
    assert record.result.error.kind == "CANCELLED"
    assert "the call that it belonged to" in record.result.error.message


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "unary"])
class TestLosingTheCall:
    def test_cancel_kills_the_child(
        self,
        bare: crucible.Client,
        bare_server: RunningServer,
        scripts: dict[str, str],
        streamed: bool,
    ) -> None:
        what = context(scripts["loop"])
        call, pid = child_started_by(bare_server, lambda: begin(bare, what, streamed=streamed))
        call.cancel()
        print(f"gone after {wait_gone([pid]):.3f} s")
        assert_lost_its_call(bare, what.execution_id)

    def test_a_passed_deadline_kills_the_child(
        self,
        bare: crucible.Client,
        bare_server: RunningServer,
        scripts: dict[str, str],
        streamed: bool,
    ) -> None:
        what = context(scripts["loop"])
        call, pid = child_started_by(bare_server, lambda: begin(bare, what, streamed=streamed, deadline=DEADLINE))
        with pytest.raises(grpc.RpcError) as raised:
            list(call) if streamed else call.result()
        assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        print(f"gone after {wait_gone([pid]):.3f} s")
        assert_lost_its_call(bare, what.execution_id)

    @pytest.mark.parametrize("deadline", [None, DEADLINE], ids=["cancel", "deadline"])
    def test_a_detached_script_is_left_alone(
        self,
        bare: crucible.Client,
        bare_server: RunningServer,
        scripts: dict[str, str],
        streamed: bool,
        deadline: float | None,
    ) -> None:
        what = context(scripts["steps"], detached=True, steps=MANY_STEPS)
        call, pid = child_started_by(bare_server, lambda: begin(bare, what, streamed=streamed, deadline=deadline))
        with standing_still([pid]):
            if deadline is None:
                call.cancel()
            wait_until(call.done, "the call does not end")
            wait_until(lambda: bare.get_execution(what.execution_id).state == "RUNNING", "expected it to run")
            before = bare.get_execution(what.execution_id)
            assert exists(pid)
            assert before.detached
        assert_finished_alone(bare, what.execution_id, before.last_sequence)


def test_cancelling_a_stream_that_nobody_reads_kills_the_child(
    bare: crucible.Client, bare_server: RunningServer, scripts: dict[str, str]
) -> None:
    what = context(scripts["flood"])
    call, pid = child_started_by(bare_server, lambda: begin(bare, what, streamed=True))
    # Far more output than the connection takes without a reader: the server is stuck in sending it.
    wait_until(
        lambda: sum(len(p.text) for p in snapshot(bare, what.execution_id)) > 900_000, "the output does not come"
    )
    call.cancel()
    wait_gone([pid])
    assert_lost_its_call(bare, what.execution_id)


def snapshot(client: crucible.Client, execution_id: str) -> list[crucible.Output]:
    """The output that is there now."""
    last = client.get_execution(execution_id).last_sequence
    pieces: list[crucible.Output] = []
    with client.wait(execution_id, check=False, deadline=PATIENCE) as following:
        for piece in following:
            pieces.append(piece)
            if piece.sequence >= last:
                break
    return pieces


@pytest.fixture
def caller(bare_server: RunningServer, scripts: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], list[str]]]:
    """A client in a process of its own with four calls: stream and unary of `loop`, then both of `steps`, detached."""
    ids = [uuid.uuid4().hex for _ in range(4)]
    process = subprocess.Popen(
        [sys.executable, "-c", CALLER, bare_server.address, scripts["loop"], scripts["steps"], *ids],
        env=os.environ,
        stderr=subprocess.DEVNULL,
    )
    yield process, ids
    process.kill()
    process.wait(PATIENCE)


def test_a_killed_client_takes_its_scripts_along_but_not_detached_ones(
    bare: crucible.Client,
    bare_server: RunningServer,
    caller: tuple[subprocess.Popen[bytes], list[str]],
) -> None:
    process, ids = caller
    zygote = bare_server.zygote_pid()
    with ExitStack() as stack:
        held: set[int] = set()

        def hold_all() -> bool:
            for pid in set(children_of(zygote)) - held:
                stack.enter_context(standing_still([pid]))
                held.add(pid)
            return len(held & set(children_of(zygote))) == 4

        wait_until(hold_all, "the four scripts do not run")
        wait_until(lambda: all(bare.get_execution(i).state == "RUNNING" for i in ids), "not all are running")
        process.kill()
        gone = "expected exactly the two detached children"
        print(f"gone after {wait_until(lambda: len(children_of(zygote)) == 2, gone, PROMPT):.3f} s")
        before = [bare.get_execution(execution_id).last_sequence for execution_id in ids]
    assert_lost_its_call(bare, ids[0])
    assert_lost_its_call(bare, ids[1])
    assert_finished_alone(bare, ids[2], before[2])
    assert_finished_alone(bare, ids[3], before[3])


@pytest.mark.parametrize("detached", [False, True], ids=["attached", "detached"])
def test_cancel_execution_kills_either_kind(
    bare: crucible.Client, bare_server: RunningServer, scripts: dict[str, str], detached: bool
) -> None:
    what = context(scripts["loop"], detached=detached)
    call, pid = child_started_by(bare_server, lambda: begin(bare, what, streamed=True))
    assert next(call).chunk.stdout == "up\n"
    record = bare.cancel(what.execution_id, reason="seen enough")
    # The answer says that the child is gone, so it is.
    assert not exists(pid)
    assert record.state == "CANCELLED"
    assert record.result is not None
    assert record.result.error is not None
    assert record.result.error.message == "cancelled: seen enough"
    assert record.result.stdout == "up\n"
    last = list(call)[-1].chunk
    assert last.error.error.message == "cancelled: seen enough"
    assert bare.cancel(what.execution_id, reason="again") == record


def test_cancel_does_not_change_what_has_ended(bare: crucible.Client) -> None:
    result = bare.run("pub fn main() { 7 }")
    record = bare.cancel(result.execution_id, reason="too late")
    assert record.state == "SUCCEEDED"
    assert record.result is not None
    assert record.result.value == 7
    with pytest.raises(crucible.ExecutionNotFound, match="no execution has the id 'absent'"):
        bare.cancel("absent")


def test_a_child_is_jailed(bare: crucible.Client, bare_server: RunningServer, scripts: dict[str, str]) -> None:
    what = context(scripts["loop"])
    call, pid = child_started_by(bare_server, lambda: begin(bare, what, streamed=True))
    assert next(call).chunk.stdout == "up\n"
    status = status_of(pid)
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == int(status["CapInh"], 16) == 0
    if os.geteuid() == 0:
        assert {int(uid) for uid in status["Uid"].split()}.isdisjoint({0})
        assert {int(gid) for gid in status["Gid"].split()}.isdisjoint({0})
        assert "0" not in status["Groups"].split()
    else:
        assert set(status["Uid"].split()) == {str(os.geteuid())}
    (target,) = descriptors_of(pid).values()
    assert target.startswith("socket:")
    call.cancel()
    wait_gone([pid])


def _is_filtered(pid: int) -> bool:
    return status_of(pid)["Seccomp"] == "2"


def test_a_waiting_spare_is_jailed_too(start_server: StartServer) -> None:
    # Of a server of its own: elsewhere there may be more of them for a while, and one may just be ended.
    zygote = start_server().zygote_pid()
    wait_until(lambda: len(children_of(zygote)) == 2, "there are no spares")
    for pid in children_of(zygote):
        wait_until(partial(_is_filtered, pid), "a spare without filter")
        assert status_of(pid)["NoNewPrivs"] == "1"
        assert len(descriptors_of(pid)) == 1
