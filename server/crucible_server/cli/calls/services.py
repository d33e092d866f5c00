"""Registered services: listing, registering, watching, unregistering."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from crucible import AsyncClient
from crucible.v1 import registry_pb2, server_info_pb2
from crucible.v1 import registry_service_pb2 as pb
from crucible_server.cli.calls.arguments import duration
from crucible_server.cli.calls.batch import each
from crucible_server.cli.calls.connection import answer, complete, connect
from crucible_server.cli.calls.plain import emit_json, enum_word, plain
from crucible_server.cli.calls.times import day_time, seconds
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import emit_sheet, emit_table
from crucible_server.cli.terminal import CommandError, emit, visible

_PAGE = 1000
_BEATS = 3
"""Heartbeats in the time of a lease."""

Service = registry_pb2.RegisteredService


@dataclass(frozen=True)
class Registration:
    """What `register` was asked for, in the words of the command line."""

    service_id: str
    service_type: str
    endpoint: str
    version: str
    health_url: str
    metadata: Sequence[str]
    lease: str | None
    keep: bool


def list_services(service_type: str, metadata: Sequence[str], healthy: bool, *, server: str, as_json: bool) -> None:
    """Prints a list. Raises CommandError."""
    found = complete(_discover(_filter(service_type, metadata, healthy), server))
    if as_json:
        emit_json({"services": [plain(service) for service in found]})
        return
    rows = (
        (
            service.info.service_id,
            service.info.service_type,
            _status(service),
            service.info.endpoint,
            service.info.version,
            day_time(service.lease_expire_time),
        )
        for service in found
    )
    emit_table(("SERVICE", "TYPE", "STATUS", "ENDPOINT", "VERSION", "UNTIL"), rows, shrink=("ENDPOINT",))


async def _discover(wanted: registry_pb2.ServiceFilter, server: str) -> list[Service]:
    found: list[Service] = []
    request = pb.DiscoverServicesRequest(filter=wanted, page_size=_PAGE)
    async with connect(server) as client:
        while True:
            page: pb.DiscoverServicesResponse = await answer(client.registry_stub.DiscoverServices, request)
            found += page.services
            request.page_token = page.next_page_token
            if not request.page_token:
                return found


def register_service(registration: Registration, *, server: str, as_json: bool) -> None:
    """Registers a service; keeps it registered if so asked. Raises CommandError."""
    request = pb.RegisterServiceRequest(
        service=registry_pb2.ServiceInfo(
            service_id=registration.service_id,
            service_type=registration.service_type,
            version=registration.version,
            endpoint=registration.endpoint,
            health_check_url=registration.health_url,
            metadata=_facts(registration.metadata),
        ),
        lease=None if registration.lease is None else duration(registration.lease, "--lease"),
    )
    complete(_register(request, registration.keep, server, as_json))


async def _register(request: pb.RegisterServiceRequest, keep: bool, server: str, as_json: bool) -> None:
    async with connect(server) as client:
        response: pb.RegisterServiceResponse = await answer(client.registry_stub.RegisterService, request)
        service = response.service
        if as_json:
            emit_json(plain(service))
        else:
            emit_sheet(
                (
                    ("service", service.info.service_id),
                    ("status", f"{_status(service)}: {service.status_message}"),
                    ("lease", f"{seconds(service.lease):g} s, until {day_time(service.lease_expire_time)}"),
                    ("replaced", "yes: it was registered before" if response.replaced else ""),
                )
            )
        if keep:
            await _keep(client, request, seconds(service.lease))


async def _keep(client: AsyncClient, request: pb.RegisterServiceRequest, lease: float) -> None:
    service_id = request.service.service_id
    try:
        while True:
            await asyncio.sleep(lease / _BEATS)
            try:
                await answer(client.registry_stub.Heartbeat, pb.HeartbeatRequest(service_id=service_id))
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    emit(sys.stderr, f"{service_id}: its lease had expired; registered again\n")
                    await answer(client.registry_stub.RegisterService, request)
                elif error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
    finally:
        with contextlib.suppress(grpc.RpcError):
            gone = pb.UnregisterServiceRequest(service_id=service_id, reason="the command that kept it was ended")
            await answer(client.registry_stub.UnregisterService, gone)


def unregister_services(ids: Sequence[str], *, reason: str, server: str, as_json: bool) -> Exit:
    """Takes each back; the exit code of the worst."""

    async def unregister(client: AsyncClient, service_id: str) -> str:
        request = pb.UnregisterServiceRequest(service_id=service_id, reason=reason)
        await answer(client.registry_stub.UnregisterService, request)
        return "unregistered"

    return each(server, ids, unregister, as_json=as_json)


def watch_services(
    service_type: str, metadata: Sequence[str], healthy: bool, *, count: int | None, server: str, as_json: bool
) -> None:
    """Prints what there is and every change, `count` messages of it or without end. Raises CommandError."""
    complete(_watch(_filter(service_type, metadata, healthy), count, server, as_json))


async def _watch(wanted: registry_pb2.ServiceFilter, count: int | None, server: str, as_json: bool) -> None:
    left = count
    async with connect(server) as client:
        async for change in client.registry_stub.WatchServices(pb.WatchServicesRequest(filter=wanted)):
            if as_json:
                emit_json(plain(change))
            else:
                lines = [f"{each.info.service_id}: {_status(each)} at {each.info.endpoint}" for each in change.services]
                lines += [f"{service_id}: gone" for service_id in change.removed_service_ids]
                emit(sys.stdout, "".join(f"{visible(line)}\n" for line in lines))
            if left is not None and not change.more and (left := left - 1) <= 0:
                return
    raise CommandError(Exit.UNREACHABLE, "the server ended the watch: is it being stopped?")


def _status(service: Service) -> str:
    return enum_word(server_info_pb2.ServiceStatus.DESCRIPTOR, service.status)


def _filter(service_type: str, metadata: Sequence[str], healthy: bool) -> registry_pb2.ServiceFilter:
    return registry_pb2.ServiceFilter(service_type=service_type, metadata=_facts(metadata), healthy_only=healthy)


def _facts(words: Sequence[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise CommandError(Exit.USAGE, f"--metadata {word!r}: expected NAME=VALUE, such as --metadata zone=a")
        facts[name] = value
    return facts
