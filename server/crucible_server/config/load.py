"""Reads the configuration and says everything that is wrong with it at once."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_settings import SettingsError

from .models import ServerConfig, toml_file

_PREFIX = "CRUCIBLE_"
# Names that mean something to other parts, however close they come to a key.
_OTHER_VARIABLES = frozenset({"CRUCIBLE_VM", "CRUCIBLE_SERVER", "CRUCIBLE_CONFIG"})


class ConfigError(Exception):
    """A configuration that is not valid. `problems` name the key, what was expected and what came."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def load_config(path: Path | None, overrides: Mapping[str, Any]) -> ServerConfig:
    """The configuration from overrides (flags), the environment and the TOML file at `path`, in this order.

    Raises ConfigError with all problems, one a line.
    """
    problems = _misspelt_variables()
    if path is not None:
        problems += _unreadable(path)
    if problems:
        raise ConfigError(problems)
    token = toml_file.set(path)
    try:
        return ServerConfig(**overrides)
    except ValidationError as error:
        entries = error.errors(include_url=False)
        # Defaults made from another value say only that this one, reported already, is not valid.
        told = [dict(entry) for entry in entries if entry["type"] != "default_factory_not_called"]
        raise ConfigError([_problem(entry) for entry in told]) from error
    except SettingsError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        raise ConfigError([f"{error}{cause}"]) from error
    finally:
        toml_file.reset(token)


def _problem(entry: dict[str, Any]) -> str:
    location = [str(part) for part in entry["loc"]]
    key = ".".join(location)
    if entry["type"] == "extra_forbidden":
        return f"{key}: there is no such key{_nearest(location)}"
    if location[0] in ("unit_key", "store_password") or location[:2] == ["telemetry", "otlp_headers"]:
        entry["input"] = "a value that is not shown"
    message = str(entry["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    return f"{key}: {message}; got {entry['input']!r}"


def _nearest(location: Sequence[str]) -> str:
    model: type[BaseModel] = ServerConfig
    for part in location[:-1]:
        # Names that the operator chose are between those of the models.
        if part in model.model_fields:
            model = _nested(model, part)
    keys = list(model.model_fields)
    close = difflib.get_close_matches(location[-1], keys, n=1)
    if close:
        return f"; did you mean `{'.'.join([*location[:-1], close[0]])}`?"
    return f"; expected one of {', '.join(sorted(keys))}"


def _nested(model: type[BaseModel], name: str) -> type[BaseModel]:
    annotation: Any = model.model_fields[name].annotation
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return model


def _misspelt_variables() -> list[str]:
    # Only near misses: orchestrators put CRUCIBLE_* names of their own into the environment.
    known = [_PREFIX + name.upper() for name in ServerConfig.model_fields]
    problems = []
    for variable in sorted(os.environ):
        name = variable.upper().partition("__")[0]
        if not name.startswith(_PREFIX) or name in known or name in _OTHER_VARIABLES:
            continue
        if close := difflib.get_close_matches(name, known, n=1, cutoff=0.9):
            problems.append(f"{variable}: there is no such variable; did you mean `{close[0]}`?")
    return problems


def _unreadable(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        return [f"{path}: the configuration file cannot be read: {error.strerror}"]
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return [f"{path}: expected TOML: {error}"]
    if "unit_key" in content:
        return ["unit_key: a key does not belong into a file that is read by many; set CRUCIBLE_UNIT_KEY or use a file"]
    if "store_password" in content:
        advice = "set CRUCIBLE_STORE_PASSWORD or name a file by store_password_file"
        return [f"store_password: a password does not belong into a file that is read by many; {advice}"]
    return []
