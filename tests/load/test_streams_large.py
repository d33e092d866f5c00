"""Output that does not fit into memory: whole, flat in memory, read at ten paces, and there after a kill.

`LONG_TESTS=1 python -m pytest tests/load/test_streams_large.py` writes several times as much.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from tests.conftest import StartServer
from tests.engine.processes import PATIENCE, resident_bytes, wait_gone, wait_until
from tests.lengths import LONG, TIMEOUT
from tests.servers import RunningServer, children_of

pytestmark = pytest.mark.timeout(TIMEOUT)

MIB = 1024 * 1024
RAISED = {"CRUCIBLE_ENGINE__RESOURCE_LIMITS__MAX_OUTPUT_BYTES": "200MB"}
LINE_BYTES = 1035
LINES = 100_000
"""More than a hundred million bytes: with nothing in between a few seconds."""
SHARED_LINES = 100_000 if LONG else 20_000
"""Of the output that ten readers share, each of which has to take all of it."""
WORK = 100 if LONG else 500
"""Rounds of a loop before each line, so that readers find the script at work."""
GROWTH = 32 * MIB
"""How much a server's resident memory may grow while it passes output on; several times what it does."""
# Lines of a thousand bytes, each another, so that any that is lost or comes twice is seen.
WRITER = """
pub fn main(lines, work) {
    let text = "x";
    for _ in 0..10 { text = format!("{text}{text}"); }
    for n in 0..lines {
        let done = 0;
        while done < work { done += 1; }
        println!("{n:>9} {text}");
    }
    lines
}
"""


def expected_lines(lines: int) -> Iterator[bytes]:
    for number in range(lines):
        yield b"%9d %s\n" % (number, b"x" * 1024)


def expected_digest(lines: int) -> str:
    digest = hashlib.sha256()
    for line in expected_lines(lines):
        digest.update(line)
    return digest.hexdigest()


@dataclass
class Memory:
    """Samples the resident memory of a process while it is entered."""

    pid: int
    before: int = 0
    most: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.before = self.most = resident_bytes(self.pid)
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.01):
            self.most = max(self.most, resident_bytes(self.pid))

    @property
    def growth(self) -> int:
        """Bytes."""
        return self.most - self.before


@dataclass
class Reading:
    """What one reader has got so far: pieces without a gap, their digest and size."""

    sequence: int = 0
    size: int = 0
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    value: object = None

    def take(self, piece: crucible.Output) -> None:
        assert piece.sequence == self.sequence + 1, f"expected piece {self.sequence + 1}, got {piece.sequence}"
        assert piece.stream == "stdout"
        self.sequence = piece.sequence
        data = piece.text.encode()
        self.size += len(data)
        self.digest.update(data)

    def follow(self, stream: crucible.Stream, pause: Callable[[Reading], bool] = lambda _: True) -> None:
        """Reads to the end, or until `pause` says no."""
        with stream:
            for piece in stream:
                self.take(piece)
                if not pause(self):
                    return
            assert stream.result is not None
            self.value = stream.result.value


def warmed(server: RunningServer, client: crucible.Client) -> crucible.CompiledScript:
    """The script, after it and the server have got what memory they need at all."""
    script = client.compile(WRITER, level="production")
    for _ in range(2):
        stream = client.stream(script, args={"lines": 4000, "work": 0}, level="production")
        Reading().follow(stream)
        Reading().follow(client.wait(stream.execution_id))
    return script


def test_a_hundred_megabytes_pass_and_memory_stays_flat(start_server: StartServer) -> None:
    server = start_server(**RAISED)
    with crucible.Client(server.address) as client:
        script = warmed(server, client)
        expected = expected_digest(LINES)
        with Memory(server.pid) as while_written:
            stream = client.stream(script, args={"lines": LINES, "work": 0}, level="production", deadline=PATIENCE * 2)
            written = Reading()
            written.follow(stream)
        with Memory(server.pid) as while_read:
            again = Reading()
            again.follow(client.wait(stream.execution_id, deadline=PATIENCE * 2))
        with Memory(server.pid) as while_asked:
            record = client.get_execution(stream.execution_id)
            assert record.result is not None
            assert len(record.result.stdout) == 256 * 1024
            assert record.result.message.stdout_bytes == LINES * LINE_BYTES > 100_000_000
    for reading in (written, again):
        assert (reading.size, reading.value) == (LINES * LINE_BYTES, LINES)
        assert reading.digest.hexdigest() == expected
        assert reading.sequence == record.last_sequence
    growths = [memory.growth for memory in (while_written, while_read, while_asked)]
    print(f"{written.size / 1e6:.0f} MB, growth in MiB: {[round(growth / MIB, 1) for growth in growths]}")
    assert max(growths) < GROWTH


def nap_once(after: int, seconds: float) -> Callable[[Reading], bool]:
    """Stops reading for a while, once."""
    done: list[int] = []

    def pause(reading: Reading) -> bool:
        if reading.size > after and not done:
            done.append(reading.sequence)
            time.sleep(seconds)
        return True

    return pause


def stop_at(size: int) -> Callable[[Reading], bool]:
    """Reads no further."""
    return lambda reading: reading.size < size


def test_ten_readers_at_ten_paces_see_the_same(start_server: StartServer) -> None:
    server = start_server(**RAISED)
    total = SHARED_LINES * LINE_BYTES
    readings = {
        name: Reading()
        for name in ["owner", "first", "second", "naps", "sleeps", "resumes", "jumps", "halting", "leaves", "late"]
    }
    faults: list[str] = []

    def reader(name: str, follow: Callable[[crucible.Client, Reading], None]) -> threading.Thread:
        def run() -> None:
            try:
                with crucible.Client(server.address) as client:
                    follow(client, readings[name])
            except Exception as error:
                faults.append(f"{name}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=run, name=name)
        thread.start()
        return thread

    with crucible.Client(server.address) as client:
        script = warmed(server, client)
        stream = client.stream(
            script,
            args={"lines": SHARED_LINES, "work": WORK},
            level="production",
            detached=True,
            deadline=PATIENCE * 2,
        )

        def waited(client: crucible.Client, after: int = 0) -> crucible.Stream:
            return client.wait(stream.execution_id, after=after, deadline=PATIENCE * 2)

        def resumes(client: crucible.Client, reading: Reading) -> None:
            for share in (0.1, 0.3, 0.5):
                reading.follow(waited(client, reading.sequence), stop_at(int(total * share)))
                time.sleep(0.2)
            reading.follow(waited(client, reading.sequence))

        def jumps(client: crucible.Client, reading: Reading) -> None:
            # From the middle, which is yet to come; what is before it is read afterwards.
            tail = Reading(sequence=50)
            tail.follow(waited(client, 50))
            reading.follow(waited(client), lambda head: head.sequence < 50)
            assert (reading.sequence, reading.size + tail.size) == (50, total)
            reading.follow(waited(client, 50))

        def late(client: crucible.Client, reading: Reading) -> None:
            wait_until(lambda: client.get_execution(stream.execution_id).state == "SUCCEEDED", "it does not end")
            reading.follow(waited(client))

        def leaves(client: crucible.Client, reading: Reading) -> None:
            reading.follow(waited(client), stop_at(total // 20))

        with Memory(server.pid) as memory:
            threads = [
                reader("owner", lambda _, reading: reading.follow(stream)),
                reader("first", lambda client, reading: reading.follow(waited(client))),
                reader("second", lambda client, reading: reading.follow(waited(client))),
                reader("naps", lambda client, reading: reading.follow(waited(client), nap_once(total // 10, 2.0))),
                reader("sleeps", lambda client, reading: reading.follow(waited(client), nap_once(total // 2, 4.0))),
                reader("resumes", resumes),
                reader("jumps", jumps),
                reader("halting", lambda client, reading: reading.follow(waited(client), halting)),
                reader("leaves", leaves),
                reader("late", late),
            ]
            running = client.get_execution(stream.execution_id)
            for thread in threads:
                thread.join(TIMEOUT)
        assert not any(thread.is_alive() for thread in threads)
        assert running.state == "RUNNING"
        record = client.get_execution(stream.execution_id)
    assert not faults
    assert record.state == "SUCCEEDED"
    assert 0 < readings.pop("leaves").size < total
    expected = expected_digest(SHARED_LINES)
    for name, reading in readings.items():
        assert (name, reading.size, reading.value) == (name, total, SHARED_LINES)
        assert (name, reading.digest.hexdigest()) == (name, expected)
        assert (name, reading.sequence) == (name, record.last_sequence)
    print(f"{total / 1e6:.0f} MB, ten readers, growth {memory.growth / MIB:.1f} MiB")
    assert memory.growth < GROWTH


def halting(reading: Reading) -> bool:
    """A short pause after each piece."""
    time.sleep(0.001)
    return True


def test_what_was_stored_is_there_after_a_kill(start_server: StartServer, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server = start_server(data_dir, **RAISED)
    seen = Reading()
    with crucible.Client(server.address) as client:
        script = warmed(server, client)
        arguments = {"lines": 10**9, "work": 200}
        stream = client.stream(
            script, args=arguments, level="production", detached=True, execution_id="talks", check=False
        )
        seen.follow(stream, stop_at(3 * MIB))
        zygote = server.zygote_pid()
        family = [zygote, *children_of(zygote)]
        server.kill()
        wait_gone(family)
    with crucible.Client(start_server(data_dir, **RAISED).address) as client:
        record = client.get_execution("talks")
        assert record.state == "INTERRUPTED"
        assert record.result is not None
        stored = record.result.message.stdout_bytes
        # What a reader has seen may have been in memory only: two segments on their way and one that is being filled.
        assert stored >= seen.size - MIB
        whole = Reading()
        following = client.wait("talks", check=False)
        text = ""
        for piece in following:
            whole.take(piece)
            text += piece.text
        assert following.result is not None
        assert following.result.error is not None
        assert following.result.error.kind == "INTERRUPTED"
        assert (whole.size, whole.sequence) == (stored, record.last_sequence)
        assert text.encode() == b"".join(expected_lines(stored // LINE_BYTES + 1))[:stored]
        assert record.result.stdout == text[: 256 * 1024]
        half = Reading(sequence=record.last_sequence // 2)
        half.follow(client.wait("talks", after=half.sequence, check=False))
        assert half.sequence == record.last_sequence
        # The id is taken for ever, and the script is not run again.
        result = client.run(
            script, args=arguments, level="production", detached=True, execution_id="talks", check=False
        )
        assert result.message == record.result.message


@pytest.mark.parametrize("redact_only", [False, True], ids=["deleted", "erased"])
def test_output_that_goes_away_while_it_is_read_is_no_whole(start_server: StartServer, redact_only: bool) -> None:
    server = start_server(**RAISED)
    with crucible.Client(server.address) as client:
        script = client.compile(WRITER, level="production")
        execution_id = client.run(script, args={"lines": SHARED_LINES, "work": 0}, level="production").execution_id
        reading = Reading()
        pieces = iter(client.wait(execution_id))
        reading.take(next(pieces))
        request = api.DeleteExecutionRequest(execution_id=execution_id, redact_only=redact_only)
        client.stub.DeleteExecution(request, timeout=PATIENCE)
        with pytest.raises(crucible.ExecutionNotFound):
            list(map(reading.take, pieces))
        assert reading.size < SHARED_LINES * LINE_BYTES


@pytest.mark.parametrize("limit", [100_000, 3_000_000])
def test_a_flood_ends_at_its_limit(start_server: StartServer, limit: int) -> None:
    server = start_server(**RAISED)
    with crucible.Client(server.address) as client, Memory(server.pid) as memory:
        stream = client.stream(
            'pub fn main() { loop { println!("{}", 123456789); } }',
            level="production",
            limits={"max_output_bytes": limit},
            check=False,
            deadline=PATIENCE * 2,
        )
        reading = Reading()
        with suppress(StopIteration):
            reading.follow(stream)
        assert stream.result is not None
        assert stream.result.error is not None
        assert stream.result.error.kind == "OUTPUT_EXCEEDED"
        assert "max_output_bytes" in stream.result.message.error.limit_name
        assert reading.size == stream.result.message.stdout_bytes <= limit
        assert reading.size > limit - 64 * 1024
        again = Reading()
        again.follow(client.wait(stream.execution_id, check=False))
        assert (again.size, again.digest.digest()) == (reading.size, reading.digest.digest())
        assert client.run("pub fn main() { 1 }").value == 1
    assert memory.growth < GROWTH
