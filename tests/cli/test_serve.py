"""`crucible serve`: ready, stopped, refused."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

import crucible_server

from .conftest import TIMEOUT, Crucible, Script, command, environment

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, *words: str | Path) -> subprocess.Popen[str]:
    """Starts a server that keeps its things in `folder`; its streams are what is tested."""
    line = command(["serve", "--listen", "127.0.0.1:0", "--data-dir", folder, *words])
    return subprocess.Popen(line, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ready_address(process: subprocess.Popen[str]) -> str:
    """Waits for the line by which `crucible serve` says that it is ready; the address in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if match := re.search(r"ready at (\S+)", line):
            return match[1]
    raise AssertionError(f"the server ended with code {process.wait(TIMEOUT)} before it was ready")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path) as process:
        ready_address(process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
        assert children
        process.send_signal(number)
        assert process.wait(TIMEOUT) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_what_runs_may_end_after_a_signal(tmp_path: Path, script: Script) -> None:
    source = 'pub fn main() { println!("started"); let n = 0; while n < 3000000 { n += 1; } n }'
    with start(tmp_path) as process:
        address = ready_address(process)
        words = command(["run", script(source), "--server", address])
        with subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "started\n"
            process.send_signal(signal.SIGTERM)
            assert run.stdout.read() == "3000000\n"
            assert run.wait(TIMEOUT) == 0
        assert process.wait(TIMEOUT) == 0


def test_a_second_signal_ends_what_runs(tmp_path: Path, script: Script) -> None:
    (tmp_path / "crucible.toml").write_text("grace_period = 3600\n", "utf-8")
    with start(tmp_path / "data", "--config", tmp_path / "crucible.toml") as process:
        address = ready_address(process)
        file = script('pub fn main() { println!("started"); loop {} }')
        words = command(["run", file, "--server", address])
        with subprocess.Popen(
            words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == "started\n"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
            assert run.wait(TIMEOUT) != 0


def test_ready_line_as_json(tmp_path: Path) -> None:
    with start(tmp_path, "--log-format", "json") as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready"
        assert re.fullmatch(r"127\.0\.0\.1:[0-9]+", ready["address"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert process.stderr is not None
        for line in process.stderr:
            json.loads(line)


def test_things_last(tmp_path: Path, crucible: Crucible, script: Script) -> None:
    ids = []
    for _ in range(2):
        with start(tmp_path) as process:
            address = ready_address(process)
            done = crucible("run", script("pub fn main() { 1 }"), "--server", address, "--json")
            ids.append(json.loads(done.stdout)["script_id"])
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT) == 0
    assert ids[0] == ids[1]
    assert any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--config", "absent.toml"], "absent.toml"),
        (["--listen", "nowhere"], "HOST:PORT"),
        (["--listen", "0.0.0.0:0"], "loopback"),
        (["--log-level", "loud"], "log_level"),
    ],
)
def test_bad_configuration(crucible: Crucible, tmp_path: Path, words: list[str], said: str) -> None:
    done = crucible("serve", "--data-dir", tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_taken_address(crucible: Crucible, tmp_path: Path, server: str) -> None:
    done = crucible("serve", "--data-dir", tmp_path, "--listen", server)
    assert done.returncode == 3
    assert server in done.stderr
    assert "Traceback" not in done.stderr


def test_version_is_one(crucible: Crucible) -> None:
    crate = tomllib.loads((ROOT / "vm" / "Cargo.toml").read_text("utf-8"))
    assert crucible_server.__version__ == crate["package"]["version"]
    assert crucible("version").stdout.startswith(f"crucible {crate['package']['version']} ")


def test_a_terminal_that_is_closed_ends_it(tmp_path: Path) -> None:
    """SIGHUP has the file read again, except when it says that the terminal is gone."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        # The terminal that it controls, as a shell has one. No code of ours between fork and exec: gRPC has threads.
        ["setsid", "--ctty", *command(["serve", "--listen", "127.0.0.1:0", "--data-dir", tmp_path])],
        env=environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    os.close(theirs)
    with process:
        try:
            ready_address(process)
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            os.close(ours)
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
