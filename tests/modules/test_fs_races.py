"""`crucible::fs` while somebody swaps what lies below the root: never a byte from outside, never one to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.modules.disk import SECRET, Disk, RawBroker, at, wait_until

ROUNDS = 700
MET = ROUNDS // 10
"""How often each side of a swap is met at least, however slow the disk or whoever swaps is."""
# Exchanges two names as fast as it can, each moment one of them being what the other was.
SWAPPER = """
import ctypes, os, sys
one, other = (os.fsencode(name) for name in sys.argv[1:])
renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
if renameat2(-100, one, -100, other, 2):
    sys.exit(os.strerror(ctypes.get_errno()))
print("swapping", flush=True)
while os.getppid() == int(os.environ["PARENT"]):
    for _ in range(100):
        renameat2(-100, one, -100, other, 2)
"""
SOURCE = """
use crucible::fs;
use crucible::basic::{sleep, time};
pub async fn main(path, folder, replace, rounds, met) {
    // Ends before its time does.
    let until = time::now() + 20.0;
    let texts = #{};
    let done = 0;
    let refused = 0;
    let was_read = false;
    let round = 0;
    while time::now() < until && (round < rounds || done <= met || refused <= met || !was_read) {
        round += 1;
        // Whoever swaps stands still: it is waited for, as host calls are counted.
        if round > rounds { sleep(0.05).await; }
        let calls = (
            fs::read(path),
            fs::write(`${path}.new`, "written"),
            fs::append(`${path}.log`, "more"),
            fs::copy(path, "data/copied"),
            fs::write(if replace { path } else { `${path}.new` }, "inside"),
            fs::list(folder),
            fs::create_dir(`${path}.dir`),
            fs::remove(`${path}.dir`),
            fs::rename(`${path}.new`, `${path}.old`),
        );
        let (read, write, append, copy, replace, list, create, remove, rename) = std::future::join(calls).await;
        if let Ok(text) = read { texts[text] = true; was_read = true; }
        if let Ok(entries) = list { for entry in entries { texts[`name ${entry.name}`] = true; } }
        for one in [read, write, append, copy, replace, list, create, remove, rename] {
            if one.is_ok() { done += 1; } else { refused += 1; }
        }
        if let Ok(copied) = fs::read("data/copied").await { texts[copied] = true; }
    }
    #{ texts: texts.keys().collect::<Vec>(), done, refused }
}
"""


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[subprocess.Popen[str]]:
    """Two names are exchanged all the while."""
    command = [sys.executable, "-c", SWAPPER, str(one), str(other)]
    environment = {**os.environ, "PARENT": str(os.getpid())}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "swapping\n":
                pytest.skip("this file system does not exchange names")
            yield process
            assert process.poll() is None, "it gave up"
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["folder", "chain", "up"])
def test_a_folder_that_turns_into_a_link_and_back_leads_nowhere(disk: Disk, kind: str) -> None:
    (disk.root / "d").mkdir()
    (disk.root / "d" / "secret").write_text("inside")
    target = {"folder": str(disk.outside), "chain": "hop", "up": "../outside"}[kind]
    (disk.root / "hop").symlink_to(disk.outside)
    (disk.root / "link").symlink_to(target)
    with swapping(disk.root / "d", disk.root / "link"):
        value = disk.run(SOURCE, path="data/d/secret", folder="data/d", replace=True, rounds=ROUNDS, met=MET).value
    judge(disk, value)


def test_a_folder_on_the_way_is_swapped(disk: Disk) -> None:
    (disk.root / "a" / "b" / "c").mkdir(parents=True)
    (disk.root / "a" / "b" / "c" / "secret").write_text("inside")
    # Where a link is followed in the middle, the rest of the path is there as well.
    (disk.base / "tree" / "c").mkdir(parents=True)
    (disk.base / "tree" / "c" / "secret").write_bytes(SECRET)
    (disk.root / "link").symlink_to(disk.base / "tree")
    with swapping(disk.root / "a" / "b", disk.root / "link"):
        args = {"path": "data/a/b/c/secret", "folder": "data/a/b/c", "replace": True, "rounds": ROUNDS, "met": MET}
        value = disk.run(SOURCE, **args).value
    judge(disk, value)
    assert os.listdir(disk.base / "tree" / "c") == ["secret"]
    assert (disk.base / "tree" / "c" / "secret").read_bytes() == SECRET


def test_a_file_that_turns_into_a_link_and_back_is_never_the_other(disk: Disk) -> None:
    (disk.root / "f").write_text("inside")
    (disk.root / "link").symlink_to(disk.outside / "secret")
    with swapping(disk.root / "f", disk.root / "link"):
        value = disk.run(SOURCE, path="data/f", folder="data", replace=False, rounds=ROUNDS, met=MET).value
    assert SECRET.decode() not in value["texts"]
    assert any(text.startswith("inside") for text in value["texts"])
    assert value["refused"] > MET
    assert disk.outside_is_untouched()


def test_a_file_that_turns_into_a_pipe_holds_nobody_up(disk: Disk) -> None:
    (disk.root / "f").write_text("inside")
    os.mkfifo(disk.root / "pipe")
    source = """
    use crucible::basic::{sleep, time};
    pub async fn main(rounds) {
        let seen = #{};
        let was_read = false;
        let until = time::now() + 20.0;
        let round = 0;
        while time::now() < until && (round < rounds || !was_read || seen.get("refused").is_none()) {
            round += 1;
            if round > rounds { sleep(0.05).await; }
            match crucible::fs::read("data/f").await {
                Ok(text) => { seen[text] = true; was_read = true; }
                Err(_) => seen["refused"] = true,
            }
            crucible::fs::append("data/pipe", "+").await;
        }
        seen.keys().collect::<Vec>()
    }
    """
    with swapping(disk.root / "f", disk.root / "pipe"):
        seen = disk.run(source, rounds=1500).value
    assert "refused" in seen
    assert any(text.startswith("inside") for text in seen)


def test_the_root_itself_is_swapped(disk: Disk) -> None:
    (disk.root / "d").mkdir()
    (disk.root / "d" / "secret").write_text("inside")
    link = disk.base / "elsewhere"
    link.symlink_to(disk.outside)
    try:
        with swapping(disk.root, link):
            value = disk.run(SOURCE, path="data/d/secret", folder="data/d", replace=True, rounds=200, met=-1).value
    finally:
        if disk.root.is_symlink():
            disk.root.rename(disk.base / "spare")
            link.rename(disk.root)
            (disk.base / "spare").unlink()
        else:
            link.unlink()
    # The root is the directory that was there at the start, whatever it is called now.
    assert SECRET.decode() not in value["texts"]
    assert "inside" in value["texts"]
    assert disk.outside_is_untouched()


def test_without_a_server_that_checks_the_kernel_still_holds(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "d").mkdir(parents=True)
    outside.mkdir()
    (outside / "f").write_bytes(SECRET)
    (root / "d" / "f").write_text("inside")
    (root / "link").symlink_to(outside)
    outcomes: dict[str | None, int] = {}
    with RawBroker((root, True)) as broker:
        assert broker.ask(setup=broker.setup).WhichOneof("outcome") == "ready"

        def both_were_met() -> bool:
            for path in ("d/f", "link/f"):
                for request in (
                    {"read": {"at": at(path), "length": 100, "is_whole": True}},
                    {"write": {"at": at(path), "data": b"inside"}},
                    {"create_folder": {"at": at(f"{path}.dir")}},
                ):
                    reply = broker.ask(**request)
                    assert SECRET not in reply.data
                    outcome = reply.WhichOneof("outcome")
                    outcomes[outcome] = outcomes.get(outcome, 0) + 1
            return min(outcomes.get(outcome, 0) for outcome in ("data", "done", "failure")) > 300

        with swapping(root / "d", root / "link"):
            wait_until(both_were_met, 60)
    assert os.listdir(outside) == ["f"]
    assert (outside / "f").read_bytes() == SECRET


def judge(disk: Disk, value: dict[str, object]) -> None:
    """Nothing of what lies outside was read or named, and both sides of the swap were met."""
    texts, done, refused = value["texts"], value["done"], value["refused"]
    assert isinstance(texts, list)
    assert isinstance(done, int)
    assert isinstance(refused, int)
    assert set(texts) <= {"inside", *(f"name secret{end}" for end in ("", ".new", ".old", ".log", ".dir"))}, texts
    assert "inside" in texts
    assert min(done, refused) > MET, "the swap was not met"
    assert disk.outside_is_untouched()
