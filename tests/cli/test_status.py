"""`crucible health` and `crucible metrics`."""

from __future__ import annotations

import json
import re
import time

import crucible as client_library

from .conftest import TIMEOUT, Crucible


def test_health(crucible: Crucible, server: str) -> None:
    # Degraded while the disk is slow.
    done = crucible("health", "--server", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^status +(healthy|degraded)$", done.stdout, re.MULTILINE)
    assert "seccomp" in done.stdout
    deadline = time.monotonic() + TIMEOUT
    while True:
        health = json.loads(crucible("health", "--server", server, "--json").stdout)
        if (health["status"], health["details"]["active_executions"]) == ("healthy", 0):
            return
        assert time.monotonic() < deadline, health


def test_health_of_a_server_that_takes_nothing(crucible: Crucible, server: str) -> None:
    pb = client_library.v1.script_service_pb2
    with client_library.Client(server) as client:
        client.stub.Stop(pb.StopRequest(), timeout=30)
        try:
            done = crucible("health", "--server", server)
            assert done.returncode == 3
            assert "stopped" in done.stdout
        finally:
            client.stub.Start(pb.StartRequest(), timeout=30)
    assert crucible("health", "--server", server).returncode == 0


def test_health_without_a_server(crucible: Crucible, unused_address: str) -> None:
    assert crucible("health", "--server", unused_address).returncode == 4


def test_metrics(crucible: Crucible, server: str) -> None:
    with client_library.Client(server) as client:
        script = client.compile("pub fn main() { 1 } // metrics").script_id
        client.run(script_id=script)
    figures = json.loads(crucible("metrics", "--script", script, "--server", server, "--json").stdout)
    assert figures["metrics"]["total_executions"] >= 1
    assert figures["metrics"]["uptime"] > 0
    (of_script,) = figures["script_stats"]
    assert (of_script["script_id"], of_script["total_executions"]) == (script, 1)
    done = crucible("metrics", "--script", script, "--server", server)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^memory_usage +[0-9.]+ MiB$", done.stdout, re.MULTILINE)
    assert script in done.stdout
