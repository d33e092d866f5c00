"""Development scripts, and what they start, that take what they can get: the server and the other levels go on."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator

import pytest

import crucible
from crucible.requests import Limits
from tests.development.conftest import StartOpen, user_of
from tests.development.trees import START, marked, new_mark, open_zygote, wait_none, wait_up
from tests.engine.processes import PATIENCE, descriptors_of, resident_bytes, wait_until, zombies_of
from tests.servers import RunningServer, children_of

MOST = 600
"""Processes that the user of the server may have in the tests of fork bombs."""
BOMB = """
pub async fn main(mark, bomb) {
    println!("up");
    crucible::process::run("sh", ["-c", bomb, mark], #{}).await
}
"""
FULL = """
pub async fn main() {
    let held = [];
    while let Ok(one) = crucible::process::spawn("sleep", ["1000"], #{}) { held.push(one); }
    println!("full");
    crucible::basic::sleep(1000.0).await
}
"""
"""Starts as many processes as there may be, and keeps them."""
BOMBS = {
    "that waits": "b() { sleep 1000 & b & wait; }; b",
    "of sessions": 'b() { setsid sh -c "sleep 1000 & sleep 1000" & b & wait; }; b',
    # Not by a shell, which ends where it cannot fork: this one tries again.
    "that ignores signals": """exec perl -e '
        $SIG{$_} = "IGNORE" for qw(TERM HUP INT);
        while (1) { fork; select undef, undef, undef, 0.2 }
    '""",
}


def processes_of(zygote: int) -> int:
    """How many processes there are below a zygote, and threads of theirs."""
    found, left = 0, children_of(zygote)
    while left:
        pid = left.pop()
        try:
            found += len(os.listdir(f"/proc/{pid}/task"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        left += children_of(pid)
    return found


def why_not(client: crucible.Client) -> str:
    """The kind of error with which an execution at this level ended; empty when it ran."""
    error = client.run("pub fn main() { 3 }", level="development", check=False).error
    return "" if error is None else error.kind


@pytest.fixture
def few_processes() -> Iterator[None]:
    """Lets whom the test starts have some hundred processes."""
    before = resource.getrlimit(resource.RLIMIT_NPROC)
    if before[1] != resource.RLIM_INFINITY and before[1] < MOST:
        pytest.skip(f"this user may not have {MOST} processes")
    resource.setrlimit(resource.RLIMIT_NPROC, (MOST, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NPROC, before)


@pytest.mark.usefixtures("few_processes")
@pytest.mark.parametrize("user", ["this user", "another user"])
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_fork_bomb_leaves_room_and_dies(start_open: StartOpen, user: str, bomb: str) -> None:
    server = start_open(user_of(user))
    zygote = open_zygote(server)
    with crucible.Client(server.address) as client:
        (layer,) = [layer for layer in client.health().isolation_layers if layer.name == "development"]
        assert f"at most {MOST // 2} processes" in layer.detail
        args = {"mark": new_mark(), "bomb": BOMBS[bomb]}
        with client.stream(BOMB, level="development", args=args, check=False) as stream:
            assert next(iter(stream)).text == "up\n"
            wait_until(lambda: processes_of(zygote) > MOST // 4, "expected a crowd of processes")
            started = time.monotonic()
            while time.monotonic() - started < 1:
                assert processes_of(zygote) <= MOST // 2
                time.sleep(0.02)
            # The other half is for everybody else.
            assert client.run("pub fn main() { 1 }").value == 1
            assert client.run("pub fn main() { 2 }", level="production").value == 2
            # A process more at this level may find no room. That is said, and is no fault of the server.
            assert why_not(client) in ("", "RESOURCE_EXCEEDED")
            assert client.cancel(stream.execution_id).state == "CANCELLED"
            for _ in stream:
                pass
        wait_until(lambda: processes_of(zygote) == 0, "expected nothing to be left of the bomb")
        assert open_zygote(server) == zygote
        assert client.run("pub fn main() { 4 }", level="development").value == 4


@pytest.mark.parametrize("user", ["this user", "another user"])
def test_an_execution_that_finds_no_process_left(start_open: StartOpen, few_processes: None, user: str) -> None:
    server = start_open(user_of(user))
    with crucible.Client(server.address) as client:
        with client.stream(FULL, level="development", check=False) as stream:
            assert next(iter(stream)).text == "full\n"
            done = client.run("pub fn main() { 3 }", level="development", check=False)
            assert done.error is not None
            assert done.error.kind == "RESOURCE_EXCEEDED"
            for words in (
                "not run: no interpreter process could be started: expected room for one more",
                f"the {MOST // 2} processes",
                "got fork: ",
                "end executions or what they have started",
                "try again later under another execution id",
            ):
                assert words in done.error.message
            kept = client.get_execution(done.execution_id).result
            assert kept is not None
            assert kept.error == done.error
            # It is no fault of the server, and the other levels have theirs.
            assert client.health().details["fault_rate"].double_value == 0
            assert client.run("pub fn main() { 1 }").value == 1
            assert client.cancel(stream.execution_id).state == "CANCELLED"
            for _ in stream:
                pass
        assert client.run("pub fn main() { 4 }", level="development").value == 4


def test_a_fork_bomb_is_ended_by_its_time(start_open: StartOpen, few_processes: None) -> None:
    server = start_open(user_of("another user") if os.getuid() == 0 else None)
    with crucible.Client(server.address) as client:
        args = {"mark": new_mark(), "bomb": BOMBS["that waits"]}
        result = client.run(
            BOMB, level="development", args=args, limits={"max_execution_time": 1.0}, check=False, deadline=PATIENCE
        )
        assert result.error is not None
        assert result.error.kind == "TIMEOUT"
        assert processes_of(open_zygote(server)) == 0


def test_many_at_once_each_with_a_tree(development: RunningServer, open_client: crucible.Client) -> None:
    zygote = open_zygote(development)
    source = START + "pub async fn main(mark, gate) { start_tree(mark).await?; wait_for(gate).await }"
    marks = [new_mark() for _ in range(24)]
    gate = "/nowhere/" + new_mark()
    streams = [
        open_client.stream(source, level="development", args={"mark": mark, "gate": gate}, check=False)
        for mark in marks
    ]
    for mark in marks:
        wait_up(mark)
    assert len(children_of(zygote)) == len(marks)
    # Each sees its own, and each ends its own.
    first, *others = zip(streams, marks, strict=True)
    assert open_client.cancel(first[0].execution_id).state == "CANCELLED"
    wait_none(first[1])
    assert all(marked(mark) for _, mark in others)
    for stream, _ in others:
        open_client.cancel(stream.execution_id)
    for stream, mark in zip(streams, marks, strict=True):
        for _ in stream:
            pass
        wait_none(mark)
    assert not zombies_of(zygote)


def test_nothing_is_kept_of_those_that_ended(development: RunningServer, open_client: crucible.Client) -> None:
    zygote = open_zygote(development)
    source = 'pub async fn main() { crucible::process::run("sh", ["-c", "sleep 1000 & true"], #{}).await?.success }'
    script = open_client.compile(source, level="development")

    def run_some(count: int) -> None:
        for _ in range(count):
            assert open_client.run(script, level="development").value is True

    run_some(20)
    descriptors, memory = descriptors_of(zygote), resident_bytes(zygote)
    run_some(100)
    assert len(descriptors_of(zygote)) == len(descriptors)
    assert resident_bytes(zygote) < memory + (1 << 20)
    assert not children_of(zygote)


def test_scripts_see_and_signal_only_their_own(open_client: crucible.Client) -> None:
    mark = new_mark()
    source = START + "pub async fn main(mark, gate) { start_tree(mark).await?; wait_for(gate).await }"
    args = {"mark": mark, "gate": "/nowhere/" + mark}
    stream = open_client.stream(source, level="development", args=args, check=False)
    before = wait_up(mark)
    text = f"kill -9 -1; kill -9 {' '.join(map(str, before))}; ps -e -o args="
    hostile = 'pub async fn main(text) { crucible::process::run("sh", ["-c", text], #{}).await?.stdout }'
    seen = open_client.run(hostile, level="development", args={"text": text}).value
    assert mark not in seen
    assert marked(mark) == before
    assert open_client.cancel(stream.execution_id).state == "CANCELLED"
    wait_none(mark)


@pytest.mark.parametrize("where", ["of the script", "of a process"])
def test_floods(development: RunningServer, open_client: crucible.Client, where: str) -> None:
    flood = {
        "of the script": 'loop { println!("{}", "0123456789abcdef0123456789abcdef"); }',
        "of a process": 'crucible::process::run("yes", [], #{ max_output: 1000000000000 }).await',
    }[where]
    source = f"pub async fn main() {{ {flood} }}"
    memory = resident_bytes(development.pid)
    limits: Limits = {"max_output_bytes": 5_000_000, "max_memory_bytes": 50_000_000, "max_execution_time": 20.0}
    result = open_client.run(source, level="development", limits=limits, check=False, deadline=PATIENCE)
    assert result.error is not None
    assert result.error.kind == {"of the script": "OUTPUT_EXCEEDED", "of a process": "MEMORY_EXCEEDED"}[where]
    assert resident_bytes(development.pid) < memory + (64 << 20)


def test_the_kernel_bounds_the_memory_of_each_process(open_client: crucible.Client) -> None:
    source = """
    pub async fn main(bytes) {
        let text = `x = bytearray(${bytes}); print(len(x))`;
        let done = crucible::process::run("python3", ["-c", text], #{}).await?;
        [done.success, done.stderr.contains("MemoryError")]
    }
    """

    def run(limits: Limits) -> object:
        return open_client.run(source, level="development", args={"bytes": 300_000_000}, limits=limits).value

    assert run({"max_memory_bytes": 50_000_000}) == [False, True]
    assert run({}) == [True, False]


def test_who_holds_the_output_does_not_hold_up_the_end(open_client: crucible.Client) -> None:
    mark = new_mark()
    source = """
    pub async fn main(mark) {
        let text = `echo started; sleep 1000.${mark} & exec sleep 1000.${mark}`;
        let holder = crucible::process::spawn("sh", ["-c", text], #{})?;
        holder.read_line().await?
    }
    """
    started = time.monotonic()
    assert open_client.run(source, level="development", args={"mark": mark}).value == "started"
    assert not marked(mark)
    assert time.monotonic() - started < PATIENCE


def test_a_stopped_process_is_killed_as_well(open_client: crucible.Client) -> None:
    mark = new_mark()
    text = "sleep 1000.MARK & kill -STOP $!; wait".replace("MARK", mark)
    source = 'pub async fn main(text) { crucible::process::run("sh", ["-c", text], #{}).await }'
    result = open_client.run(
        source, level="development", args={"text": text}, limits={"max_execution_time": 1.0}, check=False
    )
    assert result.error is not None
    assert result.error.kind == "TIMEOUT"
    assert not marked(mark)


def test_the_server_dies_while_many_run(start_open: StartOpen) -> None:
    server = start_open(user_of("another user") if os.getuid() == 0 else None)
    marks = [new_mark() for _ in range(6)]
    source = START + "pub async fn main(mark, gate) { start_tree(mark).await?; wait_for(gate).await }"
    with crucible.Client(server.address) as client:

        def run(mark: str) -> None:
            with contextlib.suppress(crucible.CrucibleError):
                client.run(source, level="development", args={"mark": mark, "gate": "/nowhere/" + mark}, detached=True)

        workers = [threading.Thread(target=run, args=(mark,), daemon=True) for mark in marks]
        for worker in workers:
            worker.start()
        for mark in marks:
            wait_up(mark)
        os.kill(server.pid, signal.SIGKILL)
        for mark in marks:
            wait_none(mark)
        for worker in workers:
            worker.join(PATIENCE)
