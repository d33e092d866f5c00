"""Zygotes that another takes over from: after crashes, after a time, when they are stalled, when they are killed."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import crucible
from tests.conftest import StartServer
from tests.engine.processes import (
    LOOP,
    PATIENCE,
    STEPS,
    child_started_by,
    standing_still,
    wait_gone,
    wait_logged,
    wait_until,
)
from tests.servers import RunningServer, children_of

CRASH = 'pub fn main() { let v = []; v.push(v); println!("{:?}", v); }'
FINE = "pub fn main() { 20 + 22 }"
CALLERS = 4


def figure(client: crucible.Client, name: str) -> int:
    value: int = client.health().details[name].int_value
    return value


def crash(client: crucible.Client, times: int) -> None:
    for _ in range(times):
        result = client.run(CRASH, check=False)
        assert result.error is not None
        assert result.error.kind == "STACK_OVERFLOW"


def other_zygote(server: RunningServer, client: crucible.Client, before: int) -> int:
    """The zygote that took over from the one before, once it has."""
    wait_until(lambda: figure(client, "interpreter_renewals") == 1, "no other zygote takes over")
    (pid,) = set(children_of(server.pid)) - {before}
    return pid


def test_after_crashes_another_takes_over_and_what_runs_ends_in_peace(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_ISOLATION__ZYGOTE_RENEWAL_CRASHES="3", CRUCIBLE_SPARE_CHILDREN="0")
    with crucible.Client(server.address) as client:
        before = server.zygote_pid()
        script = client.compile(STEPS, level="production")
        steps = {"steps": 60}
        stream, pid = child_started_by(server, lambda: client.stream(script, args=steps, level="production"))
        output = iter(stream)
        assert next(output).text == "step 0\n"
        with standing_still([pid]):
            crash(client, 2)
            assert server.zygote_pid() == before
            crash(client, 1)
            other = other_zygote(server, client, before)
            # New work goes to the other one, which has a layout of its own.
            assert client.run(FINE).value == 42
            assert before in children_of(server.pid)
            assert children_of(before) == [pid]
        list(output)
        assert stream.result is not None
        assert stream.result.value == 60
        wait_gone([before], PATIENCE)
        assert children_of(server.pid) == [other]
        # Counted anew.
        crash(client, 2)
        assert children_of(server.pid) == [other]
        assert figure(client, "interpreter_restarts") == 0
        assert client.health().status == 1


def test_after_a_time_another_takes_over_and_no_call_is_lost(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_ISOLATION__ZYGOTE_RENEWAL_INTERVAL="0.5")
    wrong: list[object] = []
    done = 0
    stopping = threading.Event()

    def call() -> None:
        nonlocal done
        with crucible.Client(server.address, options=[("grpc.enable_retries", 0)]) as client:
            while not stopping.is_set():
                result = client.run(STEPS, args={"steps": 2}, check=False, deadline=30)
                if result.value != 2:
                    wrong.append(result.error)
                done += 1

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    with crucible.Client(server.address) as client:
        wait_until(lambda: figure(client, "interpreter_renewals") >= 4, "it is not renewed")
        stopping.set()
        for thread in threads:
            thread.join(30)
        assert wrong == []
        assert done > CALLERS
        assert figure(client, "interpreter_restarts") == 0
    assert server.terminate() == 0


def test_address_layouts_differ(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_ISOLATION__ZYGOTE_RENEWAL_CRASHES="1")
    with crucible.Client(server.address) as client:
        before = server.zygote_pid()
        layout = Path(f"/proc/{before}/maps").read_text() if os.getuid() == 0 else ""
        crash(client, 1)
        other = other_zygote(server, client, before)
        if os.getuid() == 0:
            assert Path(f"/proc/{other}/maps").read_text().split("-")[0] != layout.split("-")[0]
        assert client.run(FINE).value == 42


def test_a_zygote_that_is_stalled_is_replaced(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_SPARE_CHILDREN="1")
    with crucible.Client(server.address) as client:
        stream = client.stream(LOOP, check=False, level="production")
        assert next(iter(stream)).text == "up\n"
        zygote = server.zygote_pid()
        family = [zygote, *children_of(zygote)]
        os.kill(zygote, signal.SIGSTOP)
        wait_gone(family, 20.0)
        list(stream)
        assert stream.result is not None
        assert stream.result.error is not None
        assert stream.result.error.kind == "CRASHED"
        assert client.run(FINE).value == 42
        assert figure(client, "interpreter_restarts") == 1
    wait_logged(server, "zygote_stalled")


def test_a_server_that_was_stopped_itself_keeps_its_zygote(start_server: StartServer) -> None:
    server = start_server()
    zygote = server.zygote_pid()
    with crucible.Client(server.address) as client:
        os.kill(server.pid, signal.SIGSTOP)
        # Longer than a zygote may be silent.
        threading.Event().wait(7)
        os.kill(server.pid, signal.SIGCONT)
        assert client.run(FINE).value == 42
        threading.Event().wait(2)
        assert server.zygote_pid() == zygote
        assert figure(client, "interpreter_restarts") == 0


def test_children_go_with_the_zygote_and_all_with_the_server(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_SPARE_CHILDREN="2")
    with crucible.Client(server.address) as client:
        streams = [client.stream(LOOP, check=False, level="production") for _ in range(3)]
        for stream in streams:
            assert next(iter(stream)).text == "up\n"
        zygote = server.zygote_pid()
        family = [zygote, *children_of(zygote)]
        assert len(family) >= 4
        os.kill(zygote, signal.SIGKILL)
        wait_gone(family)
        for stream in streams:
            list(stream)
        assert client.run(FINE).value == 42
        more = client.stream(LOOP, check=False, level="production")
        assert next(iter(more)).text == "up\n"
        zygote = server.zygote_pid()
        family = [zygote, *children_of(zygote)]
        server.kill()
        wait_gone(family)
