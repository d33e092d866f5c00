"""What others than operators are not told, and nobody is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import crucible
from tests.configuration.conftest import Configured, wait_for_health, wait_until
from tests.conftest import StartServer
from tests.engine.processes import wait_logged
from tests.servers import own_address


def test_others_than_operators_are_refused(start_server: StartServer) -> None:
    server = start_server(words=("--listen", "0.0.0.0:0", "--allow-insecure-listen"))
    port = server.address.rpartition(":")[2]
    with crucible.Client(f"127.0.0.1:{port}") as near:
        assert near.config().version == 0
    with crucible.Client(f"{own_address()}:{port}") as far:
        assert far.run("pub fn main() { 1 }").value == 1
        for call in (
            lambda: far.config(),
            lambda: far.update_config({"spare_children": 1}),
            lambda: far.revert_config(0),
            lambda: list(far.config_revisions()),
            lambda: next(iter(far.watch_config())),
        ):
            with pytest.raises(crucible.SecurityViolation, match="operator"):
                call()


def test_others_than_operators_are_not_told_what_the_file_says(start_server: StartServer, tmp_path: Path) -> None:
    file = tmp_path / "crucible.toml"
    file.write_text("")
    words = ("--listen", "0.0.0.0:0", "--allow-insecure-listen", "--config", str(file))
    server = start_server(words=words)
    port = server.address.rpartition(":")[2]
    with crucible.Client(f"127.0.0.1:{port}") as near, crucible.Client(f"{own_address()}:{port}") as far:
        file.write_text('telemetry.otlp_endpoint = "http://h:4317/?key=SECRET"\nunit_key = { env = "VAULT_NAME" }\n')
        wait_until(lambda: bool(near.config().file_problem), "the problem is not noticed")
        assert "VAULT_NAME" in wait_for_health(near, "configuration_refused").reasons[0].message
        health = wait_for_health(far, "configuration_refused")
        assert "is not valid" in health.reasons[0].message
        for word in ("VAULT_NAME", str(file), "telemetry", "4317"):
            assert word not in str(health)
        assert "SECRET" not in f"{near.health()} {near.config()} {server.log}"


def test_no_secret_leaves_the_server(configured: Configured) -> None:
    configured.client.close()
    configured.server.terminate()
    key = "c0ffee" * 10 + "abcd"
    configured.server.data_dir = configured.server.data_dir.with_name("other")
    (configured.file.parent / "key").write_text(key)
    configured.write('unit_key = { file = "key" }\n')
    configured.server.start()
    configured.client = crucible.Client(configured.server.address)
    config = configured.client.config()
    assert config.entries["unit_key"].layer == "FILE"
    (configured.file.parent / "key").write_text(key[::-1])
    wait_logged(configured.server, "unit_key: another secret")
    told = json.dumps([str(config.message), str(configured.client.config().message), configured.server.log])
    assert key not in told
    assert key[::-1] not in told
