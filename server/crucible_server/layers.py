"""Layers of isolation that have to be in force, whoever gives them."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from crucible.v1 import server_info_pb2
from crucible_server.errors import ErrorKind, ServiceError

Layer = server_info_pb2.IsolationLayer


def mark_required(layers: Iterable[Layer], require: Collection[str]) -> None:
    """Says of those that the operator requires that they are required; the others stay what they are."""
    for layer in layers:
        layer.required = layer.required or layer.name in require


def check_required(layers: Iterable[Layer]) -> None:
    """Raises ServiceError (CONFIGURATION_ERROR) when one is required and not active."""
    for layer in layers:
        if layer.required and not layer.active:
            raise not_isolated(f"{layer.name} is required and not active: {layer.detail}")


def not_isolated(why: str) -> ServiceError:
    """The error of a server that would not be as isolated as it has to be."""
    return ServiceError(
        ErrorKind.ERROR_KIND_CONFIGURATION_ERROR,
        f"the isolation is not what it has to be: {why}; `crucible doctor` says what this machine gives, "
        "require_isolation in the configuration what has to be",
    )
