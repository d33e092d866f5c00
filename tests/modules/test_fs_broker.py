"""The file broker as a process: killed, stopped, confined, and gone with its server."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import crucible
from crucible.vm.v1 import broker_pb2
from tests.engine.processes import exists
from tests.modules.disk import VM, Disk, RawBroker, at, wait_until

# The host call leaves before the output does.
ASKING = """
pub async fn main() {
    let call = crucible::fs::read("data/f");
    print!("asked");
    call.await
}
"""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still."""
    assert pid, "there is no broker"
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        # One that was killed may have been collected.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def begin(disk: Disk, **options: Any) -> tuple[crucible.client.Stream, Iterator[crucible.Output]]:
    """A script that waits for a file: the broker has been asked, or waits to be."""
    stream = disk.client.stream(ASKING, level="production", check=False, **options)
    pieces = iter(stream)
    assert next(pieces).text == "asked"
    return stream, pieces


def end(stream: crucible.client.Stream, pieces: Iterator[crucible.Output]) -> crucible.ExecutionError:
    """The error with which it ended."""
    assert list(pieces) == []
    assert stream.result is not None
    assert stream.result.error is not None
    return stream.result.error


def test_a_broker_that_is_killed_in_a_call_costs_that_call(disk: Disk) -> None:
    disk.do("write", "data/f", "x")
    zygote = disk.server.zygote_pid()
    for _ in range(3):
        pid = disk.broker_pid()
        with stopped(pid):
            stream, pieces = begin(disk)
            time.sleep(0.1)
            disk.kill_broker()
            error = end(stream, pieces)
        assert error.kind == "RETURNED_ERR"
        assert "fs: data/f: the file broker died while it was at this" in error.message
        assert "try again" in error.message
        # The next call waits for the next broker.
        assert disk.do("read", "data/f") == "x"
        assert disk.broker_pid() not in (0, pid)
        assert not exists(pid)
    assert disk.server.zygote_pid() == zygote
    assert disk.client.health().status == 1
    assert disk.client.health().details["file_broker_restarts"].int_value >= 3
    layers = {layer.name: layer for layer in disk.client.health().isolation_layers}
    assert layers["file_broker"].active


def test_health_says_when_there_is_no_broker(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk:
        disk.do("write", "data/f", "x")
        disk.root.rename(tmp_path / "moved")
        disk.kill_broker()
        wait_until(lambda: "the root `data`: expected a directory" in disk.client.health().message)
        assert "scripts have no files" in disk.client.health().message
        assert "the file broker is down" in disk.refusal("read", "data/f")
        # Scripts without files are not held up.
        assert disk.client.run("pub fn main() { 1 }", level="production").value == 1
        (tmp_path / "moved").rename(disk.root)
        wait_until(lambda: disk.client.health().status == 1)
        assert disk.do("read", "data/f") == "x"


def test_a_write_that_is_killed_leaves_the_old_or_the_new(disk: Disk) -> None:
    texts = ["a" * 700_000, "b" * 700_000]
    disk.do("write", "data/f", texts[0])
    source = """
    pub async fn main(texts) {
        let failed = 0;
        for round in 0..60 {
            if crucible::fs::write("data/f", texts[round % 2]).await.is_err() { failed += 1; }
        }
        failed
    }
    """
    failed: list[Any] = []
    writer = threading.Thread(target=lambda: failed.append(disk.run(source, texts=texts).value))
    writer.start()
    for _ in range(5):
        time.sleep(0.05)
        wait_until(disk.broker_pid)
        disk.kill_broker()
        wait_until(disk.broker_pid)
        assert (disk.root / "f").read_text() in texts
    writer.join(60)
    assert failed
    assert failed[0] < 60
    assert (disk.root / "f").read_text() in texts
    # Leftovers are seen by nobody.
    assert [entry["name"] for entry in disk.do("list", "data")] == ["f"]


def test_a_broker_that_stands_still_holds_nobody_beyond_the_limits(disk: Disk) -> None:
    disk.do("write", "data/f", "x")
    # Its time is that of the compiler as well.
    disk.client.compile(ASKING, level="production")
    with stopped(disk.broker_pid()):
        result = disk.client.run(ASKING, level="production", limits={"max_execution_time": 0.5}, check=False)
        assert result.error is not None
        assert result.error.kind == "TIMEOUT"
        # What needs no files goes on.
        assert disk.client.run("pub fn main() { 1 }", level="production").value == 1
        assert disk.client.health().status == 1
    assert disk.do("read", "data/f") == "x"


def test_a_broker_that_does_not_answer_is_replaced(tmp_path: Path) -> None:
    # Longer than a broker that works takes on a busy machine.
    with Disk(tmp_path, {"call_timeout": "3s"}) as disk:
        (disk.root / "f").write_text("x")
        pid = disk.broker_pid()
        with stopped(pid):
            assert "did not answer within 3 s" in disk.refusal("read", "data/f")
            assert disk.do("read", "data/f") == "x"
            assert not exists(pid)


def test_cancelled_calls_give_their_places_back(tmp_path: Path) -> None:
    with Disk(tmp_path, {"max_concurrent_calls": 2}) as disk:
        disk.do("write", "data/f", "x")
        with stopped(disk.broker_pid()):
            for _ in range(4):
                stream, pieces = begin(disk)
                disk.client.cancel(stream.execution_id)
                assert end(stream, pieces).kind == "CANCELLED"
            # A caller that goes away is the same.
            for _ in range(4):
                stream, _ = begin(disk)
                stream.close()
        source = """
        pub async fn main() {
            let reads = [];
            for n in 0..30 { reads.push(crucible::fs::read("data/f")); }
            std::future::join(reads).await.iter().filter(|read| read.is_ok()).count()
        }
        """
        assert disk.run(source).value == 30


def test_executions_side_by_side_have_their_own_files_and_figures(disk: Disk) -> None:
    source = """
    pub async fn main(name) {
        for round in 0..50 {
            crucible::fs::write(`data/${name}`, name).await?;
            let text = crucible::fs::read(`data/${name}`).await?;
            if text != name { return Err(text); }
            crucible::fs::append("data/shared", "0123456789\n").await?;
        }
        name
    }
    """
    results: dict[str, crucible.Result] = {}
    names = [f"caller-{number}" for number in range(6)]

    def call(name: str) -> None:
        with crucible.Client(disk.server.address) as client:
            results[name] = client.run(source, level="production", args={"name": name}, check=False)

    threads = [threading.Thread(target=call, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for name in names:
        assert results[name].value == name
        assert results[name].message.resource_usage.file_io_bytes == 50 * (2 * len(name) + 11)
    # Appended lines are whole.
    assert (disk.root / "shared").read_text() == "0123456789\n" * 300


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_broker_is_confined(disk: Disk) -> None:
    disk.do("write", "data/f", "x")
    pid = disk.broker_pid()
    for task in Path(f"/proc/{pid}/task").iterdir():
        status = status_of(int(task.name))
        # A filter, no privilege to gain, no capability, on every thread.
        assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            if kind != "CapBnd" or os.geteuid() == 0:
                assert int(status[kind], 16) == 0, kind
    if os.geteuid() == 0:
        opened = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        expected = {str(disk.root), str(disk.read_only), "/dev/null"}
        others = [name for name in opened if name not in expected]
        # Its socket, twice, and the server's standard error.
        assert len([name for name in others if name.startswith("socket:")]) == 2, opened
        assert len(others) <= 3, opened
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
    limits = {line[:26].strip(): line[26:].split()[1] for line in lines}
    assert limits["Max file size"] == str(16 << 20)
    assert limits["Max processes"] == limits["Max core file size"] == "0"
    assert int(limits["Max open files"]) < 64
    assert int(limits["Max data size"]) < 200 << 20


def test_the_layers_of_the_broker_are_told(disk: Disk) -> None:
    for layers in (disk.client.health().isolation_layers, disk.client.server_info().isolation_layers):
        found = {layer.name: layer for layer in layers if layer.name.startswith("file_broker")}
        assert set(found) == {"file_broker", "file_broker_landlock", "file_broker_uid"}
        assert found["file_broker"].active
        assert found["file_broker"].required
        assert found["file_broker_uid"].active == (os.geteuid() != 0)
        assert all(layer.detail for layer in found.values())


def test_no_broker_outlives_its_server(tmp_path: Path) -> None:
    for number, stop in enumerate(("kill", "terminate")):
        disk = Disk(tmp_path / str(number))
        disk.server.start()
        pid = disk.broker_pid()
        assert pid
        getattr(disk.server, stop)()
        wait_until(lambda pid=pid: not exists(pid))
    # Also one that stands still.
    disk = Disk(tmp_path / "stopped")
    disk.server.start()
    pid = disk.broker_pid()
    with stopped(pid):
        disk.server.kill()
        wait_until(lambda: not exists(pid))


def test_without_files_there_is_no_broker(tmp_path: Path) -> None:
    disk = Disk(tmp_path, {"allow_file_access": "false"})
    with disk:
        assert disk.broker_pid() == 0
        assert not [name for name in (layer.name for layer in disk.client.health().isolation_layers) if "file" in name]
        with pytest.raises(crucible.SecurityViolation):
            disk.client.run(ASKING, level="production")


# -- frames of a server that does not keep to the protocol


def test_it_answers_nothing_before_it_is_confined(tmp_path: Path) -> None:
    with RawBroker((tmp_path, True)) as broker:
        request = broker_pb2.BrokerRequest(request_id=1, list=broker_pb2.ListFolder(at=at("")))
        broker.send_bytes(request.SerializeToString())
        with pytest.raises(EOFError):
            broker.receive()
        assert broker.process.wait(10) != 0


def test_it_is_set_up_once(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f").write_text("x")
    with RawBroker((tmp_path / "root", False)) as broker:
        assert broker.ask(setup=broker.setup).WhichOneof("outcome") == "ready"
        again = broker_pb2.BrokerSetup(protocol_version=1, max_read_bytes=100)
        again.roots.add(name="other", path=str(tmp_path / "other"), is_writable=True)
        assert "set up already" in broker.ask(setup=again).failure.message
        assert broker.ask(read={"at": at("f"), "length": 10}).failure.is_missing
        # It decides for itself what is writable, and which roots there are.
        assert "read-only" in broker.ask(write={"at": at("g"), "data": b"x"}).failure.message
        for request in ({"remove": {"at": at("f")}}, {"create_folder": {"at": at("d")}}):
            assert "read-only" in broker.ask(**request).failure.message
        assert "number of a root" in broker.ask(read={"at": at("f", 7), "length": 10}).failure.message
        assert "expected a path" in broker.ask(read={"length": 10}).failure.message
        assert "expected a request" in broker.ask().failure.message
    assert os.listdir(tmp_path / "root") == []


@pytest.mark.parametrize("path", ["..", "../other/f", "/etc/passwd", "a/../../other/f", "./f", "a//b", "a\0b", "f/"])
def test_it_checks_paths_itself(tmp_path: Path, path: str) -> None:
    (tmp_path / "root").mkdir()
    with RawBroker((tmp_path / "root", True)) as broker:
        broker.ask(setup=broker.setup)
        for request in (
            {"read": {"at": at(path), "length": 10}},
            {"write": {"at": at(path), "data": b"x"}},
            {"write": {"at": at(path), "data": b"x", "is_append": True}},
            {"metadata": {"at": at(path)}},
            {"list": {"at": at(path)}},
            {"create_folder": {"at": at(path)}},
            {"remove": {"at": at(path)}},
            {"rename": {"at": at(path), "to": at("f")}},
            {"rename": {"at": at("f"), "to": at(path)}},
            {"copy": {"at": at(path), "to": at("f")}},
            {"copy": {"at": at("f"), "to": at(path)}},
        ):
            assert broker.ask(**request).WhichOneof("outcome") == "failure", request
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("frame", [b"\xff" * 100, b"\x0a\xff", (broker_pb2.BrokerRequest().SerializeToString())])
def test_garbage_never_makes_it_do_anything(tmp_path: Path, frame: bytes) -> None:
    with RawBroker((tmp_path, True)) as broker:
        broker.ask(setup=broker.setup)
        broker.send_bytes(frame)
        if frame:
            with pytest.raises(EOFError):
                broker.receive()
            assert broker.process.wait(10) == 1
        else:
            assert "expected a request" in broker.receive().failure.message


def test_a_frame_that_is_too_long_ends_it(tmp_path: Path) -> None:
    with RawBroker((tmp_path, True)) as broker:
        broker.ask(setup=broker.setup)
        broker.socket.sendall(b"\xff\xff\xff\xff")
        with pytest.raises((EOFError, ConnectionError)):
            broker.receive()
        assert broker.process.wait(10) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"protocol_version": 7}, "expected frames of version 1, got 7"),
        ({"path": "/nowhere/at/all"}, "expected a directory at /nowhere/at/all"),
        ({"path": "/etc/passwd"}, "expected a directory"),
        ({"path": "/proc/self/cwd"}, "expected a directory"),
    ],
)
def test_what_it_cannot_set_up_it_says(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with RawBroker((tmp_path, True)) as broker:
        if "path" in change:
            broker.setup.roots[0].path = change["path"]
        else:
            broker.setup.protocol_version = change["protocol_version"]
        assert words in broker.ask(setup=broker.setup).failure.message
        broker.process.wait(10)


@pytest.mark.parametrize(
    "arguments",
    [[], ["--control-fd"], ["--control-fd", "0"], ["--control-fd", "999"], ["--control-fd", "x"], ["-x", "3"]],
)
def test_its_command_line_is_checked(arguments: list[str]) -> None:
    ran = subprocess.run([VM, "broker", *arguments], capture_output=True, text=True, timeout=20, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith("crucible-vm broker: expected")
