"""The key that seals byte code: made once, and the same at every start."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from pathlib import Path

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible_server.config import load_config
from crucible_server.engine.keys import reseal
from crucible_server.store import Store
from tests.conftest import StartServer


def fails_to_start(start_server: StartServer, **settings: str) -> str:
    with pytest.raises(AssertionError) as raised:
        start_server(**settings)
    return str(raised.value)


def drop_byte_code(data_dir: Path) -> int:
    async def run() -> int:
        config = load_config(None, {"data_dir": data_dir})
        store = await Store.open(config.store_url)
        try:
            return await reseal(config, store)
        finally:
            await store.close()

    return asyncio.run(run())


@pytest.mark.parametrize("damage", ["missing", "another", "short", "readable by others"])
def test_a_store_does_not_start_under_another_key_and_loses_nothing(
    start_server: StartServer, tmp_path: Path, damage: str
) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        client.compile("pub fn main() { 5 }", name="five")
    server.terminate()
    key = tmp_path / "data" / "unit.key"
    good = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    if damage == "missing":
        key.unlink()
    elif damage == "another":
        key.write_bytes(secrets.token_bytes(32))
    elif damage == "short":
        key.write_bytes(b"short")
    else:
        key.chmod(0o640)
    words = fails_to_start(start_server)
    assert str(key) in words
    assert "crucible store reseal" in words if damage != "readable by others" else "chmod 600" in words
    key.write_bytes(good)
    key.chmod(0o600)
    server = start_server()
    with crucible.Client(server.address) as client:
        assert client.run(name="five").value == 5
        assert client.stub.GetMetrics(api.GetMetricsRequest()).metrics.total_compilations == 0


def test_a_lost_key_costs_the_byte_code_and_nothing_else(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        client.compile("pub fn main() { 5 }", name="five")
        execution = client.run(name="five")
    server.terminate()
    (tmp_path / "data" / "unit.key").unlink()
    assert drop_byte_code(tmp_path / "data") == 1
    server = start_server()
    with crucible.Client(server.address) as client:
        assert client.get_execution(execution.execution_id).result.value == 5  # type: ignore[union-attr]
        assert client.run(name="five").value == 5
        assert client.stub.GetMetrics(api.GetMetricsRequest()).metrics.total_compilations == 1


def test_the_key_may_come_from_the_environment(start_server: StartServer, tmp_path: Path) -> None:
    key = secrets.token_hex(32)
    server = start_server(CRUCIBLE_UNIT_KEY=key)
    with crucible.Client(server.address) as client:
        client.compile("pub fn main() { 5 }", name="five")
    server.terminate()
    assert not (tmp_path / "data" / "unit.key").exists()
    with sqlite3.connect(tmp_path / "data" / "crucible.db") as database:
        (known,) = database.execute("SELECT value FROM settings").fetchone()
    assert bytes.fromhex(key) not in known
    assert "CRUCIBLE_UNIT_KEY" in fails_to_start(start_server, CRUCIBLE_UNIT_KEY=secrets.token_hex(32))
    server = start_server(CRUCIBLE_UNIT_KEY=key)
    with crucible.Client(server.address) as client:
        assert client.run(name="five").value == 5


def test_a_key_that_is_none_is_not_shown(start_server: StartServer) -> None:
    words = fails_to_start(start_server, CRUCIBLE_UNIT_KEY="secret-" * 3)
    assert "expected 64 hexadecimal digits" in words
    assert "secret-" not in words
