"""Byte code in memory and in the store: kept, evicted, verified, compiled once."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import crucible
from crucible.v1 import script_service_pb2 as api
from crucible.v1 import server_info_pb2
from tests.conftest import StartServer
from tests.engine.processes import wait_logged

SOURCE = "pub fn main(n) { 1; n * 2 }"


def metrics(client: crucible.Client) -> server_info_pb2.PerformanceMetrics:
    return client.stub.GetMetrics(api.GetMetricsRequest()).metrics


def units(data_dir: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(data_dir / "crucible.db") as database:
        return database.execute("SELECT script_id, hex(unit) FROM units ORDER BY script_id").fetchall()


def test_a_stampede_on_one_cold_script_compiles_once(start_server: StartServer) -> None:
    server = start_server()
    source = "\n".join(f"fn f{n}(a) {{ a + {n} }}" for n in range(500)) + "\n" + SOURCE
    with crucible.Client(server.address) as client, ThreadPoolExecutor(40) as callers:
        values = list(callers.map(lambda n: client.run(source, args={"n": n}).value, range(40)))
        assert values == [2 * n for n in range(40)]
        assert metrics(client).total_compilations == 1


def test_byte_code_survives_a_restart_with_its_warnings(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        first = client.check(SOURCE)
        assert first.diagnostics
        assert not first.unwrap().cached
    server.terminate()
    server.start()
    with crucible.Client(server.address) as client:
        second = client.check(SOURCE)
        assert second.unwrap().cached
        assert second.diagnostics == first.diagnostics
        assert client.run(second.script, args={"n": 4}).value == 8
        assert metrics(client).total_compilations == 0


@pytest.mark.sqlite
@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE units SET unit = zeroblob(length(unit))",
        "UPDATE units SET unit = substr(unit, 1, length(unit) - 1)",
        "UPDATE units SET mac = zeroblob(32)",
        "UPDATE units SET compiled = x'08'",
        "UPDATE units SET compiled = CAST(compiled || x'0801' AS BLOB)",
    ],
)
def test_byte_code_that_was_tampered_with_is_dropped_reported_and_compiled_anew(
    start_server: StartServer, damage: str
) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        script = client.compile(SOURCE)
    server.terminate()
    before = units(server.data_dir)
    with sqlite3.connect(server.data_dir / "crucible.db") as database:
        database.execute(damage)
    server.start()
    with crucible.Client(server.address) as client:
        assert client.run(script, args={"n": 21}).value == 42
        assert metrics(client).cache_rejections == 1
        assert client.health().details["cache_rejections"].int_value == 1
        assert client.run(script, args={"n": 21}).value == 42
        assert metrics(client).cache_rejections == 1
    wait_logged(server, "unit_rejected")
    server.terminate()
    assert [script_id for script_id, _ in units(server.data_dir)] == [script_id for script_id, _ in before]


@pytest.mark.sqlite
def test_byte_code_moved_to_another_script_is_not_run(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        one = client.compile("pub fn main() { 1 }")
        two = client.compile("pub fn main() { 2 }")
    server.terminate()
    with sqlite3.connect(server.data_dir / "crucible.db") as database:
        database.execute(
            "UPDATE units SET (unit, compiled, mac) = (SELECT unit, compiled, mac FROM units WHERE script_id = ?) "
            "WHERE script_id = ?",
            (two.script_id, one.script_id),
        )
    server.start()
    with crucible.Client(server.address) as client:
        assert client.run(one).value == 1
        assert client.run(two).value == 2
        assert metrics(client).cache_rejections == 1


@pytest.mark.sqlite
def test_a_source_that_was_tampered_with_is_not_compiled(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        script = client.compile("pub fn main() { 1 }")
    server.terminate()
    with sqlite3.connect(server.data_dir / "crucible.db") as database:
        database.execute("DELETE FROM units")
        database.execute("UPDATE scripts SET source = CAST(replace(source, '{ 1 }', '{ 3 }') AS BLOB)")
    server.start()
    with crucible.Client(server.address) as client:
        with pytest.raises(crucible.InternalError, match="not the one it was stored with"):
            client.run(script)
        assert client.compile("pub fn main() { 1 }").script_id == script.script_id
        assert client.run(script).value == 1


def test_the_least_recently_used_goes_first_and_comes_back_from_the_store(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_ENGINE__MAX_CACHE_SIZE="2")
    with crucible.Client(server.address) as client:
        scripts = [client.compile(f"pub fn main() {{ {number} }}") for number in range(3)]
        found = metrics(client)
        assert (found.cache_entries, found.cache_evictions, found.total_compilations) == (2, 1, 3)
        assert [client.run(script).value for script in scripts] == [0, 1, 2]
        found = metrics(client)
        assert (found.cache_entries, found.total_compilations) == (2, 3)
        assert found.cache_evictions > 1


def test_bytes_bound_the_cache_too(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_ENGINE__MAX_CACHE_BYTES="2KiB")
    with crucible.Client(server.address) as client:
        for number in range(10):
            client.compile(f"pub fn main() {{ {number} }}")
        found = metrics(client)
        assert 0 < found.cache_bytes <= 2048
        assert found.cache_evictions > 0
        large = "\n".join(f"fn f{n}(a) {{ a + {n} }}" for n in range(100)) + "\npub fn main() { 5 }"
        assert client.run(large).value == 5
        assert metrics(client).cache_bytes <= 2048


@pytest.mark.sqlite
def test_without_caching_every_call_compiles(start_server: StartServer) -> None:
    server = start_server(CRUCIBLE_ENGINE__ENABLE_CACHING="false")
    with crucible.Client(server.address) as client:
        script = client.compile("pub fn main() { 1 }", name="one")
        assert not client.compile("pub fn main() { 1 }").cached
        assert client.run(script).value == 1
        assert client.run(name="one").value == 1
        found = metrics(client)
        assert (found.cache_entries, found.total_compilations, found.cache_hits) == (0, 4, 0)
    assert units(server.data_dir) == []


@pytest.mark.sqlite
def test_a_deleted_script_is_not_found_in_the_cache(start_server: StartServer) -> None:
    server = start_server()
    with crucible.Client(server.address) as client:
        script = client.compile("pub fn main() { 1 }", name="gone")
        assert client.run(script).value == 1
        client.stub.DeleteScript(api.DeleteScriptRequest(script_id=script.script_id))
        with pytest.raises(crucible.ScriptNotFound):
            client.run(script_id=script.script_id)
        with pytest.raises(crucible.ScriptNotFound):
            client.run(name="gone")
        assert units(server.data_dir) == []
        assert not client.compile("pub fn main() { 1 }").cached
        assert client.run(script).value == 1
        with pytest.raises(crucible.ScriptNotFound):
            client.run(name="gone")
