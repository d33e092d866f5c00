"""`crucible::fs` outside the jail: the machine's own files and paths, with the rights of the scripts' user."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import crucible
from crucible.v1 import security_pb2
from tests.development.conftest import StartOpen

CALL = "pub async fn main({names}) {{ crucible::fs::{function}({names}).await }}"
MIB = 1024 * 1024


def do(client: crucible.Client, where: Path, function: str, *args: Any) -> Any:
    """What a function of `crucible::fs` returns, with `where` as the working directory; its Err as ExecutionFailed."""
    names = [f"a{number}" for number in range(len(args))]
    source = CALL.format(names=", ".join(names), function=function)
    given = dict(zip(names, args, strict=True))
    return client.run(source, level="development", args=given, working_directory=str(where), deadline=30).value


def refusal(client: crucible.Client, where: Path, function: str, *args: Any) -> str:
    with pytest.raises(crucible.ExecutionFailed) as raised:
        do(client, where, function, *args)
    error = raised.value.result.error
    assert error is not None
    assert error.kind == "RETURNED_ERR", error
    return error.message


def test_relative_and_absolute_paths(open_client: crucible.Client, workplace: Path) -> None:
    assert do(open_client, workplace, "write", "file", "text ü\0") is None
    assert (workplace / "file").read_bytes() == "text ü\0".encode()
    for path in ("file", "./file", str(workplace / "file"), f"../{workplace.name}/file"):
        assert do(open_client, workplace, "read", path) == "text ü\0"
    # Elsewhere the same name is another file.
    assert "no such file" in refusal(open_client, Path("/usr"), "read", "file")
    do(open_client, workplace, "create_dir", "folder")
    do(open_client, workplace / "folder", "write", "file", "another")
    assert do(open_client, workplace, "read", "folder/file") == "another"


def test_text_bytes_and_parts(open_client: crucible.Client, workplace: Path) -> None:
    binary = bytes(range(256)) * 10
    do(open_client, workplace, "write", "f", binary)
    do(open_client, workplace, "append", "f", "tail")
    do(open_client, workplace, "append", "new", b"\xff")
    assert do(open_client, workplace, "read_bytes", "f") == binary + b"tail"
    assert do(open_client, workplace, "read_part", "f", 2558, 4) == b"\xfe\xffta"
    assert do(open_client, workplace, "read_part", "f", 10**12, 4) == b""
    assert "expected a file of UTF-8 text" in refusal(open_client, workplace, "read", "new")


def test_files_larger_than_a_host_call(open_client: crucible.Client, workplace: Path) -> None:
    (workplace / "large").write_bytes(os.urandom(20 * MIB))
    source = """
    pub async fn main() {
        let data = crucible::fs::read_bytes("large").await?;
        crucible::fs::write("copy", data).await?;
        data.len()
    }
    """
    result = open_client.run(source, level="development", working_directory=str(workplace))
    assert result.value == 20 * MIB
    assert (workplace / "copy").read_bytes() == (workplace / "large").read_bytes()
    # Nothing of it went through the server.
    assert result.usage.host_calls == 0
    with (workplace / "sparse").open("wb") as file:
        file.truncate(64 * MIB + 1)
    assert "read it in parts with read_part" in refusal(open_client, workplace, "read_bytes", "sparse")
    assert "at most 67108864 bytes at once" in refusal(open_client, workplace, "read_part", "sparse", 0, 64 * MIB + 1)
    assert do(open_client, workplace, "read_part", "sparse", 64 * MIB, 100) == b"\0"


def test_a_file_is_replaced_as_a_whole(open_client: crucible.Client, workplace: Path) -> None:
    path = workplace / "f"
    do(open_client, workplace, "write", "f", "old")
    path.chmod(0o640)
    (workplace / "link").symlink_to("f")
    with path.open() as held:
        do(open_client, workplace, "write", "link", "new")
        assert held.read() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o7777 == 0o640
    assert (workplace / "link").is_symlink()
    assert sorted(os.listdir(workplace)) == ["f", "link"]
    (workplace / "dangling").symlink_to("nowhere")
    assert "leads nowhere" in refusal(open_client, workplace, "write", "dangling", "x")
    assert sorted(os.listdir(workplace)) == ["dangling", "f", "link"]


def test_names(open_client: crucible.Client, workplace: Path) -> None:
    do(open_client, workplace, "create_dir", "d")
    do(open_client, workplace, "write", "d/b", "12345")
    do(open_client, workplace, "write", "d/a ü", "")
    os.mkfifo(workplace / "d" / "pipe")
    assert do(open_client, workplace, "list", "d") == [
        {"name": "a ü", "is_file": True, "is_dir": False},
        {"name": "b", "is_file": True, "is_dir": False},
        {"name": "pipe", "is_file": False, "is_dir": False},
    ]
    assert do(open_client, workplace, "list", ".") == [{"name": "d", "is_file": False, "is_dir": True}]
    os.utime(workplace / "d" / "b", (0, 1_700_000_000.5))
    assert do(open_client, workplace, "metadata", "d/b") == {
        "size": 5,
        "is_file": True,
        "is_dir": False,
        "modified": 1_700_000_000.5,
    }
    folder = do(open_client, workplace, "metadata", "d")
    assert (folder["size"], folder["is_dir"]) == (0, True)
    assert abs(folder["modified"] - time.time()) < 100
    assert [do(open_client, workplace, "exists", path) for path in ("d", "d/b", "none", "no/ne")] == [
        True,
        True,
        False,
        False,
    ]
    do(open_client, workplace, "rename", "d/b", "moved")
    assert do(open_client, workplace, "copy", "moved", "d/copy") == 5
    do(open_client, workplace, "remove", "d/pipe")
    do(open_client, workplace, "remove", "moved")
    assert "not empty" in refusal(open_client, workplace, "remove", "d")
    assert sorted(os.listdir(workplace / "d")) == ["a ü", "copy"]


def test_many_entries_at_once(open_client: crucible.Client, workplace: Path) -> None:
    (workplace / "many").mkdir()
    names = [f"{number:05}" for number in range(9000)]
    for name in names:
        (workplace / "many" / name).touch()
    source = 'pub async fn main() { crucible::fs::list("many").await?.iter().map(|e| e.name).collect::<Vec>() }'
    result = open_client.run(source, level="development", working_directory=str(workplace))
    assert result.value == names


def test_what_fails_says_what_and_why(open_client: crucible.Client, workplace: Path, script_user: int) -> None:
    (workplace / "d").mkdir()
    (workplace / "f").write_text("x")
    os.mkfifo(workplace / "pipe")
    closed = workplace / "closed"
    closed.write_text("x")
    closed.chmod(0)
    for call, said in (
        (("read", "none"), "fs: none: no such file or directory"),
        (("read", "d"), "fs: d: expected a file, got a directory"),
        (("read", "pipe"), "fs: pipe: expected a file, got a pipe, a socket or a device"),
        (("read", "/dev/zero"), "fs: /dev/zero: expected a file, got a pipe, a socket or a device"),
        (("append", "pipe", "x"), "fs: pipe: "),
        (("copy", "pipe", "x"), "expected a file, got a pipe"),
        (("copy", "f", "d"), "expected a file, got a directory"),
        (("copy", "f", "pipe"), "expected a file, got a pipe"),
        (("write", "d", "x"), "fs: d: expected a file, got a directory"),
        (("write", "no/ne", "x"), "fs: no/ne: no such file or directory"),
        (("write", "", "x"), 'fs: "": '),
        (("read", ""), 'fs: "": no such file or directory'),
        (("read", "nul\0"), 'fs: "nul\\0": '),
        (("read", "f/x"), "fs: f/x: the system says: Not a directory"),
        (("create_dir", "d"), "there is something of this name already"),
        (("list", "f"), "Not a directory"),
        (("rename", "none", "x"), "fs: none to x: no such file or directory"),
        (("read", "closed"), f"fs: closed: permission denied: the script runs as user {script_user}"),
        (("write", "/etc/passwd", "x"), f"permission denied: the script runs as user {script_user}"),
        (("write", "/etc/new-file", "x"), "a file is replaced as a whole, by a new one in its directory"),
        (("remove", "/etc/passwd"), f"permission denied: the script runs as user {script_user}"),
    ):
        message = refusal(open_client, workplace, *call)
        assert said in message, call
    long = refusal(open_client, workplace, "read", "x" * 5000)
    assert len(long) < 300
    assert sorted(os.listdir(workplace)) == ["closed", "d", "f", "pipe"]


def test_system_files_without_a_size(open_client: crucible.Client) -> None:
    assert "VmRSS" in do(open_client, Path("/"), "read", "/proc/self/status")
    assert "root:" in do(open_client, Path("/etc"), "read", "passwd")


def test_several_are_under_way_at_once(open_client: crucible.Client, workplace: Path) -> None:
    source = """
    pub async fn main() {
        let writes = [];
        for n in 0..64 { writes.push(crucible::fs::write(`${n}`, `${n}`)); }
        for done in std::future::join(writes).await { done?; }
        let reads = [];
        for n in 0..64 { reads.push(crucible::fs::read(`${n}`)); }
        let total = 0;
        for text in std::future::join(reads).await { total += text?.parse::<i64>()?; }
        total
    }
    """
    assert open_client.run(source, level="development", working_directory=str(workplace)).value == sum(range(64))


def test_the_operators_roots_neither_bound_nor_name_anything(start_open: StartOpen, open_folder: Path) -> None:
    root = open_folder / "root"
    root.mkdir(exist_ok=True)
    (root / "f").write_text("in the root")
    server = start_open(
        CRUCIBLE_ENGINE__FILES__ALLOW_FILE_ACCESS="true",
        CRUCIBLE_ENGINE__FILES__ROOTS=f'{{"data": {{"path": "{root}"}}}}',
    )
    with crucible.Client(server.address) as client:
        assert client.run('pub async fn main() { crucible::fs::read("data/f").await }', level="production").value == (
            "in the root"
        )
        assert do(client, root, "read", "f") == "in the root"
        assert "no such file" in refusal(client, Path("/"), "read", "data/f")
        with pytest.raises(crucible.ExecutionFailed, match="expected a path such as ROOT"):
            client.run('pub async fn main() { crucible::fs::read("/etc/passwd").await }', level="production")


def test_other_levels_have_no_files(open_client: crucible.Client) -> None:
    has = {level.level: "crucible::fs" in level.modules for level in open_client.server_info().security_levels}
    assert has == {
        security_pb2.SECURITY_LEVEL_SAFE: False,
        security_pb2.SECURITY_LEVEL_PRODUCTION: False,
        security_pb2.SECURITY_LEVEL_DEVELOPMENT: True,
    }
    source = 'pub async fn main() { crucible::fs::read("/etc/passwd").await }'
    script = open_client.compile(source, level="development")
    for level in ("safe", "production"):
        with pytest.raises(crucible.SecurityViolation, match="DEVELOPMENT always"):
            open_client.run(script, level=level)
