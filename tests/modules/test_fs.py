"""`crucible::fs` from a script's point of view: every function, and what is counted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import crucible
from tests.modules.disk import Disk
from tests.servers import RunningServer

MIB = 1024 * 1024


def test_text_and_bytes_are_written_and_read(disk: Disk) -> None:
    for text in ("", "plain", "ä\0\n\U0001f980", "x" * 100_000):
        assert disk.do("write", "data/f", text) is None
        assert (disk.root / "f").read_bytes() == text.encode()
        assert disk.do("read", "data/f") == text
        assert disk.do("read_bytes", "data/f") == text.encode()
    binary = bytes(range(256)) * 100
    disk.do("write", "data/f", binary)
    assert disk.do("read_bytes", "data/f") == binary
    assert "expected a file of UTF-8 text" in disk.refusal("read", "data/f")
    disk.do("append", "data/f", b"\xff")
    disk.do("append", "data/new", "text")
    assert (disk.root / "f").read_bytes() == binary + b"\xff"
    assert (disk.root / "new").read_bytes() == b"text"
    assert sorted(os.listdir(disk.root)) == ["f", "new"]


def test_parts_are_read_by_offset(disk: Disk) -> None:
    (disk.root / "f").write_bytes(bytes(range(100)))
    assert disk.do("read_part", "data/f", 0, 3) == b"\x00\x01\x02"
    assert disk.do("read_part", "data/f", 98, 10) == b"bc"
    assert disk.do("read_part", "data/f", 100, 10) == b""
    assert disk.do("read_part", "data/f", 2**62, 10) == b""
    assert disk.do("read_part", "data/f", 5, 0) == b""
    for offset, length in ((-1, 1), (0, -1), (1.0, 1), (0, "1")):
        with pytest.raises(crucible.ExecutionFailed, match="as a number of bytes"):
            disk.do("read_part", "data/f", offset, length)


def test_large_files_go_in_parts(disk: Disk) -> None:
    (disk.root / "big").write_bytes(os.urandom(5 * MIB))
    assert "read it in parts with read_part" in disk.refusal("read_bytes", "data/big")
    assert "max_read_bytes" in disk.refusal("read_part", "data/big", 0, 4 * MIB + 1)
    source = """
    use crucible::fs;
    pub async fn main() {
        let size = fs::metadata("data/big").await?.size;
        let at = 0;
        while at < size {
            let part = fs::read_part("data/big", at, 700000).await?;
            fs::append("data/copy", part).await?;
            at += part.len();
        }
        at
    }
    """
    result = disk.run(source)
    assert result.value == 5 * MIB
    assert (disk.root / "copy").read_bytes() == (disk.root / "big").read_bytes()
    assert result.message.resource_usage.file_io_bytes == 10 * MIB
    too_much = """
    pub async fn main() {
        let text = "0123456789abcdef";
        for _ in 0..16 { text = `${text}${text}`; }
        crucible::fs::write("data/f", text).await
    }
    """
    with pytest.raises(crucible.ExecutionFailed, match="send less at once"):
        disk.run(too_much)
    assert not (disk.root / "f").exists()


def test_a_file_is_replaced_as_a_whole(disk: Disk) -> None:
    path = disk.root / "f"
    path.write_text("old")
    path.chmod(0o640)
    with path.open() as held:
        disk.do("write", "data/f", "new content")
        assert held.read() == "old"
    assert path.read_text() == "new content"
    assert path.stat().st_mode & 0o7777 == 0o640
    disk.do("write", "data/other", "x")
    assert (disk.root / "other").stat().st_mode & 0o7111 == 0


def test_directories(disk: Disk) -> None:
    assert disk.do("list", "data") == disk.do("list", "data/") == []
    disk.do("create_dir", "data/a")
    disk.do("create_dir", "data/a/b")
    disk.do("write", "data/a/ü.txt", "x")
    os.mkfifo(disk.root / "a" / "pipe")
    assert disk.do("list", "data/a") == [
        {"name": "b", "is_file": False, "is_dir": True},
        {"name": "pipe", "is_file": False, "is_dir": False},
        {"name": "ü.txt", "is_file": True, "is_dir": False},
    ]
    assert "there is something of this name" in disk.refusal("create_dir", "data/a")
    assert "create_dir" in disk.refusal("create_dir", "data/x/y")
    assert "not empty" in disk.refusal("remove", "data/a")
    assert "expected a directory" in disk.refusal("list", "data/a/ü.txt")
    for name in ("pipe", "ü.txt", "b"):
        disk.do("remove", f"data/a/{name}")
    disk.do("remove", "data/a")
    assert "no such file" in disk.refusal("remove", "data/a")
    assert "no such file" in disk.refusal("list", "data/a")


def test_many_entries_are_listed_in_order(disk: Disk) -> None:
    (disk.root / "many").mkdir()
    names = [f"{number:05}-{'x' * (number % 200)}" for number in range(9000)]
    for name in names:
        (disk.root / "many" / name).touch()
    source = """
    pub async fn main() { crucible::fs::list("data/many").await?.iter().map(|entry| entry.name).collect::<Vec>() }
    """
    result = disk.run(source)
    assert result.value == names
    # Fetched in pages.
    assert result.usage.host_calls == 3


def test_metadata(disk: Disk) -> None:
    (disk.root / "f").write_bytes(b"12345")
    os.utime(disk.root / "f", (0, 1_700_000_000.5))
    assert disk.do("metadata", "data/f") == {
        "size": 5,
        "is_file": True,
        "is_dir": False,
        "modified": 1_700_000_000.5,
    }
    root = disk.do("metadata", "data")
    assert (root["size"], root["is_file"], root["is_dir"]) == (0, False, True)
    assert abs(root["modified"] - time.time()) < 100
    assert "no such file" in disk.refusal("metadata", "data/none")
    assert [disk.do("exists", path) for path in ("data", "data/f", "data/none", "data/no/ne")] == [
        True,
        True,
        False,
        False,
    ]


def test_rename_and_copy(disk: Disk) -> None:
    disk.do("write", "data/a", "one")
    disk.do("create_dir", "data/d")
    disk.do("rename", "data/a", "data/d/b")
    disk.do("write", "data/c", "two")
    disk.do("rename", "data/c", "data/d/b")
    assert (disk.root / "d" / "b").read_text() == "two"
    assert disk.do("copy", "data/d/b", "data/e") == 3
    assert disk.do("copy", "fixed/known", "data/e") == 7
    assert (disk.root / "e").read_text() == "read me"
    disk.do("rename", "data/d", "data/moved")
    assert sorted(os.listdir(disk.root)) == ["e", "moved"]
    assert "into itself" in disk.refusal("rename", "data/moved", "data/moved/in")
    assert "the place of a directory" in disk.refusal("rename", "data/e", "data/moved")
    assert "no such file" in disk.refusal("rename", "data/none", "data/x")
    assert "no such file" in disk.refusal("copy", "data/none", "data/x")
    assert "expected a file, got a directory" in disk.refusal("copy", "data/moved", "data/x")


def test_a_root_to_read_is_not_written(disk: Disk) -> None:
    assert disk.do("read", "fixed/known") == "read me"
    assert disk.do("list", "fixed") == [{"name": "known", "is_file": True, "is_dir": False}]
    (disk.root / "f").write_text("x")
    for call in (
        ("write", "fixed/known", "x"),
        ("write", "fixed/new", "x"),
        ("append", "fixed/known", "x"),
        ("create_dir", "fixed/d"),
        ("remove", "fixed/known"),
        ("rename", "fixed/known", "fixed/k"),
        ("rename", "fixed/known", "data/k"),
        ("rename", "data/f", "fixed/f"),
        ("copy", "data/f", "fixed/f"),
    ):
        message = disk.refusal(*call)
        assert "the root `fixed` is read-only" in message, call
        assert 'access = "write"' in message
    assert os.listdir(disk.read_only) == ["known"]


def test_what_is_no_text_and_no_bytes_is_not_written(disk: Disk) -> None:
    for data in (1, 1.0, None, ["x"], {"a": 1}):
        with pytest.raises(crucible.ExecutionFailed, match="text or bytes"):
            disk.do("write", "data/f", data)
    assert not (disk.root / "f").exists()


def test_several_are_under_way_at_once(disk: Disk) -> None:
    source = """
    use crucible::fs;
    pub async fn main() {
        let writes = [];
        for n in 0..64 { writes.push(fs::write(`data/${n}`, `${n}`)); }
        for done in std::future::join(writes).await { done?; }
        let reads = [];
        for n in 0..64 { reads.push(fs::read(`data/${n}`)); }
        let total = 0;
        for text in std::future::join(reads).await { total += text?.parse::<i64>()?; }
        total
    }
    """
    assert disk.run(source).value == sum(range(64))
    assert len(os.listdir(disk.root)) == 64


def test_what_is_moved_is_counted_also_when_killed(disk: Disk) -> None:
    def moved(result: crucible.Result) -> int:
        return int(result.message.resource_usage.file_io_bytes)

    (disk.root / "f").write_bytes(b"x" * 1000)
    assert moved(disk.run('pub async fn main() { crucible::fs::read("data/f").await?; 1 }')) == 1000
    assert moved(disk.run('pub async fn main() { crucible::fs::write("data/g", "12345").await }')) == 5
    assert moved(disk.run('pub async fn main() { crucible::fs::copy("data/f", "data/h").await? }')) == 2000
    assert moved(disk.run('pub async fn main() { crucible::fs::read("fixed/nothing").await.is_err() }')) == 0
    assert moved(disk.run('pub async fn main() { crucible::fs::write("fixed/g", "12345").await.is_err() }')) == 0
    killed = """
    pub async fn main() {
        crucible::fs::read("data/f").await?;
        crucible::fs::append("data/g", "12345").await?;
        println!("moved");
        crucible::basic::sleep(60).await;
    }
    """
    with disk.client.stream(killed, level="production", check=False) as stream:
        assert next(iter(stream)).text == "moved\n"
        disk.client.cancel(stream.execution_id)
        for _ in stream:
            pass
    assert stream.result is not None
    assert stream.result.error is not None
    assert stream.result.error.kind == "CANCELLED"
    assert moved(stream.result) == 1005


def test_bounds_of_the_operator(tmp_path: Path) -> None:
    settings = {"max_file_bytes": 1000, "max_read_bytes": 500, "max_execution_bytes": 3000, "max_list_entries": 7}
    with Disk(tmp_path, settings) as disk:
        disk.do("write", "data/f", "x" * 1000)
        assert "max_file_bytes" in disk.refusal("write", "data/f", "x" * 1001)
        assert "max_file_bytes" in disk.refusal("append", "data/f", "x")
        assert (disk.root / "f").read_text() == "x" * 1000
        assert "at most 500 bytes to read at once" in disk.refusal("read", "data/f")
        (disk.root / "large").write_bytes(b"x" * 2000)
        assert "max_file_bytes" in disk.refusal("copy", "data/large", "data/copy")
        assert sorted(os.listdir(disk.root)) == ["f", "large"]
        source = """
        pub async fn main() {
            let done = [];
            for n in 0..20 { done.push(crucible::fs::write(`data/${n}`, `PAYLOAD`).await); }
            [done.iter().filter(|one| one.is_ok()).count(), done[19]]
        }
        """.replace("PAYLOAD", "x" * 500)
        result = disk.run(source)
        count, last = result.value
        assert count == 6
        assert "max_execution_bytes" in last["Err"]
        assert result.message.resource_usage.file_io_bytes == 3000
        # Eight files and more than one page.
        assert len(disk.do("list", "data")) == 8


def test_without_permission_it_is_a_violation_that_says_how_to_allow_it(client: crucible.Client) -> None:
    for level in ("safe", "production"):
        checked = client.check("use crucible::fs;\npub fn main() { 1 }", level=level)
        (found,) = [found for found in checked.diagnostics if found.code == "security.module"]
        assert (found.line, found.column) == (1, 5)
        assert "PRODUCTION has it where the server's operator allows files" in found.message
        assert "allow_file_access" in found.message
        with pytest.raises(crucible.SecurityViolation):
            client.run('pub async fn main() { crucible::fs::read("data/x").await }', level=level)


def test_with_permission_production_has_it_and_safe_has_not(disk: Disk) -> None:
    levels = [list(level.modules) for level in disk.client.server_info().security_levels]
    assert "crucible::fs" not in levels[0]
    assert "crucible::fs" in levels[1]
    with pytest.raises(crucible.SecurityViolation):
        disk.client.run('pub async fn main() { crucible::fs::read("data/x").await }', level="safe")


def test_byte_code_of_a_server_with_files_is_not_run_without(tmp_path: Path) -> None:
    source = 'pub async fn main() { crucible::fs::read("data/f").await? }'
    with Disk(tmp_path) as disk:
        (disk.root / "f").write_text("x")
        script = disk.client.compile(source, level="production")
        assert disk.client.run(script, level="production").value == "x"
    with (
        RunningServer(tmp_path / "data") as server,
        crucible.Client(server.address) as client,
        pytest.raises(crucible.SecurityViolation),
    ):
        client.run(script, level="production")
