"""How RPCs enter: raw bytes in, messages decoded here, every error through the one table.

grpcio answers an undecodable request with INTERNAL; here it is INVALID_ARGUMENT, as it is the caller's doing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import unquote

import grpc
import structlog
from google.protobuf.message import DecodeError, Message

from crucible_server.api import errors
from crucible_server.errors import ErrorKind, ServiceError, invalid
from crucible_server.policy.principals import LOCAL, REMOTE, Caller
from crucible_server.policy.roles import Role
from crucible_server.store import StoreError

Context = grpc.aio.ServicerContext[bytes, Message]
Unary = Callable[[Any, Context], Awaitable[Message]]
Stream = Callable[[Any, Context], AsyncIterator[Message]]

note_error: ContextVar[Callable[[Caller, ServiceError], None]] = ContextVar("note_error")
"""Told of every error of the service that a call ends with, in the task of that call."""

log = structlog.get_logger()


def caller(context: Context) -> Caller:
    """Who makes this call."""
    return LOCAL if _is_near(context.peer()) else REMOTE


def operator(context: Context) -> Caller:
    """Who makes this call, if they operate the server. Raises ServiceError (SECURITY_VIOLATION) for others."""
    who = caller(context)
    if Role.OPERATOR not in who.roles:
        raise ServiceError(
            ErrorKind.ERROR_KIND_SECURITY_VIOLATION,
            "expected a caller with the role `operator`: until the server knows identities, one on its own machine",
        )
    return who


@lru_cache(maxsize=1024)
def _is_near(peer: str) -> bool:
    """Whether a peer, as gRPC names it, is on this machine."""
    kind, _, rest = peer.partition(":")
    if kind == "unix":
        return True
    try:
        address = ipaddress.ip_address(unquote(rest).rpartition(":")[0].strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def required_id(execution_id: str) -> str:
    """The id of an execution, which must be given. Raises ServiceError (VALIDATION_ERROR)."""
    if not execution_id:
        raise invalid("execution_id", "expected the id of an execution, got an empty one")
    return execution_id


async def abort(context: Context, error: ServiceError) -> NoReturn:
    """Ends a call with an error status."""
    code, message, details = errors.to_status(error)
    await context.abort(code, message, (("grpc-status-details-bin", details),))


async def _translate(context: Context, error: Exception) -> NoReturn:
    if isinstance(error, ServiceError):
        if (note := note_error.get(None)) is not None:
            note(caller(context), error)
        await abort(context, error)
    if isinstance(error, StoreError):
        await abort(context, errors.of_store(error))
    log.error("rpc_failed", exc_info=error)
    await abort(
        context,
        ServiceError(
            ErrorKind.ERROR_KIND_INTERNAL_ERROR,
            f"a fault of the server ({type(error).__name__}); see its log",
        ),
    )


def _decode(request_type: type[Message], data: bytes) -> Message:
    try:
        return request_type.FromString(data)
    except DecodeError:
        raise ServiceError(
            ErrorKind.ERROR_KIND_VALIDATION_ERROR,
            f"the request is no {request_type.DESCRIPTOR.full_name}: it cannot be decoded, nests too deeply, or a "
            "string in it is not UTF-8",
        ) from None


def unary(request_type: type[Message], behavior: Unary) -> grpc.RpcMethodHandler[bytes, Message]:
    """A handler of one request and one response."""

    async def handle(data: bytes, context: Context) -> Message:
        try:
            return await behavior(_decode(request_type, data), context)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _translate(context, error)

    return grpc.unary_unary_rpc_method_handler(handle, response_serializer=_serialize)


def stream(request_type: type[Message], behavior: Stream) -> grpc.RpcMethodHandler[bytes, Message]:
    """A handler of one request and a stream of responses."""

    async def handle(data: bytes, context: Context) -> AsyncIterator[Message]:
        try:
            async for response in behavior(_decode(request_type, data), context):
                yield response
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await _translate(context, error)

    return grpc.unary_stream_rpc_method_handler(handle, response_serializer=_serialize)


def _serialize(response: Message) -> bytes:
    return response.SerializeToString()
