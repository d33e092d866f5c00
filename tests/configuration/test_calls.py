"""ConfigService on a real server: read, changed all or nothing, compared, kept, reverted, watched."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

import crucible
from crucible.v1 import config_pb2, security_pb2, server_info_pb2
from crucible.v1 import config_service_pb2 as api
from crucible.v1.config_service_pb2_grpc import ConfigServiceStub
from crucible_server.config import Effect, HealthCheckConfig, ServerConfig, all_keys, load_config, value_at
from crucible_server.configuration import Configuration
from crucible_server.errors import ServiceError
from crucible_server.store import Store
from tests.configuration.conftest import TIMEOUT, Configured, wait_until
from tests.conftest import StartServer
from tests.servers import own_address


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
        ({"engine.security_level": "development"}, "security_level: .* needs `allow_development"),
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


def test_the_largest_of_everything_works(configured: Configured) -> None:
    """All at once what is at most taken, and executions still run, are stored and found, also after a restart."""
    largest: dict[str, object] = {}
    for key in all_keys(ServerConfig):
        if key.effect is Effect.LOCAL or key.path.startswith("engine.discovery") or key.section is HealthCheckConfig:
            continue
        value = value_at(ServerConfig(), key)
        for most in (2**53, 36500 * 86400.0, 2**31 - 1, 32 * 2**20, 2**20, 1_000_000, 32768, 1024, 256, 64):
            if isinstance(value, bool) or not isinstance(value, (int, float, type(None))):
                break
            try:
                configured.client.update_config({key.path: most}, validate_only=True)
            except crucible.ValidationError:
                continue
            largest[key.path] = most
            break
    # Two that are said of each child beforehand, on a machine that has not as much.
    for name in ("engine.resource_limits.max_memory_bytes", "spare_children", "max_spare_children"):
        largest.pop(name, None)
    assert len(largest) > 30
    configured.client.update_config(largest)
    for restarts in (False, True):
        if restarts:
            configured.restart()
        result = configured.client.run("pub fn main() { 1 }")
        assert configured.client.get_execution(result.execution_id).state == "SUCCEEDED"
        assert configured.client.server_info().max_stored_executions == 2**53
        assert configured.client.config()["execution_retention"] == 36500 * 86400.0
        assert configured.client.health().status == server_info_pb2.SERVICE_STATUS_HEALTHY
    assert not any("Traceback" in line or "_failed" in line for line in configured.server.log)


async def test_what_an_applier_cannot_take_is_not_stored(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/crucible.db")
    configuration = Configuration(load_config(None, {"data_dir": tmp_path}))
    await configuration.open(store)

    def check(config: ServerConfig) -> None:
        if config.grace_period == 7:
            raise OverflowError("too much for this machine")

    configuration.checks.append(check)
    with pytest.raises(ServiceError, match="cannot be put in force: too much for this machine"):
        await configuration.update({"grace_period": 7}, [], expected=None, principal="anna", comment="")
    assert await store.latest_config_revision() is None
    assert (configuration.version, configuration.config.grace_period) == (0, 10.0)
    await store.close()


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


def test_fields_with_a_mask(configured: Configured) -> None:
    stub = ConfigServiceStub(configured.client._channel)
    engine = config_pb2.ScriptEngineConfig(
        max_cache_size=77,
        default_execution_timeout=Duration(seconds=4),
        security_level=security_pb2.SECURITY_LEVEL_PRODUCTION,
        resource_limits=security_pb2.ResourceLimits(max_operations=99),
    )
    engine.discovery.endpoints.append("127.0.0.1:7")
    paths = [
        "default_execution_timeout",
        "security_level",
        "resource_limits.max_operations",
        "resource_limits.max_memory_bytes",
        "discovery.endpoints",
    ]
    request = api.UpdateConfigRequest(engine=engine, update_mask=FieldMask(paths=paths))
    config = stub.UpdateConfig(request, timeout=TIMEOUT).config
    assert config.engine.max_cache_size == 1000
    assert config.engine.default_execution_timeout.seconds == 4
    assert config.engine.resource_limits.max_operations == 99
    assert not config.engine.resource_limits.HasField("max_memory_bytes")
    info = configured.client.server_info()
    assert info.default_security_level == security_pb2.SECURITY_LEVEL_PRODUCTION
    for path in ("nonsense", "max_cache_size.x", "resource_limits.max_source_bytes", ""):
        with pytest.raises(grpc.RpcError) as caught:
            stub.UpdateConfig(api.UpdateConfigRequest(update_mask=FieldMask(paths=[path])), timeout=TIMEOUT)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT, path
    request.values["engine.default_execution_timeout"].int_value = 3
    with pytest.raises(grpc.RpcError) as caught:
        stub.UpdateConfig(request, timeout=TIMEOUT)
    assert "once" in str(caught.value.details())
    with pytest.raises(grpc.RpcError) as caught:
        stub.UpdateConfig(api.UpdateConfigRequest(), timeout=TIMEOUT)
    assert "something to change" in str(caught.value.details())


def fields_of(message: Message, path: str = "") -> Iterator[tuple[str, Message, FieldDescriptor]]:
    """Every field of the contract's configuration with its path and the message that has it."""
    for field in message.DESCRIPTOR.fields:
        # Limits of executions that follow from other keys.
        if field.name in ("max_source_bytes", "max_cpu_time"):
            continue
        below = getattr(message, field.name)
        if isinstance(below, Message) and not isinstance(below, Duration):
            yield from fields_of(below, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}", message, field


def test_every_field_is_filled_and_can_be_set(configured: Configured) -> None:
    client = configured.client
    unset = {
        f"engine.resource_limits.{name}": 7
        for name in ("max_network_requests", "max_operations", "max_native_depth", "max_host_calls")
    }
    unset |= {f"engine.resource_limits.{name}": "7MiB" for name in ("max_output_bytes", "max_return_bytes")}
    unset |= {"engine.resource_limits.max_execution_time": "7s", "engine.discovery.endpoints": ["127.0.0.1:7"]}
    client.update_config(unset)
    configured.restart()
    stub = ConfigServiceStub(configured.client._channel)
    engine = stub.GetConfig(api.GetConfigRequest(), timeout=TIMEOUT).config.engine
    found = list(fields_of(engine))
    assert {"discovery.refresh_interval", "resource_limits.max_operations"} < {path for path, _, _ in found}
    for path, message, field in found:
        assert message.HasField(field.name) if field.has_presence else getattr(message, field.name), path
        mask = FieldMask(paths=[path])
        stub.UpdateConfig(api.UpdateConfigRequest(engine=engine, update_mask=mask, validate_only=True), timeout=TIMEOUT)
    assert (engine.discovery.refresh_interval.seconds, engine.security_level) == (10, 1)
    sections = [field.name for field in engine.DESCRIPTOR.fields if field.message_type is not None]
    whole = FieldMask(paths=sections)
    request = api.UpdateConfigRequest(engine=engine, update_mask=whole)
    request.engine.discovery.refresh_interval.FromSeconds(4)
    assert configured.client.config()["engine.discovery.refresh_interval"] == 10.0
    assert [change.key for change in stub.UpdateConfig(request, timeout=TIMEOUT).changes] == [
        "engine.discovery.refresh_interval"
    ]


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


def test_what_no_longer_fits_the_file_stops_the_start(configured: Configured) -> None:
    configured.client.update_config({"engine.health_check.timeout": "4s"})
    configured.client.close()
    configured.server.terminate()
    configured.write('engine.health_check.interval = "3s"\n')
    with pytest.raises(AssertionError, match="at most the interval"):
        configured.server.start()
    assert any("--leave-config-service" in line for line in configured.server.log)
    configured.server.words = (*configured.server.words, "--leave-config-service")
    configured.server.start()
    configured.client = crucible.Client(configured.server.address)
    config = configured.client.config("engine.health_check")
    assert (config.version, config["engine.health_check.timeout"]) == (1, 2.0)
    assert configured.client.update_config({"spare_children": 1}).config.version == 2
    configured.restart()
    assert configured.client.config()["engine.health_check.timeout"] == 2.0


@pytest.fixture
def left_aside(configured: Configured) -> Configured:
    """A server that was started without what calls have set, some of which does not fit its file."""
    configured.client.update_config({"engine.health_check.timeout": "4s", "spare_children": 1})
    configured.write('engine.health_check.interval = "3s"\n')
    configured.restart("--leave-config-service")
    config = configured.client.config()
    assert (config.version, config["engine.health_check.timeout"], config["spare_children"]) == (1, 2.0, 2)
    return configured


def test_what_was_left_aside_is_taken_back_by_key(left_aside: Configured) -> None:
    update = left_aside.client.update_config(reset=["engine.health_check.timeout"], expected_version=1)
    assert update.config.version == 2
    assert {each.key: (each.old, each.new) for each in update.changes} == {
        "engine.health_check.timeout": (4.0, 2.0),
        "spare_children": (2, 1),
    }
    left_aside.restart()
    config = left_aside.client.config()
    assert (config["engine.health_check.timeout"], config["spare_children"]) == (2.0, 1)


def test_what_was_left_aside_is_taken_back_whole(left_aside: Configured) -> None:
    update = left_aside.client.revert_config(0)
    assert update.config.version == 2
    assert {each.key: (each.old, each.new) for each in update.changes} == {
        "engine.health_check.timeout": (4.0, 2.0),
        "spare_children": (1, 2),
    }
    (latest, _) = left_aside.client.config_revisions()
    assert (latest.values, len(latest.changes)) == ({}, 2)
    left_aside.restart()
    assert left_aside.client.config()["spare_children"] == 2


def test_taking_back_what_leaves_the_rest_unfit_is_refused(left_aside: Configured) -> None:
    with pytest.raises(crucible.ValidationError, match=r"health_check\.timeout: expected at most the interval"):
        left_aside.client.update_config(reset=["spare_children"])
    assert left_aside.client.config().version == 1


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
        assert "VAULT_NAME" in near.health().reasons[0].message
        health = far.health()
        assert [reason.code for reason in health.reasons] == ["configuration_refused"]
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
    wait_until(lambda: any("unit_key: another secret" in line for line in configured.server.log), "not noticed")
    told = json.dumps([str(config.message), str(configured.client.config().message), configured.server.log])
    assert key not in told
    assert key[::-1] not in told
