"""Whatever ends an execution of Development ends every process that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import crucible
from crucible.requests import Limits
from tests.development.conftest import StartOpen, user_of
from tests.development.trees import START, jailed_zygote, marked, new_mark, open_zygote, wait_none, wait_up
from tests.engine.processes import PATIENCE, exists, wait_gone, wait_until
from tests.servers import RunningServer, children_of

SLEEP = START + "pub async fn main(mark) { start_tree(mark).await?; process::run(`sleep`, [`1000`], #{}).await }"
IN_TIME: Limits = {"max_execution_time": 4.0}
"""Long enough for the tree to come up, and to be seen, on a machine that is busy."""
ENDS: dict[str, tuple[str, Limits, str | None]] = {
    "by its value": ("1", {}, None),
    "by an Err": ("Err(`no`)", {}, "RETURNED_ERR"),
    "by a panic": ("panic!(`no`)", {}, "PANIC"),
    "in a loop, by its time": ("loop { }", IN_TIME, "TIMEOUT"),
    "in a wait, by its time": (
        "process::run(`sleep`, [`1000`], #{}).await",
        IN_TIME,
        "TIMEOUT",
    ),
    "by its processor time": ("loop { }", {"max_cpu_time": 0.5}, "CPU_TIME_EXCEEDED"),
    "by its instructions": ("loop { }", {"max_operations": 10_000_000}, "OPERATIONS_EXCEEDED"),
    "by its memory": (
        "let v = []; loop { v.push([1, 2, 3]); }",
        {"max_memory_bytes": 20_000_000},
        "MEMORY_EXCEEDED",
    ),
    "by its output": ("loop { println!(`line`); }", {"max_output_bytes": 1000}, "OUTPUT_EXCEEDED"),
}


@pytest.fixture
def mark() -> Iterator[str]:
    """A mark; what bears it at the end of the test is killed."""
    made = new_mark()
    yield made
    for pid in marked(made):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("end", ENDS)
def test_an_end_of_its_own(open_client: crucible.Client, open_folder: Path, mark: str, end: str) -> None:
    code, limits, kind = ENDS[end]
    source = START + f"pub async fn main(mark, gate) {{ start_tree(mark).await?; wait_for(gate).await?; {code} }}"
    gate = open_folder / mark
    args = {"mark": mark, "gate": str(gate)}
    with open_client.stream(source, level="development", args=args, limits=limits, check=False) as stream:
        # It goes on to its end once the whole tree was seen.
        wait_up(mark)
        gate.touch()
        for _ in stream:
            pass
    assert stream.result is not None
    # At once: the result is final when the kernel has ended them all.
    assert not marked(mark)
    if kind is None:
        assert stream.result.success
    else:
        assert stream.result.error is not None
        assert stream.result.error.kind == kind


def begin(client: crucible.Client, mark: str) -> tuple[crucible.Stream, list[int]]:
    stream = client.stream(SLEEP, level="development", args={"mark": mark}, check=False)
    return stream, wait_up(mark)


def rest(stream: crucible.Stream) -> crucible.Result:
    for _ in stream:
        pass
    assert stream.result is not None
    return stream.result


def test_cancelling(open_client: crucible.Client, mark: str) -> None:
    stream, _ = begin(open_client, mark)
    assert open_client.cancel(stream.execution_id).state == "CANCELLED"
    wait_none(mark)
    rest(stream)


def test_losing_the_call(open_client: crucible.Client, mark: str) -> None:
    stream, _ = begin(open_client, mark)
    stream.close()
    wait_none(mark)


def test_killing_the_child(development: RunningServer, open_client: crucible.Client, mark: str) -> None:
    zygote = open_zygote(development)
    before = set(children_of(zygote))
    stream, _ = begin(open_client, mark)
    (child,) = set(children_of(zygote)) - before
    os.kill(child, signal.SIGKILL)
    wait_none(mark)
    error = rest(stream).error
    assert error is not None
    assert error.kind == "CRASHED"
    assert open_zygote(development) == zygote


def test_a_script_that_signals_itself(open_client: crucible.Client) -> None:
    # Process 1 of a namespace gets no signal from inside that it does not handle: its time ends it, not a stray `kill`.
    source = """
    pub async fn main() {
        crucible::process::run("sh", ["-c", "kill -TERM 1; kill -HUP 1; kill -KILL 1; kill -STOP 1"], #{}).await?;
        crucible::process::run("sh", ["-c", "kill -TERM $$"], #{}).await?.signal
    }
    """
    assert open_client.run(source, level="development").value == signal.SIGTERM


def test_killing_the_zygote(development: RunningServer, open_client: crucible.Client, mark: str) -> None:
    jailed = jailed_zygote(development)
    zygote = open_zygote(development)
    stream, _ = begin(open_client, mark)
    os.kill(zygote, signal.SIGKILL)
    wait_none(mark)
    error = rest(stream).error
    assert error is not None
    assert error.kind == "CRASHED"
    # Another takes its place, and the other levels have not noticed.
    wait_until(lambda: _runs(open_client), "expected Development to come back")
    assert open_zygote(development) != zygote
    assert jailed_zygote(development) == jailed
    assert open_client.run("pub fn main() { 1 }").value == 1


def _runs(client: crucible.Client) -> bool:
    try:
        return bool(client.run("pub fn main() { true }", level="development").value)
    except crucible.CrucibleError:
        return False


@pytest.mark.parametrize("user", ["this user", "another user"])
@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_ending_the_server(start_open: StartOpen, mark: str, user: str, how: str) -> None:
    server = start_open(user_of(user), CRUCIBLE_GRACE_PERIOD="0.2s")
    with crucible.Client(server.address) as client:
        running = threading.Thread(target=_run_and_forget, args=(client, mark), daemon=True)
        running.start()
        wait_up(mark)
        zygotes = [open_zygote(server), jailed_zygote(server)]
        children = [child for zygote in zygotes for child in children_of(zygote)]
        if how == "kill":
            server.kill()
        else:
            server.terminate()
        wait_none(mark)
        wait_gone([*zygotes, *children])
        running.join(PATIENCE)


def _run_and_forget(client: crucible.Client, mark: str) -> None:
    with contextlib.suppress(crucible.CrucibleError):
        client.run(SLEEP, level="development", args={"mark": mark}, check=False)


def test_no_time_limit(open_client: crucible.Client) -> None:
    # Longer than Safe and the queue's patience at its default allow together with nothing.
    source = "pub async fn main() { crucible::process::run(`sleep`, [`11`], #{}).await?.success }"
    started = time.monotonic()
    assert open_client.run(source, level="development", deadline=60).value is True
    assert time.monotonic() - started > 11


def test_many_at_once_leave_nothing(development: RunningServer, open_client: crucible.Client) -> None:
    marks = [new_mark() for _ in range(8)]
    source = START + "pub async fn main(mark) { start_tree(mark).await }"
    workers = [
        threading.Thread(
            target=open_client.run, args=(source,), kwargs={"level": "development", "args": {"mark": each}}
        )
        for each in marks
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
    assert not [pid for each in marks for pid in marked(each)]
    assert not [pid for pid in children_of(open_zygote(development)) if exists(pid)]
