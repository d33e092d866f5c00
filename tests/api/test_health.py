"""HealthCheck, GetServerInfo, grpc.health.v1 and reflection of a real server: that what they say is true."""

from __future__ import annotations

import os
import time
from contextlib import suppress

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

import crucible
from crucible.v1 import security_pb2, server_info_pb2
from crucible_server.api.reflection import REFLECTION_SERVICES, load_index, message_classes
from crucible_server.config.isolation import LAYERS
from tests.servers import RunningServer, children_of

LOOP = 'pub fn main() { println!("up"); loop {} }'
MIB = 1024 * 1024
SERVICES = tuple(f"crucible.v1.{name}Service" for name in ("Script", "Event", "Registry", "Config"))
NAMESPACES = {"pid_namespace": "pid", "net_namespace": "net", "mount_namespace": "mnt"}
TIMEOUT = 30.0


def details(client: crucible.Client) -> dict[str, int]:
    return {name: value.int_value for name, value in client.health().details.items() if name != "success_rate"}


def test_figures_follow_what_happens(client: crucible.Client) -> None:
    wait_for_rest(client)
    source = f"// {time.time_ns()}\n{LOOP}"
    before = details(client)
    assert before["active_executions"] == before["queued_executions"] == 0
    with client.stream(source) as stream:
        next(iter(stream))
        assert details(client)["active_executions"] == 1
    wait_for_rest(client)
    with pytest.raises(crucible.ExecutionFailed):
        client.run('pub fn main() { panic!("no") }')
    client.run("pub fn main() { 1 }")
    client.run("pub fn main() { 1 }")
    after = details(client)
    assert after["total_executions"] == before["total_executions"] + 4
    assert after["cache_size"] > before["cache_size"]
    assert after["cache_bytes"] > before["cache_bytes"]
    assert after["cache_misses"] > before["cache_misses"]
    assert after["cache_hits"] > before["cache_hits"]
    assert after["interpreter_restarts"] == before["interpreter_restarts"]
    assert 0 < client.health().details["success_rate"].double_value < 100


def wait_for_rest(client: crucible.Client) -> None:
    deadline = time.monotonic() + TIMEOUT
    while details(client)["active_executions"]:
        assert time.monotonic() < deadline, "something still runs"
        time.sleep(0.01)


def test_a_healthy_server_says_so(client: crucible.Client) -> None:
    health = client.health()
    assert health.status == server_info_pb2.SERVICE_STATUS_HEALTHY
    assert abs(health.timestamp.ToNanoseconds() - time.time_ns()) < 60 * 10**9


def test_layers_that_are_required_are_active(client: crucible.Client) -> None:
    layers = {layer.name: layer for layer in client.health().isolation_layers}
    assert set(layers) == set(LAYERS)
    assert all(layer.active for layer in layers.values() if layer.required)
    for name in ("seccomp", "no_new_privs", "rlimits"):
        assert layers[name].required
    # A layer that is missing is named, and says why.
    assert all(layer.detail for layer in layers.values() if not layer.active)
    assert client.server_info().isolation_layers == list(layers.values())


def test_layers_are_what_the_kernel_says(server: RunningServer, client: crucible.Client) -> None:
    layers = {layer.name: layer.active for layer in client.health().isolation_layers}
    with client.stream(LOOP) as stream:
        next(iter(stream))
        looked_at = 0
        for pid in children_of(server.zygote_pid()):
            # A spare that is not needed may have ended meanwhile.
            with suppress(FileNotFoundError, PermissionError, ProcessLookupError):
                for layer, namespace in NAMESPACES.items():
                    own = os.readlink(f"/proc/{pid}/ns/{namespace}") != os.readlink(f"/proc/self/ns/{namespace}")
                    assert own == layers[layer], layer
                looked_at += 1
        assert looked_at


def test_versions_and_identity(client: crucible.Client) -> None:
    info = client.server_info()
    assert info.rune_version.count(".") == 2
    assert info.rune_patch_level
    assert info.version
    assert info.vm_protocol_version == 1
    assert info.instance_id == client.server_info().instance_id
    assert 0 < time.time_ns() - info.start_time.ToNanoseconds() < 3600 * 10**9
    assert info.max_value_depth == 32
    assert info.max_unary_output_bytes == 256 * 1024
    assert info.max_request_bytes == 4 * MIB
    assert info.execution_retention.ToTimedelta().days == 7


def test_levels_and_their_limits(client: crucible.Client) -> None:
    info = client.server_info()
    assert info.default_security_level == security_pb2.SECURITY_LEVEL_SAFE
    levels = {level.level: level for level in info.security_levels}
    safe = levels[security_pb2.SECURITY_LEVEL_SAFE]
    assert safe.enabled
    assert safe.limits.max_memory_bytes == 50 * MIB
    assert safe.limits.max_execution_time.seconds == 10
    assert safe.limits.max_cpu_percentage == 50.0
    assert safe.limits.max_concurrent_operations == 10
    assert safe.modules == ["crucible::basic"]
    production = levels[security_pb2.SECURITY_LEVEL_PRODUCTION]
    assert production.enabled
    assert (production.limits.max_memory_bytes, production.limits.max_execution_time.seconds) == (100 * MIB, 30)
    development = levels[security_pb2.SECURITY_LEVEL_DEVELOPMENT]
    assert not development.enabled
    assert "allow_development" in development.disabled_reason


def test_limits_of_the_record_are_those_that_were_said(client: crucible.Client) -> None:
    safe = client.server_info().security_levels[0]
    result = client.run("pub fn main() { 1 }")
    assert client.get_execution(result.execution_id).message.limits == safe.limits
    result = client.run("pub fn main() { 1 }", limits={"max_operations": 5000}, timeout=3)
    limits = client.get_execution(result.execution_id).message.limits
    assert (limits.max_operations, limits.max_execution_time.seconds) == (5000, 3)


def test_the_catalogue_names_what_scripts_can_call(client: crucible.Client) -> None:
    info = client.server_info()
    (basic,) = [module for module in info.modules if module.name == "crucible::basic"]
    assert basic.doc
    assert all(function.doc and function.signature for function in basic.functions)
    functions = {function.name: function for function in basic.functions}
    assert {"eprintln", "log", "env"} <= {name.rstrip("!") for name in functions}
    assert functions["log"].host_call == "crucible.basic.log"
    for level in info.security_levels:
        assert set(level.modules) <= {module.name for module in info.modules}


def test_grpc_health(server: RunningServer) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", "crucible.v1.ScriptService"):
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.RpcError) as raised:
            stub.Check(health_pb2.HealthCheckRequest(service="absent"), timeout=TIMEOUT)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("service", REFLECTION_SERVICES)
def test_reflection_lists_exactly_what_is_served(server: RunningServer, service: str) -> None:
    request, response = message_classes(load_index())
    with grpc.insecure_channel(server.address) as channel:
        call = channel.stream_stream(f"/{service}/ServerReflectionInfo", None, None)
        (reply,) = call(iter([request(list_services="").SerializeToString()]), timeout=TIMEOUT)
    listed = {entry.name for entry in response.FromString(reply).list_services_response.service}
    assert listed == {*SERVICES, "grpc.health.v1.Health", *REFLECTION_SERVICES}
