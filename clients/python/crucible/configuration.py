"""The configuration of a server as the clients give it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crucible.v1 import config_pb2
from crucible.v1 import config_service_pb2 as api
from crucible.values import from_value, to_fields


@dataclass(frozen=True)
class ConfigEntry:
    """One key."""

    key: str
    value: Any
    """What is in force: durations in seconds, sizes in bytes; None for a secret and for none."""
    pending: Any
    """What will be in force after a restart; the value itself when that changes nothing."""
    layer: str
    """DEFAULT, FILE, ENVIRONMENT, FLAG or SERVICE."""
    origin: str
    """The file and line, the variable, the flag, or the version."""
    effect: str
    """LIVE, RESTART or LOCAL: what has to happen for another value to be in force, and who may set it."""
    secret: bool
    doc: str


@dataclass(frozen=True)
class Config:
    """What is configured."""

    version: int
    entries: Mapping[str, ConfigEntry]
    file_problem: str
    """Why the latest change of the file is not in force; empty when it is."""
    revision_problem: str
    """Why what was set last, at another server of the database, is not in force at this one; empty when it is."""
    message: config_pb2.Config
    """The message itself."""

    def __getitem__(self, key: str) -> Any:
        """The value of a key that is in force. Raises KeyError."""
        return self.entries[key].value


@dataclass(frozen=True)
class ConfigChange:
    """One key that changed."""

    key: str
    old: Any
    new: Any
    restart_required: bool


@dataclass(frozen=True)
class ConfigUpdate:
    """What came of a change."""

    config: Config
    changes: tuple[ConfigChange, ...]


@dataclass(frozen=True)
class ConfigNews:
    """What is not as it was in the news before; the first has all that is watched."""

    version: int
    entries: Mapping[str, ConfigEntry]
    file_problem: str
    revision_problem: str
    time: datetime


@dataclass(frozen=True)
class ConfigRevision:
    """A change that was made by a call, and kept."""

    version: int
    time: datetime
    principal: str
    comment: str
    reverted_to: int | None
    changes: tuple[ConfigChange, ...]
    values: Mapping[str, Any]
    """All that was set by calls from then on."""


def update_request(
    values: Mapping[str, Any], reset: Iterable[str], expected_version: int | None, comment: str, validate_only: bool
) -> api.UpdateConfigRequest:
    """The request of a change."""
    return api.UpdateConfigRequest(
        values=to_fields(values, "values"),
        reset_keys=list(reset),
        expected_version=expected_version,
        comment=comment,
        validate_only=validate_only,
    )


def config(message: config_pb2.Config) -> Config:
    """A configuration."""
    return Config(message.version, entries(message.entries), message.file_problem, message.revision_problem, message)


def entries(messages: Iterable[config_pb2.ConfigEntry]) -> dict[str, ConfigEntry]:
    """Keys by name."""
    return {message.key: _entry(message) for message in messages}


def update(message: api.UpdateConfigResponse | api.RevertConfigResponse) -> ConfigUpdate:
    """What came of a change."""
    return ConfigUpdate(config(message.config), tuple(map(_change, message.changes)))


def news(message: api.WatchConfigResponse) -> ConfigNews:
    """One message to whoever watches."""
    return ConfigNews(
        message.version,
        entries(message.entries),
        message.file_problem,
        message.revision_problem,
        message.time.ToDatetime(tzinfo=UTC),
    )


def revision(message: config_pb2.ConfigRevision) -> ConfigRevision:
    """A change of the past."""
    return ConfigRevision(
        message.version,
        message.time.ToDatetime(tzinfo=UTC),
        message.principal,
        message.comment,
        message.reverted_to if message.HasField("reverted_to") else None,
        tuple(map(_change, message.changes)),
        {key: from_value(message.values[key]) for key in sorted(message.values)},
    )


def _entry(message: config_pb2.ConfigEntry) -> ConfigEntry:
    value = from_value(message.value) if message.HasField("value") else None
    return ConfigEntry(
        message.key,
        value,
        from_value(message.pending_value) if message.HasField("pending_value") else value,
        config_pb2.ConfigLayer.Name(message.layer).removeprefix("CONFIG_LAYER_"),
        message.origin,
        config_pb2.ConfigEffect.Name(message.effect).removeprefix("CONFIG_EFFECT_"),
        message.secret,
        message.doc,
    )


def _change(message: config_pb2.ConfigKeyChange) -> ConfigChange:
    return ConfigChange(
        message.key,
        from_value(message.old_value) if message.HasField("old_value") else None,
        from_value(message.new_value) if message.HasField("new_value") else None,
        message.restart_required,
    )
