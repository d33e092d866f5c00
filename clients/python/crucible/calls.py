"""How the synchronous client makes its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import grpc

from crucible.channel import CALL_TIMEOUT
from crucible.errors import from_rpc_error

Response = TypeVar("Response")


def answer(method: Callable[..., Response], request: Any, deadline: float | None = CALL_TIMEOUT) -> Response:
    """The answer of a call, within `deadline` seconds; raises CrucibleError."""
    try:
        return method(request, timeout=deadline)
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


def pages(method: Callable[..., Any], request: Any) -> Iterator[Any]:
    """Each page is asked for when the one before it has been read: what is held does not grow with the list."""
    while True:
        page = answer(method, request)
        yield page
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token
