"""Paths that lead out of the folders which the operator gave to scripts, asked for by native code in a child."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.escape.attempts import Attempt, nothing

CALL = "forge-host-call"
RACE = "race-host-calls"
SECRET = "whoever reads this has left the root\n"
REFUSED = "the server refused: "
PATH = nothing(REFUSED, "check of paths")
BROKER = nothing(REFUSED, "file broker")


class Places:
    """A root to write, a root to read, and next to them what belongs to neither."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._data, self._fixed, self.outside = (base / name for name in ("data", "fixed", "outside"))
        for folder in (self._data, self._fixed, self.outside):
            folder.mkdir()
        (self.outside / "secret").write_text(SECRET)
        (self._fixed / "kept").write_text(SECRET)
        (self._data / "mine").write_text("mine")
        (self._data / "folder").mkdir()
        os.mkfifo(self._data / "pipe")
        for name, target in {
            "out": "../outside",
            "out-absolute": f"{self.outside}",
            "secret": "../outside/secret",
            "root": "/",
            "process": "/proc/self",
            "descriptors": "/proc/self/fd",
            "again": "again",
            "folder/above": "../../outside",
            "chained": "out",
        }.items():
            (self._data / name).symlink_to(target)

    def settings(self) -> dict[str, str]:
        """Of the server."""
        roots = "CRUCIBLE_ENGINE__FILES__ROOTS__"
        return {
            "CRUCIBLE_ENGINE__FILES__ALLOW_FILE_ACCESS": "true",
            f"{roots}DATA__PATH": f"{self._data}",
            f"{roots}DATA__ACCESS": "write",
            f"{roots}FIXED__PATH": f"{self._fixed}",
        }

    def own(self, user: int) -> None:
        """Gives all of it to a user."""
        for folder, folders, files in os.walk(self._base):
            for name in (".", *folders, *files):
                os.chown(f"{folder}/{name}", user, user, follow_symlinks=False)

    def look(self) -> None:
        """AssertionError when something was changed that scripts may not change."""
        for folder, names in ((self.outside, ["secret"]), (self._fixed, ["kept"])):
            assert sorted(os.listdir(folder)) == names
            assert (folder / names[0]).read_text() == SECRET
        assert {path.name for path in self._data.iterdir() if path.is_symlink()} >= {"out", "secret", "again"}

    def turning(self) -> Turning:
        """`data/turning` is a folder without the secret in it one moment, a link to the one outside the next."""
        return Turning(self._data)


class Turning:
    """A context manager: two names change places as fast as they can. `turns` counts."""

    def __init__(self, folder: Path) -> None:
        self._names = tuple(os.fsencode(folder / name) for name in ("turning", "turned"))
        (folder / "turning").mkdir()
        (folder / "turned").symlink_to("../outside")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._turn, daemon=True)
        self.turns = 0

    def _turn(self) -> None:
        exchange, here = 2, -100
        libc = ctypes.CDLL(None, use_errno=True)
        while not self._is_over.is_set():
            one, other = self._names
            if libc.renameat2(here, one, here, other, exchange):
                return
            self.turns += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._thread.join(10)
        for name in self._names:
            if os.path.islink(name):
                os.unlink(name)
            else:
                shutil.rmtree(name)


def _rows(call: str, tries: str, *paths: str) -> list[Attempt]:
    return [Attempt(CALL, tries, BROKER, f"crucible.fs.{call} {path}", level="production") for path in paths]


PATHS = [
    Attempt(
        CALL,
        "read a file at a level that has none",
        nothing("does not exist at this level", "check of host calls"),
        "crucible.fs.read path=data/mine",
    ),
    *(
        Attempt(CALL, "read where there is no root", PATH, f"crucible.fs.read path={path}", level="production")
        for path in (
            "/etc/passwd",
            "../outside/secret",
            "outside/secret",
            "data%00/../outside/secret",
            "DATA/mine",
            "{outside}/secret",
            "x" * 5000,
        )
    ),
    *_rows(
        "read",
        "leave the root by a path",
        *(
            f"path=data/{path}"
            for path in (
                "../outside/secret",
                "folder/../../outside/secret",
                "./../outside/secret",
                "/../outside/secret",
                "{outside}/secret",
                "//etc/passwd",
                "..%00/outside/secret",
                "mine/../../outside/secret",
                "%2e%2e/outside/secret",
                "x/" * 2040,
            )
        ),
    ),
    *_rows(
        "read",
        "leave the root by a link",
        *(
            f"path=data/{path}"
            for path in (
                "secret",
                "out/secret",
                "out-absolute/secret",
                "chained/secret",
                "folder/above/secret",
                "root/etc/passwd",
                "process/root/etc/passwd",
                "process/mem",
                "descriptors/0",
                "again",
            )
        ),
    ),
    *_rows("read", "have the server wait for a pipe", "path=data/pipe"),
    *_rows("write", "have the server wait for a pipe's reader", "path=data/pipe data=x"),
    *_rows("read", "read a folder", "path=data/folder", "path=data/", "path=data"),
    *_rows("metadata", "ask what is outside", "path=data/out/secret", "path=data/..", "path=data/root/etc/shadow"),
    *_rows("exists", "ask whether it is there outside", "path=data/out/secret", "path=data/../outside/secret"),
    *_rows("list", "list what is outside", "path=data/out after=", "path=data/.. after=", "path=data/root/root after="),
    *_rows(
        "write",
        "write outside",
        "path=data/out/planted data=x",
        "path=data/../outside/planted data=x",
        "path=data/secret data=x",
        "path=data/process/mem data=x",
    ),
    *_rows("append", "write to what is outside", "path=data/secret data=x", "path=data/out/secret data=x"),
    *_rows("create_dir", "make a folder outside", "path=data/out/planted", "path=data/../planted"),
    *_rows("remove", "remove what is outside", "path=data/out/secret", "path=data/../outside/secret"),
    *_rows("remove", "remove the root", "path=data/", "path=data/.", "path=data/folder/.."),
    *_rows(
        "rename",
        "move what is outside",
        "from=data/out/secret to=data/stolen",
        "from=data/mine to=data/out/planted",
        "from=data/mine to=data/../planted",
        "from=data/ to=data/elsewhere",
    ),
    *_rows(
        "copy", "copy what is outside", "from=data/secret to=data/stolen", "from=data/root/etc/passwd to=data/stolen"
    ),
    *_rows("copy", "copy to the outside", "from=data/mine to=data/out/planted", "from=data/mine to=data/secret"),
    *(
        Attempt(CALL, "change what is read-only", PATH, f"crucible.fs.{call}", level="production")
        for call in (
            "write path=fixed/kept data=x",
            "append path=fixed/kept data=x",
            "create_dir path=fixed/planted",
            "remove path=fixed/kept",
            "rename from=fixed/kept to=fixed/planted",
            "copy from=data/mine to=fixed/planted",
            "rename from=fixed/kept to=data/stolen",
        )
    ),
    Attempt(
        CALL,
        "ask for a call that there is not",
        nothing(REFUSED),
        "crucible.fs.chmod path=data/mine",
        level="production",
    ),
    Attempt(CALL, "ask with other arguments", PATH, "crucible.fs.read path=data/mine root=0", level="production"),
    Attempt(CALL, "ask without a path", PATH, "crucible.fs.read x=data/mine", level="production"),
]
"""Each is answered by the server, with a refusal."""

RACES = {
    "read": "path=data/turning/secret",
    "metadata": "path=data/turning/secret",
    "list": "path=data/turning after=",
    "write": "path=data/turning/planted data=x",
    "append": "path=data/turning/secret data=x",
    "create_dir": "path=data/turning/planted",
    "remove": "path=data/turning/secret",
    "rename": "from=data/turning/secret to=data/stolen",
    "copy": "from=data/turning/secret to=data/stolen",
}
"""Asked for again and again while the folder is exchanged for a link to the outside: see Turning. What there is a file
for in neither place is refused each time; the others do what they are to, inside."""
