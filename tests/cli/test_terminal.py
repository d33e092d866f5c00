"""What a person at a terminal sees: a spinner that goes, tables that fit, nothing that a script could forge."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import crucible as client_library
from tests.servers import RunningServer

from .conftest import TIMEOUT, Script, command, environment

COLUMNS = 80
HIDE_CURSOR = b"\x1b[?25l"
SLEEPY = 'pub async fn main() { crucible::basic::sleep(3.0).await; println!("done"); 5 }'
SLOW = 'pub fn main() { let n = 0; while n < 5000000 { n += 1; } println!("done"); n }'


def at_a_terminal(
    *words: str | Path, stdout_too: bool = False, once_shown: tuple[bytes, Callable[[], object]] | None = None
) -> tuple[int, bytes, bytes]:
    """Runs `crucible` with standard error at a terminal: exit code, standard output, what the terminal was sent.

    `once_shown` is a text, and what to do when it is there.
    """
    ours, theirs = pty.openpty()
    settings = {**environment(), "TERM": "xterm", "COLUMNS": str(COLUMNS), "LINES": "24"}
    process = subprocess.Popen(
        command(words), env=settings, stdout=theirs if stdout_too else subprocess.PIPE, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    # Reading a terminal that nobody has open any more is an error.
    try:
        while piece := os.read(ours, 65536):
            shown += piece
            if once_shown is not None and once_shown[0] in shown:
                once_shown[1]()
                once_shown = None
    except OSError:
        pass
    finally:
        os.close(ours)
    stdout, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, stdout or b"", shown


def test_spinner_while_nothing_comes(script: Script, server: str) -> None:
    code, stdout, shown = at_a_terminal("run", script(SLEEPY), "--server", server)
    assert (code, stdout) == (0, b"done\n5\n")
    assert b"running" in shown
    # It hides the cursor, and gives it back.
    assert shown.count(HIDE_CURSOR) == shown.count(b"\x1b[?25h") >= 1


def test_spinner_in_the_queue(script: Script, tmp_path: Path) -> None:
    settings = {"CRUCIBLE_MAX_CONCURRENT_EXECUTIONS": "1"}
    with RunningServer(tmp_path / "data", settings) as running, client_library.Client(running.address) as client:
        stream = client.stream('pub fn main() { println!("busy"); loop {} }', level="production", check=False)
        next(iter(stream))
        queued = (b"waiting for its turn", lambda: client.cancel(stream.execution_id))
        words = ("run", script("pub fn main() { 1 }"), "--server", running.address)
        code, stdout, shown = at_a_terminal(*words, once_shown=queued)
    assert (code, stdout) == (0, b"1\n")
    assert b"waiting for its turn" in shown


def test_no_spinner_for_programs(script: Script, server: str) -> None:
    code, stdout, shown = at_a_terminal("run", script(SLOW), "--server", server, "--json")
    assert (code, shown) == (0, b"")
    assert stdout.startswith(b"{")


def test_errors_come_after_the_spinner(script: Script) -> None:
    code, stdout, shown = at_a_terminal("run", script("pub fn main( {"))
    assert (code, stdout) == (1, b"")
    assert b"script.rn:1:" in shown


def test_tables_fit(server: str) -> None:
    with client_library.Client(server) as client:
        script = client.compile("pub fn main() { 1 } // tables", name="terminal/table").script_id
    code, _, shown = at_a_terminal("scripts", "list", "--name-prefix", "terminal/", "--server", server, stdout_too=True)
    assert code == 0
    assert script.encode() not in shown
    assert script[:7].encode() in shown
    lines = re.sub(r"\x1b\[[0-9]*m", "", shown.decode()).splitlines()
    assert all(len(line) <= COLUMNS for line in lines)


@pytest.mark.parametrize("stdout_too", [True, False])
def test_control_characters_are_shown(script: Script, server: str, stdout_too: bool) -> None:
    file = script('pub fn main() { println!("a\\u{1b}[31mb"); 1 }')
    code, stdout, shown = at_a_terminal("run", file, "--server", server, stdout_too=stdout_too)
    assert code == 0
    if stdout_too:
        assert b"a\\x1b[31mb" in shown
    else:
        # Into a file or a pipe goes what the script wrote.
        assert b"a\x1b[31mb" in stdout


@pytest.mark.usefixtures("server")
def test_bar_of_a_backup(tmp_path: Path, server_data: Path) -> None:
    code, stdout, shown = at_a_terminal("store", "backup", tmp_path / "copy.db", "--data-dir", server_data)
    assert code == 0
    assert b"a backup of" in stdout
    assert b"backing up" in shown
