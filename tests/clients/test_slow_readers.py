"""What clients hold of a long output that they read slowly: a window of it, however much there is."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import crucible
from tests.clients.conftest import BUILD_TIMEOUT, CLIENTS
from tests.servers import RunningServer

pytestmark = pytest.mark.timeout(BUILD_TIMEOUT)
READERS = Path(__file__).parent / "slow_readers"
PIECE = 64 * 1024
PIECES = 2048
PAUSE = "2"
MOST_WHILE_PAUSED = 24 * 1024
"""kB of 128 MB."""
MOST_OVER_ALL = 72 * 1024
"""kB likewise: runtimes that collect garbage let some of it gather."""
SOURCE = f"""
pub fn main() {{
    let text = "";
    for n in 0..{PIECE // 16} {{ text.push_str("0123456789abcde\\n"); }}
    for n in 0..{PIECES} {{ print!("{{}}", text); }}
}}
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with the execution `long`, which has written 128 MB."""
    settings = {"CRUCIBLE_ENGINE__RESOURCE_LIMITS__MAX_OUTPUT_BYTES": "256MiB"}
    with RunningServer(tmp_path_factory.mktemp("written"), settings) as running:
        with crucible.Client(running.address) as client:
            # Safe would end it after ten seconds.
            client.run(SOURCE, execution_id="long", level="production")
        yield running


@pytest.fixture(scope="module")
def go_reader(run_program: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built reader, which is compiled as if it lay in the module of the Go client."""
    folder = tmp_path_factory.mktemp("reader")
    module = CLIENTS / "go"
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(module / "reader" / "main.go"): str(READERS / "reader.go")}}))
    words: list[str | Path] = ["go", "build", "-overlay", overlay, "-o", folder / "reader", "./reader"]
    built = run_program(words, folder=module)
    assert built.returncode == 0, built.stderr
    return folder / "reader"


def assert_bounded(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    told = {what: int(number) for what, number in (line.split() for line in done.stdout.splitlines())}
    assert told["bytes"] == PIECE * PIECES
    assert told["paused"] - told["before"] < MOST_WHILE_PAUSED, told
    assert told["end"] - told["before"] < MOST_OVER_ALL, told


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_python_clients(run_program: Run, written: RunningServer, mode: str) -> None:
    assert_bounded(run_program([sys.executable, READERS / "reader.py", mode, written.address, "long", PAUSE]))


def test_the_go_client(run_program: Run, written: RunningServer, go_reader: Path) -> None:
    assert_bounded(run_program([go_reader, written.address, "long", PAUSE]))


def test_the_typescript_client(run_program: Run, written: RunningServer, typescript: Path) -> None:
    words = ["node", READERS / "reader.mjs", typescript / "index.js", written.address, "long", PAUSE]
    assert_bounded(run_program(words))
