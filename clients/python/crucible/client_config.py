"""The configuration, for the synchronous client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import grpc

from crucible import configuration
from crucible.calls import answer, pages
from crucible.configuration import Config, ConfigNews, ConfigRevision, ConfigUpdate
from crucible.errors import from_rpc_error
from crucible.v1 import config_service_pb2 as api
from crucible.v1.config_service_pb2_grpc import ConfigServiceStub


class ConfigCalls:
    """The calls of ConfigService, which are for operators."""

    def _add_config_stub(self, channel: grpc.Channel) -> None:
        self.config_stub = ConfigServiceStub(channel)
        """The generated stub of ConfigService."""

    def config(self, *keys: str) -> Config:
        """What is configured; with `keys`, only those keys or sections, such as `engine.http`."""
        return configuration.config(answer(self.config_stub.GetConfig, api.GetConfigRequest(keys=keys)).config)

    def update_config(
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
        return configuration.update(answer(self.config_stub.UpdateConfig, request))

    def revert_config(self, version: int, *, expected_version: int | None = None, comment: str = "") -> ConfigUpdate:
        """Brings back what was set at an earlier version, as a new one; 0 is nothing set. Raises RevisionNotFound."""
        request = api.RevertConfigRequest(version=version, expected_version=expected_version, comment=comment)
        return configuration.update(answer(self.config_stub.RevertConfig, request))

    def config_revisions(self, *, page_size: int | None = None) -> Iterator[ConfigRevision]:
        """What was changed by calls, newest first; fetched while it is read."""
        request = api.ListConfigRevisionsRequest(page_size=page_size or 0)
        found = pages(self.config_stub.ListConfigRevisions, request)
        return (configuration.revision(row) for page in found for row in page.revisions)

    def watch_config(self, *keys: str) -> ConfigWatch:
        """What is configured, then every change of it, whoever made it."""
        return ConfigWatch(self.config_stub.WatchConfig(api.WatchConfigRequest(keys=keys)))


class ConfigWatch:
    """Changes of the configuration; a context manager that ends the call.

    Iterating raises a CrucibleError when the call is lost.
    """

    def __init__(self, call: Any) -> None:
        self._call = call

    def __iter__(self) -> Iterator[ConfigNews]:
        try:
            for response in self._call:
                yield configuration.news(response)
        except grpc.RpcError as error:
            if not self._call.cancelled():
                raise from_rpc_error(error) from error

    def close(self) -> None:
        """Ends the call."""
        self._call.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
