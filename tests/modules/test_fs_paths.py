"""`crucible::fs` and what may lie in the way: names that are none, links, devices, missing rights, full disks."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import crucible
from tests.modules.disk import SECRET, Disk
from tests.servers import python_of

UNPRIVILEGED = 65_533
EVERY_CALL = (
    ("read",),
    ("read_bytes",),
    ("read_part", 0, 10),
    ("write", "x"),
    ("append", "x"),
    ("metadata",),
    ("list",),
    ("create_dir",),
    ("remove",),
)


def everywhere(disk: Disk, path: str) -> Iterator[tuple[str, str]]:
    """Asks every function for this path; each must refuse. Yields the call and its message."""
    for call, *rest in EVERY_CALL:
        yield call, disk.refusal(call, path, *rest)
    for call in ("rename", "copy"):
        yield call, disk.refusal(call, path, "data/unused")
        yield call, disk.refusal(call, "data/known", path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "expected a path such as ROOT/relative/path with a root of data, fixed"),
        ("nowhere/f", "expected a path such as"),
        ("/etc/passwd", "expected a path such as"),
        ("./data/f", "expected a path such as"),
        ("../data/f", "expected a path such as"),
        ("DATA/f", "expected a path such as"),
        ("data\0/f", "expected a path such as"),
        ("data/../outside/secret", "`..`"),
        ("data/..", "`..`"),
        ("data/./f", "`.` or `..`"),
        ("data//etc/passwd", "an empty name"),
        ("data/f/", "an empty name"),
        ("data/a\0b", "a NUL"),
        ("data/\0", "a NUL"),
        ("data/" + "n" * 256, "more than 255 bytes"),
        ("data/" + "ü" * 128, "more than 255 bytes"),
        ("data" + "/ü" * 1400, "at most 4095 bytes"),
        ("data/" + "n" * 100_000, "at most 4096 characters"),
        ("data/.crucible-tmp-1", "kept for files being written"),
    ],
)
def test_a_path_that_is_none_is_refused_by_every_function(disk: Disk, path: str, words: str) -> None:
    (disk.root / "known").write_text("x")
    for call, message in everywhere(disk, path):
        assert words in message, call
        assert len(message) < 500
        assert "\0" not in message
    assert words in disk.refusal("exists", path)
    assert os.listdir(disk.root) == ["known"]


def test_names_may_hold_whatever_the_file_system_takes(disk: Disk) -> None:
    names = ["new\nline", "...", "..x", "-rf", "a b", "back\\slash", "\x1b[31m", "%2e%2e", "\u202egnp", "n" * 255, "~"]
    for name in names:
        disk.do("write", f"data/{name}", name)
        assert (disk.root / name).read_text() == name
    assert [entry["name"] for entry in disk.do("list", "data")] == sorted(names, key=str.encode)
    for name in names:
        message = disk.refusal("create_dir", f"data/{name}")
        assert "something of this name" in message
        # Nothing that a terminal or a log would act on.
        assert message.isprintable()
        disk.do("remove", f"data/{name}")
    deep = "data" + "/d" * 200
    for depth in range(1, 201):
        disk.do("create_dir", "data" + "/d" * depth) if depth % 50 == 0 else os.mkdir(disk.root / Path(*["d"] * depth))
    disk.do("write", f"{deep}/f", "deep")
    assert disk.do("read", f"{deep}/f") == "deep"


def test_the_root_itself_is_no_place(disk: Disk) -> None:
    for path in ("data", "data/"):
        for call, *rest in (("read",), ("write", "x"), ("append", "x"), ("create_dir",), ("remove",)):
            assert "the root itself" in disk.refusal(call, path, *rest)
        assert "the root itself" in disk.refusal("rename", path, "data/x")
        assert "the root itself" in disk.refusal("copy", path, "data/x")
        assert disk.do("exists", path)


def test_names_that_are_no_utf8_are_left_out(disk: Disk) -> None:
    (disk.root / "d").mkdir()
    (Path(os.fsdecode(os.fsencode(disk.root / "d") + b"/\xff\xfe"))).write_text("x")
    (disk.root / "d" / "known").write_text("x")
    assert [entry["name"] for entry in disk.do("list", "data/d")] == ["known"]
    disk.do("remove", "data/d/known")
    assert "not empty" in disk.refusal("remove", "data/d")


def test_links_are_never_followed(disk: Disk) -> None:
    (disk.root / "f").write_text("inside")
    (disk.root / "d").mkdir()
    (disk.root / "d" / "f").write_text("inside")
    targets = {
        "inside": "f",
        "inside-absolute": str(disk.root / "f"),
        "up": "../outside/secret",
        "absolute": str(disk.outside / "secret"),
        "dangling": "nothing",
        "dangling-outside": str(disk.outside / "made"),
        "loop": "loop",
        "chain": "absolute",
        "folder": "d",
        "folder-outside": str(disk.outside),
        "root": "/",
        "self-root": "/proc/self/root",
        "self-fd": "/proc/self/fd/0",
        "cwd": "/proc/self/cwd/etc/passwd",
    }
    for name, target in targets.items():
        (disk.root / name).symlink_to(target)
    calls: tuple[tuple[str, ...], ...] = (("read",), ("read_bytes",), ("write", "x"), ("append", "x"), ("list",))
    for name in targets:
        for call, *rest in calls:
            message = disk.refusal(call, f"data/{name}", *rest)
            assert "link" in message or "expected a directory" in message, (name, call, message)
        assert "link" in disk.refusal("copy", f"data/{name}", "data/copy")
        assert "link" in disk.refusal("copy", "data/f", f"data/{name}")
        for beneath in ("secret", "f", "etc/passwd", "made"):
            for call, *rest in calls:
                assert "link" in disk.refusal(call, f"data/{name}/{beneath}", *rest), (name, call)
        assert "something of this name" in disk.refusal("create_dir", f"data/{name}")
        # The link itself, not what it leads to.
        found = disk.do("metadata", f"data/{name}")
        assert (found["size"], found["is_file"], found["is_dir"]) == (0, False, False)
    assert not (disk.root / "copy").exists()
    assert (disk.root / "f").read_text() == "inside"
    for name in targets:
        # Elsewhere a relative link would lead somewhere else.
        assert "expected a file or a directory" in disk.refusal("rename", f"data/{name}", f"data/d/{name}")
        disk.do("remove", f"data/{name}")
    assert sorted(os.listdir(disk.root)) == ["d", "f"]
    assert os.listdir(disk.root / "d") == ["f"]


def test_a_file_takes_the_place_of_a_link_only_by_rename(disk: Disk) -> None:
    (disk.root / "f").write_text("new")
    (disk.root / "link").symlink_to(disk.outside / "secret")
    disk.do("rename", "data/f", "data/link")
    assert not (disk.root / "link").is_symlink()
    assert (disk.root / "link").read_text() == "new"


def test_hard_links_are_cut_by_writing_and_never_grown(disk: Disk) -> None:
    (disk.root / "hard").hardlink_to(disk.outside / "secret")
    # Whoever made the link has put the file into the root.
    assert disk.do("read_bytes", "data/hard") == SECRET
    assert "hard links" in disk.refusal("append", "data/hard", "more")
    disk.do("write", "data/hard", "mine")
    assert (disk.outside / "secret").read_bytes() == SECRET
    disk.do("append", "data/hard", "!")
    assert disk.do("read", "data/hard") == "mine!"


def test_what_is_no_file_is_refused_and_never_waited_for(disk: Disk) -> None:
    os.mkfifo(disk.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        previous = os.getcwd()
        os.chdir(disk.root)
        try:
            listener.bind("socket")
        finally:
            os.chdir(previous)
        listener.listen()
        kinds = {"pipe": "a named pipe", "socket": "a socket"}
        if os.geteuid() == 0:
            try:
                os.mknod(disk.root / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
                os.mknod(disk.root / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
                kinds |= {"null": "a device", "zero": "a device"}
            except PermissionError:
                pass
        for name, kind in kinds.items():
            calls: tuple[tuple[str, ...], ...] = (("read",), ("read_bytes",), ("write", "x"), ("append", "x"))
            for call, *rest in calls:
                assert f"expected a file, got {kind}" in disk.refusal(call, f"data/{name}", *rest)
            assert kind in disk.refusal("copy", f"data/{name}", "data/copy")
            assert kind in disk.refusal("copy", "fixed/known", f"data/{name}")
            assert "expected a directory" in disk.refusal("list", f"data/{name}")
            found = disk.do("metadata", f"data/{name}")
            assert (found["size"], found["is_file"], found["is_dir"]) == (0, False, False)
            disk.do("remove", f"data/{name}")
    assert os.listdir(disk.root) == []


def test_files_and_directories_are_told_apart(disk: Disk) -> None:
    disk.do("write", "data/f", "x")
    disk.do("create_dir", "data/d")
    for call, *rest in (("read",), ("write", "x"), ("append", "x")):
        assert "expected a file, got a directory" in disk.refusal(call, "data/d", *rest)
        assert "no directory" in disk.refusal(call, "data/f/below", *rest)
        assert "no such file" in disk.refusal("read", "data/none")
        assert "does not exist" in disk.refusal(call, "data/none/f", *rest)
    for path in ("data/f", "data/f/below"):
        assert "expected a directory" in disk.refusal("list", path)


def test_the_kernel_decides_what_the_user_of_the_broker_may(disk: Disk) -> None:
    (disk.root / "f").write_text("x")
    (disk.root / "f").chmod(0)
    closed = disk.root / "closed"
    closed.mkdir()
    (closed / "f").write_text("x")
    closed.chmod(0)
    try:
        for call, *rest in (("read",), ("append", "x")):
            assert "permission denied" in disk.refusal(call, "data/f", *rest)
        for call, *rest in (("read",), ("write", "x"), ("list",), ("remove",), ("metadata",)):
            assert "permission denied" in disk.refusal(call, "data/closed/f", *rest), call
        assert "permission denied" in disk.refusal("list", "data/closed")
        assert "permission denied" in disk.refusal("exists", "data/closed/f")
    finally:
        closed.chmod(0o700)


def test_kernel_files_below_a_root_are_another_file_system(tmp_path: Path) -> None:
    with mounted(tmp_path / "root" / "proc", "-t", "proc", "proc"), Disk(tmp_path) as disk:
        for path in ("data/proc/self/environ", "data/proc/1/environ", "data/proc/sys/kernel/hostname"):
            assert "another file system" in disk.refusal("read", path)
            assert "another file system" in disk.refusal("append", path, "x")
        assert "another file system" in disk.refusal("list", "data/proc")


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with mounted(tmp_path / "root", "-t", "tmpfs", "-o", "size=256k", "tmpfs"), Disk(tmp_path) as disk:
        disk.do("write", "data/f", "old")
        disk.do("write", "data/log", "start")
        for _ in range(3):
            assert "no space" in disk.refusal("write", "data/f", "x" * 300_000)
            assert "no space" in disk.refusal("append", "data/log", "x" * 300_000)
        (disk.read_only / "large").write_bytes(b"x" * 300_000)
        assert "no space" in disk.refusal("copy", "fixed/large", "data/copy")
        assert sorted(os.listdir(disk.root)) == ["f", "log"]
        assert disk.do("read", "data/f") == "old"
        assert disk.do("read", "data/log") == "start"
        disk.do("write", "data/f", "x" * 100_000)


def test_a_root_that_is_renamed_stays_the_same_directory(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk:
        disk.do("write", "data/f", "one")
        disk.root.rename(tmp_path / "moved")
        disk.root.symlink_to(disk.outside)
        assert disk.do("read", "data/f") == "one"
        disk.do("write", "data/g", "two")
        assert (tmp_path / "moved" / "g").read_text() == "two"
        assert "no such file" in disk.refusal("read", "data/secret")
        assert disk.outside_is_untouched()


def test_a_root_that_is_gone_is_an_error_of_the_call(tmp_path: Path) -> None:
    with Disk(tmp_path) as disk:
        disk.root.rmdir()
        assert disk.refusal("write", "data/f", "x")
        assert "no such file" in disk.refusal("read", "data/f")
        assert disk.do("read", "fixed/known") == "read me"


def test_leftovers_of_a_broker_that_was_killed_keep_no_directory(disk: Disk) -> None:
    folder = disk.root / "d"
    folder.mkdir()
    (folder / ".crucible-tmp-dead").write_text("half")
    (folder / "f").write_text("x")
    assert [entry["name"] for entry in disk.do("list", "data/d")] == ["f"]
    assert "not empty" in disk.refusal("remove", "data/d")
    assert sorted(os.listdir(folder)) == [".crucible-tmp-dead", "f"]
    disk.do("remove", "data/d/f")
    disk.do("remove", "data/d")
    assert not folder.exists()


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """Something mounted at a folder; skips where that may not be done."""
    folder.mkdir(parents=True)
    command = ["mount", *arguments, str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("to mount needs root")
    try:
        yield
    finally:
        # Lazily, so that nothing that still looks at it keeps it.
        assert ctypes.CDLL(None).umount2(os.fsencode(folder), 2) == 0


def test_the_broker_of_root_becomes_the_user_that_owns_the_roots(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root becomes another user")
    disk = Disk(tmp_path, {"uid": UNPRIVILEGED})
    (disk.read_only / "private").write_text("root's own")
    (disk.read_only / "private").chmod(0o600)
    os.chown(disk.root, UNPRIVILEGED, UNPRIVILEGED)
    with disk:
        status = Path(f"/proc/{disk.broker_pid()}/status").read_text()
        for ids in ("Uid", "Gid"):
            assert f"{ids}:\t" + "\t".join([str(UNPRIVILEGED)] * 4) in status
        assert "Groups:\t \n" in status
        for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
            assert f"Cap{kind}:\t{0:016x}\n" in status
        disk.do("write", "data/f", "x")
        assert (disk.root / "f").stat().st_uid == UNPRIVILEGED
        assert "permission denied" in disk.refusal("read", "fixed/private")
        assert disk.do("read", "fixed/known") == "read me"
        (layer,) = [layer for layer in disk.client.health().isolation_layers if layer.name == "file_broker_uid"]
        assert layer.active


def test_a_server_that_is_not_root_has_files_too(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests are run by such a user")
    python_of(UNPRIVILEGED)
    base = Path("/tmp") / f"crucible-fs-{os.getpid()}"
    base.mkdir()
    try:
        disk = Disk(base, user=UNPRIVILEGED)
        for path in (base, *base.rglob("*")):
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
        with disk:
            disk.do("write", "data/f", "x")
            assert disk.do("read", "data/f") == "x"
            assert disk.outside_is_untouched()
    finally:
        subprocess.run(["rm", "-rf", str(base)], check=True)


def test_what_refuses_does_not_cost_the_execution(disk: Disk) -> None:
    source = """
    pub async fn main(paths) {
        let failed = 0;
        for path in paths { if crucible::fs::read(path).await.is_err() { failed += 1; } }
        failed
    }
    """
    paths: list[Any] = ["data/..", "/etc/passwd", "data/none", "", "\0"] * 100
    result: crucible.Result = disk.run(source, paths=paths)
    assert result.value == 500
    assert result.message.resource_usage.file_io_bytes == 0
