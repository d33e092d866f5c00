"""ConfigService: translates requests, calls the configuration, translates back."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc

from crucible.v1 import config_pb2
from crucible.v1 import config_service_pb2 as pb
from crucible_server.api import handlers
from crucible_server.api.handlers import Context
from crucible_server.configuration import Configuration, entries, fields
from crucible_server.engine import values
from crucible_server.errors import invalid

SERVICE = pb.DESCRIPTOR.services_by_name["ConfigService"].full_name
_DEFAULT_PAGE = 50
_MAX_PAGE = 1000
_LATEST = (1 << 63) - 1
_TOKEN = re.compile(r"config:([0-9]{1,19})")


class ConfigService:
    """The thin side of the contract; every call is for operators."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers every RPC of the service."""
        served = {
            "GetConfig": handlers.unary(pb.GetConfigRequest, self._get),
            "UpdateConfig": handlers.unary(pb.UpdateConfigRequest, self._update),
            "WatchConfig": handlers.stream(pb.WatchConfigRequest, self._watch),
            "ListConfigRevisions": handlers.unary(pb.ListConfigRevisionsRequest, self._list),
            "RevertConfig": handlers.unary(pb.RevertConfigRequest, self._revert),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, served),))

    async def _get(self, request: pb.GetConfigRequest, context: Context) -> pb.GetConfigResponse:
        handlers.operator(context)
        return pb.GetConfigResponse(config=self._config(request.keys))

    async def _update(self, request: pb.UpdateConfigRequest, context: Context) -> pb.UpdateConfigResponse:
        caller = handlers.operator(context)
        named = _values(request)
        masked = fields.masked_values(request.engine, request.update_mask.paths)
        if twice := sorted({*named} & {*masked}):
            raise invalid(twice[0], "expected a key once, got it in `values` and by the mask")
        wanted = {**named, **masked}
        if not wanted and not request.reset_keys:
            raise invalid("values", "expected something to change: values, reset_keys, or engine with its update_mask")
        changes = await self._configuration.update(
            wanted,
            list(request.reset_keys),
            expected=request.expected_version if request.HasField("expected_version") else None,
            principal=caller.principal,
            comment=request.comment,
            validate_only=request.validate_only,
        )
        return pb.UpdateConfigResponse(config=self._config(), changes=map(entries.key_change, changes))

    async def _watch(self, request: pb.WatchConfigRequest, context: Context) -> AsyncIterator[pb.WatchConfigResponse]:
        handlers.operator(context)
        async for version, file_problem, revision_problem, fresh in self._configuration.watch(request.keys):
            response = pb.WatchConfigResponse(
                version=version, entries=fresh, file_problem=file_problem, revision_problem=revision_problem
            )
            response.time.GetCurrentTime()
            yield response

    async def _list(self, request: pb.ListConfigRevisionsRequest, context: Context) -> pb.ListConfigRevisionsResponse:
        handlers.operator(context)
        size = request.page_size or _DEFAULT_PAGE
        if not 0 < size <= _MAX_PAGE:
            raise invalid("page_size", f"expected 1 to {_MAX_PAGE}, or 0 for {_DEFAULT_PAGE}, got {size}")
        records = await self._configuration.revisions(_before(request.page_token), size + 1)
        response = pb.ListConfigRevisionsResponse(
            revisions=[entries.revision(record, json.loads(record.overlay)) for record in records[:size]]
        )
        if len(records) > size:
            response.next_page_token = base64.urlsafe_b64encode(b"config:%d" % records[size - 1].version).decode()
        return response

    async def _revert(self, request: pb.RevertConfigRequest, context: Context) -> pb.RevertConfigResponse:
        caller = handlers.operator(context)
        changes = await self._configuration.revert(
            request.version,
            expected=request.expected_version if request.HasField("expected_version") else None,
            principal=caller.principal,
            comment=request.comment,
        )
        return pb.RevertConfigResponse(config=self._config(), changes=map(entries.key_change, changes))

    def _config(self, keys: Any = ()) -> config_pb2.Config:
        configuration = self._configuration
        return config_pb2.Config(
            version=configuration.version,
            engine=fields.engine_message(configuration.config.engine),
            entries=configuration.entries(keys),
            file_problem=configuration.file_problem,
            revision_problem=configuration.revision_problem,
        )


def _values(request: pb.UpdateConfigRequest) -> Mapping[str, Any]:
    for key, value in request.values.items():
        try:
            values.check(value, f'values["{key}"]')
        except values.InvalidValueError as error:
            raise invalid(error.path, error.description) from None
    return {key: entries.from_value(value) for key, value in request.values.items()}


def _before(token: str) -> int:
    if not token:
        return _LATEST
    with contextlib.suppress(ValueError):
        match = _TOKEN.fullmatch(base64.urlsafe_b64decode(token).decode())
        if match is not None and int(match[1]) <= _LATEST:
            return int(match[1])
    raise invalid("page_token", "expected the next_page_token of the page before, unchanged")
