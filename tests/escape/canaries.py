"""What an attempt must not harm: watched while it runs, looked at when it has ended."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import crucible
from tests.engine.processes import wait_until
from tests.escape.paths import Places
from tests.modules.web import Web
from tests.servers import RunningServer, children_of

SPARES = 1
"""Children that wait in the server: besides them the zygote has none when nothing runs."""
SETTINGS = {
    "CRUCIBLE_SPARE_CHILDREN": f"{SPARES}",
    "CRUCIBLE_MAX_SPARE_CHILDREN": f"{SPARES}",
    # Most attempts end in a crash.
    "CRUCIBLE_MAX_CRASHES_PER_MINUTE": "1000000",
    "CRUCIBLE_ISOLATION__ZYGOTE_RENEWAL_CRASHES": "1000000",
}
TEXT = "whoever reads this has opened a file\n"
MAX_GROWTH = 64 * 1024 * 1024
"""Bytes by which one attempt may make the server larger for good."""
NEIGHBOUR = """
pub fn main(n) {
    println!("up");
    let sum = 0;
    for i in 0..n { sum += i; }
    sum
}
"""
NEIGHBOUR_STEPS = 150_000
"""Some ten milliseconds: as long as a quick attempt."""


class Canaries:
    """Everything around the server that hostile code would like to reach."""

    def __init__(self, server: RunningServer, folder: Path, inside: Web, places: Places) -> None:
        """`folder` is made, for everybody to write to; `inside` must never be asked for anything."""
        self.server = server
        self.inside = inside
        self.places = places
        self.zygote = server.zygote_pid()
        self.folder = folder
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        self.file = folder / "canary"
        self.file.write_text(TEXT)
        self.file.chmod(0o666)
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.own_port = unused.getsockname()[1]
        """Where an attempt would listen."""
        self.secret = secrets.token_hex(16)
        """What earlier scripts knew."""

    def share_secret(self, client: crucible.Client) -> None:
        """Has scripts run that hold the secret: in their source, their arguments, their output and their result."""
        source = f'pub fn main(word) {{ println!("{{word}}"); [word, "{self.secret}"] }}'
        for _ in range(3):
            result = client.run(source, args={"word": self.secret})
            assert result.value == [self.secret, self.secret]

    def look(self, client: crucible.Client) -> None:
        """Looks at all of them when an attempt has ended. AssertionError says which was harmed."""
        process = self.server.process
        assert process is not None
        assert process.poll() is None, f"the server ended with {process.poll()}"
        assert self.zygote in children_of(self.server.pid), "the zygote is another one"
        try:
            wait_until(lambda: self._strays() == [], "processes were left behind", 5.0)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self._strays()}") from None
        assert self.file.read_text() == TEXT
        assert [path.name for path in self.folder.iterdir()] == ["canary"]
        with socket.socket() as caller:
            assert caller.connect_ex(("127.0.0.1", self.own_port)) != 0, "somebody listens"
        assert self.inside.seen == []
        self.places.look()
        assert client.run("pub fn main() { 20 + 22 }").value == 42

    def _strays(self) -> list[str]:
        """Processes of the zygote's session that are not its children, children that are no spares, and orphans."""
        children, strays = [], []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                # The name in brackets may contain anything.
                name, _, rest = (entry / "stat").read_text().rpartition(")")
            except (FileNotFoundError, ProcessLookupError):
                continue
            state, parent, _, session, *_ = rest.split()
            seen = f"{name}) {state} of {parent}"
            if parent == str(self.zygote):
                children.append(seen)
            elif session == str(self.zygote) and entry.name != session:
                strays.append(seen)
        return strays + (children if len(children) > SPARES else [])


class Neighbour:
    """An execution of somebody else, which runs while an attempt does."""

    def __init__(self, client: crucible.Client, script: crucible.CompiledScript) -> None:
        """`script` is a compiled NEIGHBOUR."""
        self._stream = client.stream(script, args={"n": NEIGHBOUR_STEPS})
        self._output = iter(self._stream)

    def __enter__(self) -> Self:
        assert next(self._output).text == "up\n"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert list(self._output) == []
        assert self._stream.result is not None
        assert self._stream.result.value == NEIGHBOUR_STEPS * (NEIGHBOUR_STEPS - 1) // 2


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no memory")
