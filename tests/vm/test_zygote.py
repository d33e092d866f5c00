"""The zygote: it forks jailed children, bounds them, and leaves nothing behind."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from crucible.vm.v1 import zygote_pb2
from tests.vm.zygote_harness import Child, Zygote, binary, children_of, is_dead, running_zygote, status, until

pytestmark = pytest.mark.timeout(120)

Limits = zygote_pb2.ChildLimits


@pytest.fixture
def zygote() -> Iterator[Zygote]:
    with running_zygote() as zygote:
        yield zygote


def resident(pid: int) -> int:
    """Resident kilobytes."""
    return int(status(pid)["VmRSS"].split()[0])


def limits_of(pid: int) -> dict[str, list[str]]:
    """Soft and hard limits by their names in `/proc/PID/limits`."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


def finish(zygote: Zygote, child: Child) -> zygote_pb2.Exited:
    """Ends a spare by closing its socket."""
    child.close()
    return zygote.wait(child.child_id)


def test_ready_describes_the_zygote(zygote: Zygote) -> None:
    assert zygote.ready.protocol_version == 1
    assert zygote.ready.rune_version == "0.14.2"
    assert 0 < zygote.ready.baseline_bytes < 64 << 20
    layers = {layer.name: layer for layer in zygote.ready.layers}
    assert all(layer.active for layer in layers.values() if layer.required)
    assert {"seccomp", "rlimits", "no_new_privs"} <= {name for name, layer in layers.items() if layer.required}


def test_a_child_is_confined(zygote: Zygote) -> None:
    child = zygote.spawn()
    until(lambda: status(child.pid)["Seccomp"] == "2")
    seen = status(child.pid)
    assert seen["NoNewPrivs"] == "1"
    assert "0" not in seen["Uid"].split()
    assert int(seen["CapEff"], 16) == 0
    limits = limits_of(child.pid)
    for name in ("Max processes", "Max file size", "Max core file size", "Max locked memory"):
        assert limits[name] == ["0", "0"], name
    assert limits["Max open files"] == ["1", "1"]
    if os.geteuid() == 0:  # Only root may look into a process that is not dumpable.
        assert os.listdir(f"/proc/{child.pid}/fd") == ["0"]
    finish(zygote, child)


def test_the_environment_of_the_server_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRUCIBLE_TEST_SECRET", "do not tell")
    with running_zygote() as zygote:
        if os.geteuid() != 0:
            pytest.skip("only root may look into a process that is not dumpable")
        assert Path(f"/proc/{zygote.process.pid}/environ").read_bytes() == b""


def test_a_thousand_children_leave_nothing(zygote: Zygote) -> None:
    pid = zygote.process.pid

    def some(count: int) -> None:
        for _ in range(count):
            finish(zygote, zygote.spawn(Limits(wall_time_ms=60_000, cpu_time_ms=60_000, heap_bytes=64 << 20)))

    some(100)
    before = resident(pid)
    descriptors = len(os.listdir(f"/proc/{pid}/fd")) if os.geteuid() == 0 else 0
    some(1000)
    assert children_of(pid) == []
    assert resident(pid) - before < 512
    if os.geteuid() == 0:
        assert len(os.listdir(f"/proc/{pid}/fd")) == descriptors


def test_hundreds_at_once(zygote: Zygote) -> None:
    children = [zygote.spawn(Limits(wall_time_ms=60_000)) for _ in range(300)]
    assert len(children_of(zygote.process.pid)) == 300
    for child in children:
        child.close()
    for child in children:
        exited = zygote.wait(child.child_id)
        assert (exited.signal, exited.wall_time_exceeded) == (0, False)
    assert children_of(zygote.process.pid) == []


def test_wall_time_kills_a_stopped_child(zygote: Zygote) -> None:
    child = zygote.spawn()
    signal.pidfd_send_signal(child.pidfd, signal.SIGSTOP)
    # Its time begins when it has been stopped already.
    zygote.assign(child, Limits(wall_time_ms=300))
    exited = zygote.wait(child.child_id)
    assert exited.wall_time_exceeded
    assert exited.signal == signal.SIGKILL
    assert exited.lifetime_us >= 300_000
    child.close()


def test_wall_time_of_a_spare_starts_with_assign(zygote: Zygote) -> None:
    spare = zygote.spawn(Limits(cpu_time_ms=10_000))
    assert not is_dead(spare, 0.5)
    zygote.assign(spare, Limits(wall_time_ms=200, cpu_time_ms=5_000))
    exited = zygote.wait(spare.child_id)
    assert exited.wall_time_exceeded
    assert exited.lifetime_us >= 700_000
    spare.close()


def test_wall_time_is_kept_while_the_server_reads_nothing(zygote: Zygote) -> None:
    """Its socket fills up with events, and the deadline comes all the same."""
    victim = zygote.spawn(Limits(wall_time_ms=1500))
    zygote.control.setblocking(False)
    asked: list[int] = []
    with suppress(BlockingIOError):
        # The last one is not sent.
        while len(asked) < 10_000:
            asked.append(zygote.next_id)
            zygote.ask_for_child(Limits(wall_time_ms=60_000))
    assert len(asked) < 10_000
    assert is_dead(victim, 20)
    for child_id in asked[:-1]:
        while child_id not in zygote.spawned:
            zygote.receive()
        zygote.spawned.pop(child_id).close()
    assert zygote.wait(victim.child_id).wall_time_exceeded
    victim.close()


def test_a_child_is_bounded_before_the_server_hears_of_it(zygote: Zygote) -> None:
    for _ in range(20):
        child = zygote.spawn(Limits(heap_bytes=64 << 20, cpu_time_ms=1500))
        limits = limits_of(child.pid)
        # What the zygote has comes on top of the heap, and of the address space the stack.
        assert 64 << 20 <= int(limits["Max data size"][1]) < 128 << 20
        assert (64 + 64) << 20 <= int(limits["Max address space"][1]) < 512 << 20
        assert 2 <= int(limits["Max cpu time"][0]) <= 3
        assert finish(zygote, child).exit_code == 106


def test_a_spare_can_be_assigned_at_once(zygote: Zygote) -> None:
    """Before it has built its jail, too."""
    for _ in range(50):
        child_id = zygote.ask_for_child(Limits(heap_bytes=512 << 20))
        spare = Child(child_id, 0, zygote.control, -1)
        zygote.assign(spare, Limits(heap_bytes=64 << 20, wall_time_ms=60_000))
        while child_id not in zygote.spawned:
            zygote.receive()
        assert finish(zygote, zygote.spawned.pop(child_id)).exit_code == 106


def test_limits_of_a_spare_are_lowered(zygote: Zygote) -> None:
    spare = zygote.spawn(Limits(cpu_time_ms=60_000, heap_bytes=512 << 20))
    zygote.assign(spare, Limits(wall_time_ms=30_000, cpu_time_ms=2_000, heap_bytes=64 << 20))

    def lowered() -> bool:
        limits = limits_of(spare.pid)
        # The zygote's own data comes on top of the heap.
        return int(limits["Max data size"][0]) < 128 << 20 and int(limits["Max cpu time"][0]) <= 4

    until(lowered)
    assert finish(zygote, spare).signal == 0


def test_a_spare_whose_limits_would_grow_is_killed(zygote: Zygote) -> None:
    spare = zygote.spawn(Limits(heap_bytes=64 << 20))
    zygote.assign(spare, Limits(heap_bytes=65 << 20))
    exited = zygote.wait(spare.child_id)
    assert exited.signal == signal.SIGKILL
    assert "heap_bytes" in exited.detail
    spare.close()


def test_a_child_in_use_cannot_be_spawned_again(zygote: Zygote) -> None:
    child = zygote.spawn()
    zygote.next_id = child.child_id
    with pytest.raises(RuntimeError, match="expected a new child_id"):
        zygote.spawn()
    assert zygote.failed[child.child_id].errno == errno.EEXIST
    assert finish(zygote, child).signal == 0


def test_garbage_is_passed_over() -> None:
    with running_zygote(stderr=subprocess.PIPE) as zygote:
        assert zygote.process.stderr
        for garbage in (b"\xff" * 40, b"\x0a\xff", os.urandom(60_000), b"", b"\x1a\x00"):
            zygote.control.send(garbage)
        zygote.request(zygote_pb2.ZygoteRequest(spawn=zygote_pb2.Spawn(child_id=77)))
        while 77 not in zygote.failed:
            zygote.receive()
        zygote.assign(Child(999, 0, zygote.control, -1), Limits(wall_time_ms=1))
        assert finish(zygote, zygote.spawn()).signal == 0
        zygote.control.close()
        lines = zygote.process.stderr.read().decode().splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("crucible-vm zygote: ") for line in lines)


def test_closing_the_control_socket_ends_all(zygote: Zygote) -> None:
    children = [zygote.spawn() for _ in range(20)]
    zygote.control.close()
    assert zygote.process.wait(30) == 0
    assert all(is_dead(child) for child in children)


def test_half_closing_the_control_socket_ends_all(zygote: Zygote) -> None:
    child = zygote.spawn()
    zygote.control.shutdown(socket.SHUT_WR)
    assert zygote.process.wait(30) == 0
    assert is_dead(child)


def test_children_die_with_the_zygote(zygote: Zygote) -> None:
    children = [zygote.spawn() for _ in range(20)]
    zygote.process.kill()
    zygote.process.wait()
    assert all(is_dead(child) for child in children)


@pytest.mark.parametrize("polite", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_polite_signals_are_for_the_server_alone(zygote: Zygote, polite: signal.Signals) -> None:
    child = zygote.spawn()
    assert os.getpgid(zygote.process.pid) != os.getpgid(0)
    zygote.process.send_signal(polite)
    signal.pidfd_send_signal(child.pidfd, polite)
    time.sleep(0.1)
    assert not is_dead(child, 0.2)
    assert finish(zygote, child).signal == 0


def test_kill_by_the_server_is_not_called_a_timeout(zygote: Zygote) -> None:
    child = zygote.spawn(Limits(wall_time_ms=60_000, cpu_time_ms=60_000))
    child.kill()
    exited = zygote.wait(child.child_id)
    assert exited.signal == signal.SIGKILL
    assert not exited.wall_time_exceeded
    assert not exited.cpu_time_exceeded
    child.close()


@pytest.mark.parametrize(("open_files", "call"), [(6, "socketpair"), (7, "fork")])
def test_a_child_that_cannot_be_made_is_refused(open_files: int, call: str) -> None:
    """Five descriptors are its own; a child takes two for the socket and one for the pidfd while it is made."""
    with running_zygote(open_files=open_files) as zygote:
        for _ in range(3):
            with pytest.raises(RuntimeError, match=call):
                zygote.spawn()
        assert zygote.failed[1].errno == errno.EMFILE
        assert children_of(zygote.process.pid) == []


def test_the_wrong_descriptor_is_refused() -> None:
    with open(os.devnull) as null:
        done = subprocess.run(
            [binary(), "zygote", "--control-fd", str(null.fileno())],
            pass_fds=[null.fileno()],
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert b"SOCK_SEQPACKET" in done.stderr
