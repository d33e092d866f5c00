"""Reads the layers of the configuration and says everything that is wrong with them at once."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, SettingsError

from . import positions, problems, secrets
from .effects import Effect
from .keys import all_keys, value_at
from .models import ServerConfig, arguments_only, interpreter_variable
from .plain_files import read_plain
from .problems import ConfigError, Problem

MAX_FILE_BYTES = 1024 * 1024
"""The largest configuration file that is read."""
_PREFIX = "CRUCIBLE_"
# Names that mean something to other parts, however close they come to a key.
_OTHER_VARIABLES = frozenset({"CRUCIBLE_VM", "CRUCIBLE_SERVER", "CRUCIBLE_CONFIG"})


class Layer(StrEnum):
    """Where a value can come from, the weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    FLAG = "flag"
    SERVICE = "service"
    """A call of ConfigService."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from."""

    layer: Layer
    detail: str = ""
    """File and line, variable, flag, or version."""

    def __str__(self) -> str:
        return self.detail or self.layer


@dataclass(frozen=True, slots=True)
class Sources:
    """What a configuration is read from, besides the environment."""

    file: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fixed(cls, config: ServerConfig) -> Sources:
        """Those of a configuration that is given whole."""
        flags: dict[str, Any] = {}
        for key in all_keys(ServerConfig):
            put(flags, key.parts, value_at(config, key))
        return cls(flags=flags)


@dataclass(frozen=True, slots=True)
class Overlay:
    """What calls of ConfigService have set."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """By key with dots."""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and where its values come from."""

    config: ServerConfig
    origins: Mapping[str, Origin]
    """By key with dots."""
    watched: tuple[Path, ...]
    """The files that it was read from."""
    raw: Mapping[str, Any] = field(repr=False)
    """All layers in one, as they were read."""
    layers: Layers = field(repr=False)

    def with_overlay(self, overlay: Overlay) -> Loaded:
        """The same with something else set by calls; nothing is read again. Raises ConfigError."""
        return self.layers.under(overlay)

    def pinned(self, running: ServerConfig) -> ServerConfig:
        """This configuration as far as it can hold without a restart; the rest is as it runs. Raises ConfigError."""
        raw = dict(self.raw)
        for key in all_keys(ServerConfig):
            if key.effect is not Effect.LIVE:
                put(raw, key.parts, value_at(running, key))
        try:
            return validate(raw)
        except ValidationError as error:
            found = self.layers.problems_of(error, {})
            raise ConfigError(
                [replace(each, message=f"{each.message} (it goes with a key that needs a restart)") for each in found]
            ) from error


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> ServerConfig:
    """The configuration from overrides (flags), the environment and the TOML file at `path`, in this order.

    Raises ConfigError with all problems, one a line.
    """
    return load(Sources(path, overrides)).config


def load(sources: Sources, overlay: Overlay | None = None) -> Loaded:
    """The configuration of all layers, and where each value comes from. Raises ConfigError."""
    return Layers(sources).under(overlay or Overlay())


class Layers:
    """What was read from file, environment and flags."""

    def __init__(self, sources: Sources) -> None:
        """Reads them. Raises ConfigError."""
        found = _misspelt_variables()
        self._file = _File(sources.file)
        found += self._file.problems
        self._secrets = self._file.secret_problems
        try:
            environment = _environment()
        except SettingsError as error:
            found += _unreadable_variables() or [Problem(str(error))]
        if found:
            raise ConfigError(found)
        self._below = (
            (Layer.FILE, self._file.content),
            (Layer.ENVIRONMENT, environment),
            (Layer.FLAG, sources.flags),
        )

    def under(self, overlay: Overlay) -> Loaded:
        """The configuration of these layers and of one above them. Raises ConfigError."""
        tree: dict[str, Any] = {}
        for key, value in overlay.values.items():
            put(tree, key.split("."), value)
        raw: dict[str, Any] = {}
        for _, layer in self._below:
            _merge(raw, layer)
        _merge(raw, tree)
        try:
            config = validate(raw)
        except ValidationError as error:
            raise ConfigError([*self._secrets, *self.problems_of(error, tree, overlay.version)]) from error
        if self._secrets:
            raise ConfigError(self._secrets)
        origins = {key.path: self._origin(key.parts, tree, overlay.version) for key in all_keys(ServerConfig)}
        return Loaded(config, origins, self._file.watched, raw, self)

    def problems_of(self, error: ValidationError, tree: Mapping[str, Any], version: int = 0) -> list[Problem]:
        """What the validation says, with where each value came from."""
        found = []
        for entry in (problems.placed(dict(each)) for each in error.errors(include_url=False)):
            # Defaults made from another value say only that this one, reported already, is not valid.
            if entry["type"] == "default_factory_not_called":
                continue
            parts = tuple(str(part) for part in entry["loc"])
            where = self._origin(parts, tree, version)
            # A flag is known to whoever wrote it a moment ago.
            name = {Layer.FILE: str(self._file.path), Layer.ENVIRONMENT: where.detail}.get(where.layer, "")
            if where.layer is Layer.SERVICE:
                name = "set by ConfigService"
            line = self._file.line(parts) if where.layer is Layer.FILE else None
            found.append(problems.of_entry(ServerConfig, entry, name, line))
        return found

    def _origin(self, parts: tuple[str, ...], tree: Mapping[str, Any], version: int) -> Origin:
        if _has(tree, parts):
            return Origin(Layer.SERVICE, f"version {version}")
        for name, layer in reversed(self._below):
            if _has(layer, parts):
                return Origin(name, self._detail(name, parts))
        return Origin(Layer.DEFAULT)

    def _detail(self, layer: Layer, parts: tuple[str, ...]) -> str:
        if layer is Layer.FILE:
            line = self._file.line(parts)
            return f"{self._file.path}:{line}" if line else str(self._file.path)
        if layer is Layer.ENVIRONMENT:
            return _variable(parts)
        return "--" + "-".join(parts).replace("_", "-")


def validate(raw: Mapping[str, Any]) -> ServerConfig:
    """The configuration of these values and the defaults alone. Raises pydantic.ValidationError."""
    token = arguments_only.set(True)
    try:
        return ServerConfig(**raw)
    finally:
        arguments_only.reset(token)


def put(tree: dict[str, Any], parts: tuple[str, ...] | list[str], value: Any) -> None:
    """Sets a value in a tree of dictionaries, making those that are missing."""
    for part in parts[:-1]:
        below = tree.get(part)
        # What is there may be shared with the layer that it came from.
        tree[part] = below = dict(below) if isinstance(below, Mapping) else {}
        tree = below
    tree[parts[-1]] = value


def take(tree: dict[str, Any], parts: tuple[str, ...]) -> None:
    """Removes a value from a tree of dictionaries."""
    for part in parts[:-1]:
        tree = tree[part]
    del tree[parts[-1]]


class _File:
    """The layer of the TOML file, its secrets put in place."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.content: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.secret_problems: list[Problem] = []
        self.watched: tuple[Path, ...] = () if path is None else (path,)
        self._text = ""
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            self._text = read_plain(path, MAX_FILE_BYTES).decode()
            self.content = tomllib.loads(self._text)
        except OSError as error:
            self.problems.append(problems.in_file(path, f"the configuration file cannot be read: {error.strerror}"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            line, said = positions.error_place(error)
            self.problems.append(problems.in_file(path, f"expected TOML: {said}", line))
        except (ValueError, RecursionError):
            # Valid all the same, but beyond what Python reads.
            self.problems.append(problems.in_file(path, "expected shorter numbers, and less in one another"))
        for parts, value in list(secrets.references(ServerConfig, self.content)):
            if file := secrets.file_of(value, path.parent):
                self.watched += (file,)
            try:
                put(self.content, parts, secrets.resolve(parts, value, path.parent))
            except secrets.SecretError as error:
                # The rest is read all the same, so that everything is told at once.
                take(self.content, parts)
                self.secret_problems.append(
                    Problem(error.message, ".".join(error.path), origin=str(path), line=self.line(error.path))
                )

    def line(self, parts: tuple[str, ...]) -> int | None:
        """Where a key stands in it."""
        return positions.line_of(self._text, parts)


def _environment() -> dict[str, Any]:
    content: dict[str, Any] = interpreter_variable()
    _merge(content, EnvSettingsSource(ServerConfig)())
    return content


def _unreadable_variables() -> list[Problem]:
    # What came is not said: it may be a secret.
    found = []
    for variable in sorted(name for name in os.environ if name.upper().startswith(_PREFIX)):
        source = EnvSettingsSource(ServerConfig)
        source.env_vars = {variable.lower(): os.environ[variable]}
        try:
            source()
        except SettingsError:
            key = variable.upper().removeprefix(_PREFIX).lower().replace("__", ".")
            found.append(
                Problem('expected JSON, such as ["a", "b"] or {"name": "value"}', key, origin=variable),
            )
    return found


def _merge(tree: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for name, value in layer.items():
        below = tree.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged = dict(below)
            _merge(merged, value)
            tree[name] = merged
        else:
            tree[name] = value


def _has(layer: Mapping[str, Any], parts: tuple[str, ...]) -> bool:
    node: Any = layer
    for part in parts:
        if not isinstance(node, Mapping):
            # A value stands where a section is expected.
            return True
        if part not in node:
            return False
        node = node[part]
    return True


def _variable(parts: tuple[str, ...]) -> str:
    present = {name.upper(): name for name in os.environ}
    for length in range(len(parts), 0, -1):
        if (name := present.get(_PREFIX + "__".join(parts[:length]).upper())) is not None:
            return name
    return "CRUCIBLE_VM" if parts == ("vm_path",) else _PREFIX + "__".join(parts).upper()


def _misspelt_variables() -> list[Problem]:
    # Only near misses: orchestrators put CRUCIBLE_* names of their own into the environment.
    known = [_PREFIX + name.upper() for name in ServerConfig.model_fields]
    found = []
    for variable in sorted(os.environ):
        name = variable.upper().partition("__")[0]
        if not name.startswith(_PREFIX) or name in known or name in _OTHER_VARIABLES:
            continue
        if close := difflib.get_close_matches(name, known, n=1, cutoff=0.9):
            found.append(
                Problem(
                    f"there is no such variable; did you mean `{close[0]}`?",
                    variable,
                    nearest=close[0],
                    origin=variable,
                )
            )
    return found
