"""Process trees that scripts start, as they are seen from outside."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.engine.processes import PROMPT, wait_until
from tests.servers import RunningServer, children_of

START = """
use crucible::process;

/// Four that sleep: in the background, two in a session of their own, and a child of init because its parents are gone.
async fn start_tree(mark) {
    let script = `
        sleep 1000.${mark} &
        setsid sh -c 'sleep 1000.${mark} & exec sleep 1000.${mark}' < /dev/null > /dev/null 2>&1 &
        (setsid sh -c 'trap "" TERM HUP INT; sleep 1000.${mark}; true' > /dev/null 2>&1 &)
        true
    `;
    let done = process::run("sh", ["-c", script], #{}).await?;
    println!("up");
    Ok(done.success)
}

/// Until there is a file of this name.
async fn wait_for(gate) {
    while !crucible::fs::exists(gate).await? {
        crucible::basic::sleep(0.02).await;
    }
    Ok(())
}
"""
SLEEPERS = 4
"""Processes of the tree that sleep. One of the shells that start them stays as well."""


def new_mark() -> str:
    """What tells the processes of one test from all others: digits, so that `sleep` takes them."""
    return str(secrets.randbelow(10**12)).zfill(12)


def marked(mark: str) -> list[int]:
    """Processes whose command line names the mark, zombies left out: those have none."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"1000.{mark}".encode() in file.read_bytes():
                found.append(int(file.parent.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return found


def wait_up(mark: str) -> list[int]:
    """Waits until the whole tree is there, and none besides that is on its way or only starts others."""

    def is_whole() -> bool:
        programs = sorted(name for pid in marked(mark) for name in _words(pid)[:1])
        return programs == [b"sh", *[b"sleep"] * SLEEPERS]

    wait_until(is_whole, "expected a tree of processes")
    return marked(mark)


def wait_none(mark: str, seconds: float = PROMPT) -> None:
    """Waits until nothing is left of it; AssertionError when something stays."""
    wait_until(lambda: not marked(mark), f"expected no process of {mark} to be left", seconds)


def open_zygote(server: RunningServer) -> int:
    """The process id of the zygote without a jail."""
    return _only_child(server, development=True)


def jailed_zygote(server: RunningServer) -> int:
    """The process id of the other one."""
    return _only_child(server, development=False)


def _only_child(server: RunningServer, *, development: bool) -> int:
    # A dead zygote is a zombie, and one that starts goes on in another process, each for a moment.
    found: list[int] = []

    def is_alone() -> bool:
        found[:] = [pid for pid in children_of(server.pid) if (b"--development" in _words(pid)) is development]
        return len(found) == 1

    wait_until(is_alone, "expected one zygote of its kind", PROMPT)
    return found[0]


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
