"""Server reflection over a real connection: what it finds, what it says of what it does not find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from crucible_server.api.reflection import REFLECTION_SERVICES, add_reflection, load_index, message_classes

SCRIPT_SERVICE = "crucible.v1.ScriptService"
HEALTH = "grpc.health.v1.Health"
REQUEST, RESPONSE = message_classes(load_index())


@pytest.fixture
async def address() -> AsyncIterator[str]:
    server = grpc.aio.server()
    add_reflection(server, [SCRIPT_SERVICE, HEALTH])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def ask(address: str, requests: Sequence[bytes], service: str = REFLECTION_SERVICES[0]) -> list[Any]:
    """Sends all requests on one stream and returns the replies."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(f"/{service}/ServerReflectionInfo", None, None)(iter(requests), timeout=20)
        return [RESPONSE.FromString(reply) async for reply in call]


async def files_for(address: str, **request: Any) -> list[FileDescriptorProto]:
    (reply,) = await ask(address, [REQUEST(**request).SerializeToString()])
    assert not reply.HasField("error_response"), reply.error_response
    return [FileDescriptorProto.FromString(content) for content in reply.file_descriptor_response.file_descriptor_proto]


@pytest.mark.parametrize("service", REFLECTION_SERVICES)
async def test_lists_the_services(address: str, service: str) -> None:
    (reply,) = await ask(address, [REQUEST(list_services="").SerializeToString()], service)
    listed = [entry.name for entry in reply.list_services_response.service]
    assert listed == sorted([SCRIPT_SERVICE, HEALTH, *REFLECTION_SERVICES])


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("crucible.v1.ScriptService", "crucible/v1/script_service.proto"),
        ("crucible.v1.ScriptService.ExecuteScript", "crucible/v1/script_service.proto"),
        ("crucible.v1.Value", "crucible/v1/value.proto"),
        ("crucible.v1.Value.kind", "crucible/v1/value.proto"),
        ("crucible.v1.Value.int_value", "crucible/v1/value.proto"),
        ("crucible.v1.ObjectValue.FieldsEntry", "crucible/v1/value.proto"),
        ("crucible.v1.ErrorKind", "crucible/v1/error.proto"),
        ("crucible.v1.ERROR_KIND_TIMEOUT", "crucible/v1/error.proto"),
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.protobuf.Duration", "google/protobuf/duration.proto"),
        ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
        ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"),
    ],
)
async def test_finds_the_file_of_a_symbol(address: str, symbol: str, file: str) -> None:
    assert (await files_for(address, file_containing_symbol=symbol))[0].name == file


async def test_sends_a_file_with_all_that_it_imports(address: str) -> None:
    files = await files_for(address, file_by_filename="crucible/v1/script_service.proto")
    names = [file.name for file in files]
    assert names[0] == "crucible/v1/script_service.proto"
    assert len(set(names)) == len(names)
    assert {needed for file in files for needed in file.dependency} <= set(names)


async def test_every_element_has_its_comment(address: str) -> None:
    files = await files_for(address, file_by_filename="crucible/v1/script_service.proto")
    for file in files:
        if not file.name.startswith("crucible/"):
            continue
        commented = {tuple(place.path) for place in file.source_code_info.location if place.leading_comments}
        for number, message in enumerate(file.message_type):
            assert (4, number) in commented, f"{file.name}: {message.name}"
            for position, field in enumerate(message.field):
                assert (4, number, 2, position) in commented, f"{file.name}: {message.name}.{field.name}"
        for number, service in enumerate(file.service):
            assert {(6, number, 2, position) for position, _ in enumerate(service.method)} <= commented


@pytest.mark.parametrize(
    "request_fields",
    [
        {"file_by_filename": "crucible/v1/absent.proto"},
        {"file_by_filename": ""},
        {"file_containing_symbol": "crucible.v1.Absent"},
        {"file_containing_symbol": "crucible.v1"},
        {"file_containing_extension": {"containing_type": "crucible.v1.Value", "extension_number": 1000}},
        {"all_extension_numbers_of_type": "crucible.v1.Absent"},
        {"all_extension_numbers_of_type": "crucible.v1.ErrorKind"},
    ],
)
async def test_says_what_it_does_not_find_and_goes_on(address: str, request_fields: dict[str, Any]) -> None:
    unknown = REQUEST(host="here", **request_fields)
    known = REQUEST(file_containing_symbol="crucible.v1.Value")
    first, second = await ask(address, [unknown.SerializeToString(), known.SerializeToString()])
    assert first.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert "not known here" in first.error_response.error_message
    assert first.original_request == unknown
    assert first.valid_host == "here"
    assert second.HasField("file_descriptor_response")


async def test_knows_that_a_message_has_no_extensions(address: str) -> None:
    (reply,) = await ask(address, [REQUEST(all_extension_numbers_of_type="crucible.v1.Value").SerializeToString()])
    assert reply.all_extension_numbers_response.base_type_name == "crucible.v1.Value"
    assert not reply.all_extension_numbers_response.extension_number


async def test_an_empty_request_is_answered_with_what_was_expected(address: str) -> None:
    (reply,) = await ask(address, [b""])
    assert reply.error_response.error_code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "file_containing_symbol" in reply.error_response.error_message


async def test_bytes_that_are_no_request_are_an_invalid_argument(address: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(address, [b"\xff\xff\xff"])
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_many_requests_share_a_stream(address: str) -> None:
    request = REQUEST(file_containing_symbol="crucible.v1.Value").SerializeToString()
    replies = await ask(address, [request] * 200)
    assert len(replies) == 200
    assert all(reply.HasField("file_descriptor_response") for reply in replies)


async def test_refuses_to_promise_a_service_that_it_cannot_describe() -> None:
    with pytest.raises(ValueError, match=r"crucible\.v1\.Absent"):
        add_reflection(grpc.aio.server(), ["crucible.v1.Absent"])
