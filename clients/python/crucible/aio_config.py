"""The configuration, for the client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Any, Self

import grpc

from crucible import configuration
from crucible.aio_calls import answer, pages
from crucible.configuration import Config, ConfigNews, ConfigRevision, ConfigUpdate
from crucible.errors import from_rpc_error
from crucible.v1 import config_service_pb2 as api
from crucible.v1.config_service_pb2_grpc import ConfigServiceStub


class AsyncConfigCalls:
    """The calls of ConfigService, which are for operators."""

    def _add_config_stub(self, channel: grpc.aio.Channel) -> None:
        self.config_stub = ConfigServiceStub(channel)
        """The generated stub of ConfigService."""

    async def config(self, *keys: str) -> Config:
        """What is configured; with `keys`, only those keys or sections, such as `engine.http`."""
        return configuration.config((await answer(self.config_stub.GetConfig, api.GetConfigRequest(keys=keys))).config)

    async def update_config(
        self,
        values: Mapping[str, Any] | None = None,
        *,
        reset: Iterable[str] = (),
        expected_version: int | None = None,
        comment: str = "",
        validate_only: bool = False,
    ) -> ConfigUpdate:
        """Sets some keys and takes others back, all or none; what is set holds until it is reset, also after a restart.

        Values are exact, or text as in the file: `{"engine.max_cache_size": 500, "grace_period": "30s"}`. Raises
        VersionConflict unless `expected_version` is in force, when it is given.
        """
        request = configuration.update_request(values or {}, reset, expected_version, comment, validate_only)
        return configuration.update(await answer(self.config_stub.UpdateConfig, request))

    async def revert_config(
        self, version: int, *, expected_version: int | None = None, comment: str = ""
    ) -> ConfigUpdate:
        """Brings back what was set at an earlier version, as a new one; 0 is nothing set. Raises RevisionNotFound."""
        request = api.RevertConfigRequest(version=version, expected_version=expected_version, comment=comment)
        return configuration.update(await answer(self.config_stub.RevertConfig, request))

    def config_revisions(self, *, page_size: int | None = None) -> AsyncIterator[ConfigRevision]:
        """What was changed by calls, newest first; fetched while it is read."""
        request = api.ListConfigRevisionsRequest(page_size=page_size or 0)
        found = pages(self.config_stub.ListConfigRevisions, request)
        return (configuration.revision(row) async for page in found for row in page.revisions)

    def watch_config(self, *keys: str) -> AsyncConfigWatch:
        """What is configured, then every change of it, whoever made it."""
        return AsyncConfigWatch(self.config_stub.WatchConfig(api.WatchConfigRequest(keys=keys)))


class AsyncConfigWatch:
    """Changes of the configuration; a context manager that ends the call.

    Iterating raises a CrucibleError when the call is lost.
    """

    def __init__(self, call: Any) -> None:
        self._call = call
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[ConfigNews]:
        try:
            async for response in self._call:
                yield configuration.news(response)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        except asyncio.CancelledError:
            # `close` ends the call; whoever cancels the task is heard.
            if not self._is_closed:
                raise

    async def close(self) -> None:
        """Ends the call."""
        self._is_closed = True
        self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
