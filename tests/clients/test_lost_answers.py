"""What a call ends with when its first try was carried out and the answer lost on the way back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import crucible
from tests.servers import RunningServer

PATIENCE = 20.0


class Line:
    """A TCP relay to a server, whose way back can be cut: what is asked arrives, what is answered does not."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._way_back = threading.Event()
        self._way_back.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Holds back all answers from here on."""
        self._way_back.clear()

    def mend(self) -> None:
        """Drops the connections with the answers held back; new ones work."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._way_back.set()

    def close(self) -> None:
        """Ends the relay."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mend()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._pairs.append((near, far))
                threading.Thread(target=self._relay, args=[near, far, None], daemon=True).start()
                threading.Thread(target=self._relay, args=[far, near, self._way_back], daemon=True).start()

    @staticmethod
    def _relay(source: socket.socket, sink: socket.socket, gate: threading.Event | None) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(65536):
                if gate is not None:
                    gate.wait()
                sink.sendall(data)


@pytest.fixture
def line(server: RunningServer) -> Iterator[Line]:
    relay = Line(server.address)
    yield relay
    relay.close()


def lose_the_answer(line: Line, call: Callable[[crucible.Client], object], done: Callable[[], bool]) -> object:
    """What a call returns or raises, the answer of whose first try is lost once it is `done`."""
    ends: list[object] = []

    def run() -> None:
        try:
            ends.append(call(client))
        except crucible.CrucibleError as error:
            ends.append(error)

    with crucible.Client(line.address) as client:
        client.health()
        line.cut()
        caller = threading.Thread(target=run)
        caller.start()
        deadline = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < deadline, "the call was not carried out"
            time.sleep(0.01)
        line.mend()
        caller.join(PATIENCE)
    (end,) = ends
    return end


def is_gone(call: Callable[[], object]) -> bool:
    try:
        call()
    except (crucible.ScriptNotFound, crucible.ExecutionNotFound):
        return True
    return False


def test_a_repeated_deletion_finds_nothing(client: crucible.Client, line: Line) -> None:
    script = client.compile("/// lost answers\npub fn main() { 7 }", name="lost/answer")
    execution_id = client.run(script).execution_id

    def deleted() -> bool:
        return is_gone(lambda: client.get_execution(execution_id))

    end = lose_the_answer(line, lambda through: through.delete_execution(execution_id), deleted)
    assert isinstance(end, crucible.ExecutionNotFound)

    def removed() -> bool:
        return is_gone(lambda: client.script(name="lost/answer"))

    end = lose_the_answer(line, lambda through: through.remove_name("lost/answer"), removed)
    assert isinstance(end, crucible.ScriptNotFound)
    end = lose_the_answer(
        line,
        lambda through: through.delete_script(script.script_id),
        lambda: is_gone(lambda: client.script(script.script_id)),
    )
    assert isinstance(end, crucible.ScriptNotFound)


def test_a_repeated_naming_and_redaction_do_not_show(client: crucible.Client, line: Line) -> None:
    script = client.compile("/// lost answers\npub fn main() { 8 }")
    execution_id = client.run(script).execution_id
    end = lose_the_answer(
        line,
        lambda through: through.name_script("lost/name", script.script_id).names,
        lambda: client.script(script.script_id).names == ("lost/name",),
    )
    assert end == ("lost/name",)
    end = lose_the_answer(
        line,
        lambda through: through.redact_execution(execution_id),
        lambda: client.get_execution(execution_id).redacted,
    )
    assert end is None
    client.delete_script(script.script_id)


def test_a_repeated_execution_runs_once(client: crucible.Client, line: Line) -> None:
    script = client.compile("/// lost answers\npub fn main() { 9 }")

    def runs() -> int:
        return client.metrics(script.script_id).scripts[script.script_id].total_executions

    end = lose_the_answer(line, lambda through: through.run(script, execution_id="lost-run").value, lambda: runs() == 1)
    assert end == 9
    assert runs() == 1
    client.delete_execution("lost-run")
    client.delete_script(script.script_id)
