"""Server reflection, `grpc.reflection.v1` and `v1alpha`, with the comments of the .proto files.

It serves the descriptors that `proto/generate.py` wrote to `reflection.binpb`. Descriptors out of the
generated Python modules would lack the comments, and with them what a person at a shell wants to read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Any

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import DecodeError

REFLECTION_SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_DESCRIPTORS = "reflection.binpb"


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Adds both versions of the reflection service to a server that has not started.

    `services` are the full names of the other services on this server. Raises ValueError for one whose
    descriptor is not among the generated ones.
    """
    index = load_index()
    for service in services:
        if service not in index.symbols:
            known = "it is not in reflection.binpb; add its file to proto/generate.py and run `make gen`"
            message = f"cannot describe the service {service}: {known}"
            raise ValueError(message)
    handler = ReflectionServicer(index, [*services, *REFLECTION_SERVICES])
    # Requests come as bytes: gRPC would answer an undecodable one with UNKNOWN.
    method = grpc.stream_stream_rpc_method_handler(handler.info)
    server.add_generic_rpc_handlers(
        tuple(
            grpc.method_handlers_generic_handler(service, {"ServerReflectionInfo": method})
            for service in REFLECTION_SERVICES
        )
    )


@cache
def load_index() -> DescriptorIndex:
    """The generated descriptors, read once."""
    content = resources.files(__package__).joinpath(_DESCRIPTORS).read_bytes()
    return DescriptorIndex(FileDescriptorSet.FromString(content))


class DescriptorIndex:
    """Files by name, and the file that declares each symbol and each extension."""

    def __init__(self, descriptors: FileDescriptorSet) -> None:
        self.files: dict[str, FileDescriptorProto] = {file.name: file for file in descriptors.file}
        self.symbols: dict[str, str] = {}
        self.messages: set[str] = set()
        self.extensions: dict[str, dict[int, str]] = {}
        self._replies: dict[str, list[bytes]] = {}
        for file in descriptors.file:
            self._add_file(file)

    def with_dependencies(self, file_name: str) -> list[bytes]:
        """The file and all that it imports, directly or not, serialized; the file itself comes first."""
        if file_name not in self._replies:
            names = [file_name]
            for name in names:
                names += [needed for needed in self.files[name].dependency if needed not in names]
            self._replies[file_name] = [self.files[name].SerializeToString() for name in names]
        return self._replies[file_name]

    def _add_file(self, file: FileDescriptorProto) -> None:
        prefix = f"{file.package}." if file.package else ""
        for service in file.service:
            self.symbols[prefix + service.name] = file.name
            for method in service.method:
                self.symbols[f"{prefix}{service.name}.{method.name}"] = file.name
        for message in file.message_type:
            self._add_message(file.name, prefix, message)
        self._add_scope(file.name, prefix, file.enum_type, file.extension)

    def _add_message(self, file: str, prefix: str, message: DescriptorProto) -> None:
        name = prefix + message.name
        self.messages.add(name)
        self.symbols[name] = file
        for part in [field.name for field in message.field] + [oneof.name for oneof in message.oneof_decl]:
            self.symbols[f"{name}.{part}"] = file
        for nested in message.nested_type:
            self._add_message(file, f"{name}.", nested)
        self._add_scope(file, f"{name}.", message.enum_type, message.extension)

    def _add_scope(
        self,
        file: str,
        prefix: str,
        enums: Sequence[EnumDescriptorProto],
        extensions: Sequence[FieldDescriptorProto],
    ) -> None:
        for enum in enums:
            # An enum's values are siblings of the enum, not its children.
            for name in (enum.name, *(value.name for value in enum.value)):
                self.symbols[prefix + name] = file
        for extension in extensions:
            self.symbols[prefix + extension.name] = file
            self.extensions.setdefault(extension.extendee.lstrip("."), {})[extension.number] = file


class ReflectionServicer:
    """Answers one stream of reflection requests; both versions have the same messages on the wire."""

    def __init__(self, index: DescriptorIndex, services: Sequence[str]) -> None:
        self._index = index
        self._services = sorted(services)
        self._request_class, self._response_class = message_classes(index)

    async def info(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        """ServerReflectionInfo: one reply per request; what is not found is said in the reply."""
        async for content in requests:
            try:
                request = self._request_class.FromString(content)
            except DecodeError:
                await context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"expected a ServerReflectionRequest, got {len(content)} bytes that are none",
                )
            yield self._answer(request).SerializeToString()

    def _answer(self, request: Any) -> Any:
        response = self._response_class(valid_host=request.host, original_request=request)
        index = self._index
        match request.WhichOneof("message_request"):
            case "list_services":
                for name in self._services:
                    response.list_services_response.service.add(name=name)
            case "file_by_filename":
                name = request.file_by_filename
                self._send_file(response, name if name in index.files else None, f"file {name!r}")
            case "file_containing_symbol":
                symbol = request.file_containing_symbol
                self._send_file(response, index.symbols.get(symbol.lstrip(".")), f"symbol {symbol!r}")
            case "file_containing_extension":
                wanted = request.file_containing_extension
                extended, number = wanted.containing_type, wanted.extension_number
                file = index.extensions.get(extended, {}).get(number)
                self._send_file(response, file, f"extension {number} of {extended!r}")
            case "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                if name in index.messages:
                    response.all_extension_numbers_response.base_type_name = name
                    numbers = sorted(index.extensions.get(name, {}))
                    response.all_extension_numbers_response.extension_number.extend(numbers)
                else:
                    _set_error(response, grpc.StatusCode.NOT_FOUND, f"message type {name!r} is not known here")
            case _:
                expected = ", ".join(_members(self._request_class))
                _set_error(response, grpc.StatusCode.INVALID_ARGUMENT, f"expected one of {expected}; none is set")
        return response

    def _send_file(self, response: Any, file: str | None, what: str) -> None:
        if file is None:
            _set_error(response, grpc.StatusCode.NOT_FOUND, f"{what} is not known here; list_services names a start")
        else:
            response.file_descriptor_response.file_descriptor_proto.extend(self._index.with_dependencies(file))


def _set_error(response: Any, code: grpc.StatusCode, message: str) -> None:
    response.error_response.error_code = code.value[0]
    response.error_response.error_message = message


def _members(request_class: Any) -> Iterator[str]:
    return (field.name for field in request_class.DESCRIPTOR.oneofs_by_name["message_request"].fields)


def message_classes(index: DescriptorIndex) -> tuple[Any, Any]:
    """Request and response classes of `grpc.reflection.v1`; `v1alpha` is the same on the wire."""
    # Made from the descriptors: generated modules would have to lie in `grpc/`, which belongs to grpcio.
    pool = descriptor_pool.DescriptorPool()
    pool.Add(index.files["grpc/reflection/v1/reflection.proto"])
    names = ("grpc.reflection.v1.ServerReflectionRequest", "grpc.reflection.v1.ServerReflectionResponse")
    request, response = (message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names)
    return request, response
