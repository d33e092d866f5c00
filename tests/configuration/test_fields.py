"""The configuration that the contract names field by field: filled, and set by masks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from crucible.v1 import config_pb2, security_pb2
from crucible.v1 import config_service_pb2 as api
from crucible.v1.config_service_pb2_grpc import ConfigServiceStub
from tests.configuration.conftest import TIMEOUT, Configured


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


def fields_of(message: Message, path: str = "") -> Iterator[tuple[str, Message, Any]]:
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
    unset: dict[str, object] = {
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
