"""The clients for Go and TypeScript: their contract and example programs against a real server."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import crucible
from tests.clients.conftest import BUILD_TIMEOUT
from tests.servers import RunningServer

pytestmark = pytest.mark.timeout(BUILD_TIMEOUT)
CONTRACT = {
    *("compile", "metadata", "values", "stream", "unknown script", "syntax error", "failure", "cancel", "lost call"),
    *("scripts", "lists", "deletion", "redaction", "metrics"),
}
Run = Callable[..., subprocess.CompletedProcess[str]]


def assert_contract(run_program: Run, words: Sequence[str | Path], server: RunningServer, trace_id: str) -> None:
    done = run_program(words)
    kept = {line.removeprefix("ok - ") for line in done.stdout.splitlines() if line.startswith("ok - ")}
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept == CONTRACT
    with crucible.Client(server.address) as client:
        assert [event.trace_id for event in client.events("script_executed")].count(trace_id) == 1


def test_the_go_client_keeps_its_contract(run_program: Run, go: Path, server: RunningServer) -> None:
    assert_contract(run_program, [go / "contract", "-server", server.address], server, "60" * 16)


def test_the_go_example_runs(run_program: Run, go: Path, server: RunningServer) -> None:
    done = run_program([go / "example", "-server", server.address])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2\n3\n5\n")
    assert "15 primes" in done.stdout


def test_the_typescript_client_keeps_its_contract(run_program: Run, typescript: Path, server: RunningServer) -> None:
    assert_contract(run_program, ["node", typescript / "contract.js", server.address], server, "7e" * 16)


def test_the_typescript_example_runs(run_program: Run, typescript: Path, server: RunningServer) -> None:
    done = run_program(["node", typescript / "example.js", server.address])
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("2\n3\n5\n")
    assert "15 primes" in done.stdout


def test_a_contract_program_fails_without_a_server(run_program: Run, go: Path, typescript: Path) -> None:
    assert run_program([go / "contract", "-server", "127.0.0.1:1"]).returncode == 1
    assert run_program(["node", typescript / "contract.js", "127.0.0.1:1"]).returncode == 1
