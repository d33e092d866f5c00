"""What a machine cannot keep is said at the start."""

from __future__ import annotations

import subprocess
import sys

from crucible_server.capacity import shortages
from crucible_server.config import load_config
from tests.conftest import StartServer


def test_the_defaults_fit() -> None:
    assert shortages(load_config(None, {"max_concurrent_executions": 8})) == []


def test_more_memory_than_the_machine_has() -> None:
    (found,) = shortages(load_config(None, {"max_executions_memory": "1PiB", "max_concurrent_executions": 8}))
    assert found.startswith("max_executions_memory is 1125899906842624 bytes, but this machine")


def test_more_files_than_the_process_may_open() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
        "from crucible_server.capacity import raise_file_limit, shortages\n"
        "from crucible_server.config import load_config\n"
        "raise_file_limit(); assert resource.getrlimit(resource.RLIMIT_NOFILE) == (200, 200)\n"
        "print(shortages(load_config(None, {'max_concurrent_executions': 1000})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "takes up to" in done.stdout, done.stderr
    assert "this process may have 200" in done.stdout


def test_the_server_says_so_and_starts(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_MAX_EXECUTIONS_MEMORY="1PiB")
    assert any("limit_cannot_be_kept" in line for line in server.log)
