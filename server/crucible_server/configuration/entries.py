"""The configuration as messages of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crucible.v1 import config_pb2, value_pb2
from crucible_server.config import Effect, Key, Layer, Loaded, ServerConfig, shown, value_at
from crucible_server.configuration.changes import KeyChange
from crucible_server.store.configurations import ConfigRevisionRecord

_LAYERS = {
    Layer.DEFAULT: config_pb2.CONFIG_LAYER_DEFAULT,
    Layer.FILE: config_pb2.CONFIG_LAYER_FILE,
    Layer.ENVIRONMENT: config_pb2.CONFIG_LAYER_ENVIRONMENT,
    Layer.FLAG: config_pb2.CONFIG_LAYER_FLAG,
    Layer.SERVICE: config_pb2.CONFIG_LAYER_SERVICE,
}
_EFFECTS = {
    Effect.LIVE: config_pb2.CONFIG_EFFECT_LIVE,
    Effect.RESTART: config_pb2.CONFIG_EFFECT_RESTART,
    Effect.LOCAL: config_pb2.CONFIG_EFFECT_LOCAL,
}


def entry(key: Key, config: ServerConfig, target: Loaded) -> config_pb2.ConfigEntry:
    """One key as it is in force, and as it would be after a restart."""
    origin = target.origins[key.path]
    message = config_pb2.ConfigEntry(
        key=key.path,
        layer=_LAYERS[origin.layer],
        origin=origin.detail,
        effect=_EFFECTS[key.effect],
        secret=key.is_secret,
        doc=key.doc,
    )
    if not key.is_secret:
        now, later = value_at(config, key), value_at(target.config, key)
        message.value.CopyFrom(to_value(shown(now)))
        if later != now:
            message.pending_value.CopyFrom(to_value(shown(later)))
    return message


def key_change(change: KeyChange) -> config_pb2.ConfigKeyChange:
    """One key that changed."""
    message = config_pb2.ConfigKeyChange(key=change.key.path, restart_required=change.needs_restart)
    if not change.key.is_secret:
        message.old_value.CopyFrom(to_value(change.old))
        message.new_value.CopyFrom(to_value(change.new))
    return message


def changes_message(changes: Sequence[KeyChange]) -> config_pb2.ConfigRevision:
    """A revision with nothing but its changes, as it is stored."""
    return config_pb2.ConfigRevision(changes=[key_change(each) for each in changes])


def revision(record: ConfigRevisionRecord, values: dict[str, Any]) -> config_pb2.ConfigRevision:
    """A stored change; `values` is what it holds by key."""
    message = config_pb2.ConfigRevision.FromString(record.changes)
    message.version = record.version
    message.time.FromNanoseconds(record.time)
    message.principal = record.principal
    message.comment = record.comment
    if record.reverted_to is not None:
        message.reverted_to = record.reverted_to
    for key, value in values.items():
        message.values[key].CopyFrom(to_value(value))
    return message


def to_value(plain: Any) -> value_pb2.Value:
    """What JSON has, as a value."""
    match plain:
        case None:
            return value_pb2.Value(null_value=value_pb2.NullValue())
        case bool():
            return value_pb2.Value(bool_value=plain)
        case int() if -(2**63) <= plain < 2**63:
            return value_pb2.Value(int_value=plain)
        case int() if 0 <= plain < 2**64:
            return value_pb2.Value(uint_value=plain)
        case float():
            return value_pb2.Value(double_value=plain)
        case list():
            return value_pb2.Value(list_value=value_pb2.ListValue(values=[to_value(each) for each in plain]))
        case dict():
            fields = {name: to_value(each) for name, each in plain.items()}
            return value_pb2.Value(object_value=value_pb2.ObjectValue(fields=fields))
    return value_pb2.Value(string_value=str(plain))


def from_value(value: value_pb2.Value) -> Any:
    """A value as the models read it; bytes stay bytes, which no key takes."""
    kind = value.WhichOneof("kind")
    match kind:
        case "list_value":
            return [from_value(each) for each in value.list_value.values]
        case "object_value":
            return {name: from_value(each) for name, each in value.object_value.fields.items()}
        case None | "null_value":
            return None
    return getattr(value, kind)
