"""ConfigService on a real server: read, changed all or nothing, compared, kept, reverted, watched."""

from __future__ import annotations

import asyncio
import base64
import threading

import grpc
import pytest

import crucible
from crucible.v1 import config_service_pb2 as api
from crucible.v1 import security_pb2
from crucible.v1.config_service_pb2_grpc import ConfigServiceStub
from tests.configuration.conftest import TIMEOUT, Configured


def test_what_is_configured(configured: Configured) -> None:
    config = configured.client.config()
    assert config.version == 0
    assert config["engine.max_cache_size"] == 1000
    assert config["engine.resource_limits.operation_timeout"] == 60.0
    assert config["engine.resource_limits.max_operations"] is None
    assert config.entries["listen"].layer == "FLAG"
    assert config.entries["engine.max_cache_size"].effect == "LIVE"
    assert config.entries["engine.max_cache_size"].doc
    secret = config.entries["unit_key"]
    assert (secret.secret, secret.value) == (True, None)
    engine = config.message.engine
    assert engine.max_cache_size == 1000
    assert engine.default_execution_timeout.seconds == 30
    assert engine.max_source_size == 2**20
    assert engine.enable_caching
    assert engine.security_level == security_pb2.SECURITY_LEVEL_SAFE
    assert engine.resource_limits.max_memory_bytes == 100 * 2**20
    assert not engine.resource_limits.HasField("max_execution_time")
    assert engine.health_check.interval.seconds == 5
    assert next(iter(configured.client.config("engine.http", "listen").entries)) == "listen"
    with pytest.raises(crucible.ValidationError, match=r"engine\.htp: there is no such key; did you mean"):
        configured.client.config("engine.htp")


def test_a_change_is_in_force_at_once_and_after_a_restart(configured: Configured) -> None:
    update = configured.client.update_config(
        {"engine.resource_limits.max_memory_bytes": "8MiB", "grace_period": 3}, expected_version=0, comment="small"
    )
    assert update.config.version == 1
    assert {change.key: (change.old, change.new) for change in update.changes} == {
        "grace_period": (10.0, 3.0),
        "engine.resource_limits.max_memory_bytes": (100 * 2**20, 8 * 2**20),
    }
    levels = configured.client.server_info().security_levels
    assert levels[0].limits.max_memory_bytes == 8 * 2**20
    result = configured.client.run("pub fn main() { 1 }")
    limits = configured.client.get_execution(result.execution_id).message.limits
    assert limits.max_memory_bytes == 8 * 2**20
    configured.restart()
    config = configured.client.config()
    assert (config.version, config["engine.resource_limits.max_memory_bytes"]) == (1, 8 * 2**20)
    assert config.entries["grace_period"].origin == "version 1"
    (revision,) = configured.client.config_revisions()
    assert (revision.version, revision.comment, revision.principal) == (1, "small", "local")
    assert revision.values == {"grace_period": 3.0, "engine.resource_limits.max_memory_bytes": 8 * 2**20}


def test_a_killed_server_has_kept_what_it_acknowledged(configured: Configured) -> None:
    for size in range(1, 4):
        assert configured.client.update_config({"engine.max_cache_size": size}).config.version == size
        configured.restart(kill=True)
        config = configured.client.config("engine.max_cache_size")
        assert (config.version, config["engine.max_cache_size"]) == (size, size)


def test_what_calls_set_wins_over_file_until_it_is_reset(configured: Configured) -> None:
    configured.client.update_config({"engine.max_cache_size": 5})
    configured.write("engine.max_cache_size = 7\nspare_children = 1\n")
    configured.wait_for("spare_children", 1)
    assert configured.client.config()["engine.max_cache_size"] == 5
    update = configured.client.update_config(reset=["engine.max_cache_size"])
    assert [(change.old, change.new) for change in update.changes] == [(5, 7)]
    assert update.config.entries["engine.max_cache_size"].layer == "FILE"


def test_a_key_that_needs_a_restart_says_so(configured: Configured) -> None:
    update = configured.client.update_config({"max_request_bytes": "1MiB"})
    assert [(change.key, change.restart_required) for change in update.changes] == [("max_request_bytes", True)]
    entry = update.config.entries["max_request_bytes"]
    assert (entry.value, entry.pending) == (4 * 2**20, 2**20)
    assert configured.client.server_info().max_request_bytes == 4 * 2**20
    configured.restart()
    entry = configured.client.config("max_request_bytes").entries["max_request_bytes"]
    assert (entry.value, entry.pending) == (2**20, 2**20)
    assert configured.client.server_info().max_request_bytes == 2**20


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"engine.max_cache_sise": 1}, r"there is no such key; did you mean `engine\.max_cache_size`\?"),
        ({"engine": {"max_cache_size": 1}}, "there is no such key"),
        ({"engine.max_cache_size": 0}, "expected a number of scripts above zero"),
        ({"engine.max_cache_size": "many"}, "valid integer"),
        ({"engine.max_cache_size": None}, "valid integer"),
        ({"grace_period": "soon"}, "expected a duration above zero"),
        ({"log_level": b"info"}, "log_level: "),
        ({"execution_retention": 1e300}, "from 1 ms to 36500 days"),
        ({"execution_retention": 1e12}, "from 1 ms to 36500 days"),
        ({"engine.max_cache_bytes": "99999999999 TiB"}, r"engine\.max_cache_bytes: .* less than or equal"),
        ({"engine.max_cache_bytes": "9" * 400}, r"engine\.max_cache_bytes: expected a size"),
        ({"engine.http.allow": ["nonsense"]}, r"engine\.http\.allow"),
        ({"engine.security_level": "development"}, r"^engine\.security_level: .* needs `allow_.*; got 'development'$"),
        ({"engine.health_check.timeout": 1e-9}, "from 1 ms to 36500 days"),
        ({"engine.health_check.interval": "0.5ms"}, "from 1 ms to 36500 days"),
        ({"engine.http.allow": ["https://h"] * 10_001}, r"engine\.http\.allow: .* at most 10000 items"),
        (
            {"engine.discovery.refresh_interval": "1m"},
            r"^engine\.discovery\.refresh_interval: .*; got '1m'$",
        ),
        ({"engine.health_check.timeout": "1m"}, "at most the interval"),
    ],
)
def test_what_is_not_valid_changes_nothing(configured: Configured, values: dict[str, object], said: str) -> None:
    with pytest.raises(crucible.ValidationError, match=said) as caught:
        configured.client.update_config({"spare_children": 1, **values})
    assert caught.value.violations
    config = configured.client.config()
    assert (config.version, config["spare_children"]) == (0, 2)
    assert list(configured.client.config_revisions()) == []


@pytest.mark.parametrize("key", ["listen", "data_dir", "store_url", "unit_key", "vm_path", "allow_insecure_listen"])
def test_what_is_set_beside_the_server_only(configured: Configured, key: str) -> None:
    with pytest.raises(crucible.SecurityViolation, match=f"{key}: set beside the server only"):
        configured.client.update_config({key: "x"})


def test_a_stale_version_is_told_both(configured: Configured) -> None:
    configured.client.update_config({"spare_children": 1})
    with pytest.raises(crucible.VersionConflict, match=r"expected version 0 .* version 1 is in force") as caught:
        configured.client.update_config({"spare_children": 3}, expected_version=0)
    assert caught.value.code is grpc.StatusCode.ABORTED
    assert caught.value.metadata == {"expected_version": "0", "current_version": "1"}
    assert caught.value.current_version == 1
    with pytest.raises(crucible.VersionConflict):
        configured.client.revert_config(0, expected_version=7)
    assert configured.client.config()["spare_children"] == 1


def test_of_many_at_once_each_sees_what_it_compared_with(configured: Configured) -> None:
    """Everybody adds one to what they have read; whoever was overtaken reads again."""

    def add() -> None:
        with crucible.Client(configured.server.address) as client:
            for _ in range(5):
                while True:
                    config = client.config("max_stored_scripts")
                    value = config["max_stored_scripts"] + 1
                    try:
                        client.update_config({"max_stored_scripts": value}, expected_version=config.version)
                        break
                    except crucible.VersionConflict:
                        continue

    before = configured.client.config()["max_stored_scripts"]
    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT)
    config = configured.client.config()
    assert (config["max_stored_scripts"], config.version) == (before + 30, 30)
    assert [each.version for each in configured.client.config_revisions(page_size=7)] == list(range(30, 0, -1))


def test_only_checking_changes_nothing(configured: Configured) -> None:
    update = configured.client.update_config({"spare_children": 1}, validate_only=True)
    assert [(change.old, change.new) for change in update.changes] == [(2, 1)]
    assert (update.config.version, update.config["spare_children"]) == (0, 2)
    assert configured.client.update_config({"spare_children": 1}).config.version == 1
    assert configured.client.update_config({"spare_children": 1}).config.version == 1


def test_history_and_revert(configured: Configured) -> None:
    for size in (10, 20, 30):
        configured.client.update_config({"engine.max_cache_size": size})
    update = configured.client.revert_config(1, comment="back")
    assert (update.config.version, update.config["engine.max_cache_size"]) == (4, 10)
    latest = next(configured.client.config_revisions())
    assert (latest.reverted_to, latest.comment) == (1, "back")
    assert [(change.old, change.new) for change in latest.changes] == [(30, 10)]
    assert configured.client.revert_config(0).config["engine.max_cache_size"] == 1000
    with pytest.raises(crucible.RevisionNotFound, match=r"no version 99 .* the newest 1,000 are kept"):
        configured.client.revert_config(99)
    with pytest.raises(crucible.ValidationError, match="at most 500"):
        configured.client.revert_config(0, comment="x" * 501)
    stub = ConfigServiceStub(configured.client._channel)
    tokens = [
        base64.urlsafe_b64encode(f"config:{number}".encode()).decode()
        for number in ("9" * 30, 2**63, 2**64, -1, " 5", "1_0", "", "٣", "9" * 5000)
    ]
    for request in (
        api.ListConfigRevisionsRequest(page_size=-1),
        *(api.ListConfigRevisionsRequest(page_token=token) for token in ("x", "é", *tokens)),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            stub.ListConfigRevisions(request, timeout=TIMEOUT)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, request
    for version in (2**63 - 1, 2**63, 2**64 - 1):
        with pytest.raises(crucible.RevisionNotFound):
            configured.client.revert_config(version)
        with pytest.raises(crucible.VersionConflict):
            configured.client.revert_config(0, expected_version=version)


async def test_whoever_watches_sees_every_state_come(configured: Configured) -> None:
    async with (
        crucible.AsyncClient(configured.server.address) as client,
        client.watch_config("spare_children") as watch,
    ):
        news = aiter(watch)
        first = await anext(news)
        assert {key: entry.value for key, entry in first.entries.items()} == {"spare_children": 2}
        await client.update_config({"spare_children": 5})
        second = await asyncio.wait_for(anext(news), TIMEOUT)
        assert (second.version, second.entries["spare_children"].value) == (1, 5)
        configured.write("spare_children = 7\nx = 1\n")
        third = await asyncio.wait_for(anext(news), TIMEOUT)
        assert "x: there is no such key" in third.file_problem
        assert third.entries == {}
        configured.write("spare_children = 7\n")
        fourth = await asyncio.wait_for(anext(news), TIMEOUT)
        assert fourth.file_problem == ""
        await client.update_config(reset=["spare_children"])
        fifth = await asyncio.wait_for(anext(news), TIMEOUT)
        assert (fifth.entries["spare_children"].value, fifth.entries["spare_children"].layer) == (7, "FILE")


def test_watching_ends_with_the_server(configured: Configured) -> None:
    with configured.client.watch_config() as watch:
        news = iter(watch)
        assert len(next(news).entries) > 40
        configured.server.process.terminate()  # type: ignore[union-attr]
        with pytest.raises(crucible.Unavailable):
            next(news)
    assert configured.server.process is not None
    assert configured.server.process.wait(TIMEOUT) == 0
