"""The keys of the configuration, found in the models: whatever a model adds is a key without a line here."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from .effects import Effect, effect_of

HIDDEN = "**********"
"""What stands for a secret wherever a value is shown."""
_USER_INFO = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*@")
# To its last `@`: a password may hold anything.
_ANY_USER = re.compile(r"(?<=://).*@", re.DOTALL)
_QUERY = re.compile(r"(://[^?#]*)[?#].*", re.DOTALL)


class Kind(StrEnum):
    """What a field holds, as far as reading the configuration depends on it."""

    SECTION = "section"
    """Keys of its own."""
    TABLE = "table"
    """Anything by names that the operator chooses."""
    SECRET = "secret"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration file."""

    path: str
    """With dots, such as `engine.max_cache_size`."""
    field: FieldInfo
    section: type[BaseModel]
    """The model that has the field."""
    effect: Effect

    @property
    def doc(self) -> str:
        """What the source says below the field."""
        return field_docs(self.section).get(self.parts[-1], "")

    @property
    def parts(self) -> tuple[str, ...]:
        """The path in pieces."""
        return tuple(self.path.split("."))

    @property
    def is_secret(self) -> bool:
        """Whether its value, or some of it, is never shown."""
        return holds_secret(self.field.annotation)


@cache
def all_keys(model: type[BaseModel]) -> tuple[Key, ...]:
    """The keys below a model in the order of the source; tables are one key each."""
    return tuple(_keys(model, ""))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        kind, inner = shape(field.annotation)
        if kind is Kind.SECTION:
            yield from _keys(inner, f"{path}.")
        else:
            yield Key(path, field, model, effect_of(path))


def shape(annotation: Any) -> tuple[Kind, Any]:
    """What an annotation holds; for a section its model, for a table the annotation of its values."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Kind.SECTION, annotation
    if isinstance(annotation, type) and issubclass(annotation, SecretStr):
        return Kind.SECRET, None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Annotated, Union, UnionType):
        for argument in arguments:
            kind, inner = shape(argument)
            if kind is not Kind.VALUE:
                return kind, inner
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        return Kind.TABLE, arguments[1]
    return Kind.VALUE, None


def holds_secret(annotation: Any) -> bool:
    """Whether there is a secret somewhere in it."""
    kind, inner = shape(annotation)
    if kind is Kind.TABLE:
        return holds_secret(inner)
    if kind is Kind.SECTION:
        return any(holds_secret(field.annotation) for field in inner.model_fields.values())
    return kind is Kind.SECRET


def value_at(config: BaseModel, key: Key) -> Any:
    """The value of a key."""
    value: Any = config
    for part in key.parts:
        value = getattr(value, part)
    return value


def shown(value: Any) -> Any:
    """A value as JSON has it, secrets hidden: durations in seconds, sizes in bytes, paths as text."""
    match value:
        case SecretStr():
            return HIDDEN
        case BaseModel():
            return {name: shown(getattr(value, name)) for name in type(value).model_fields}
        case Mapping():
            return {str(name): shown(item) for name, item in value.items()}
        case tuple() | list() | frozenset() | set():
            return [shown(item) for item in value]
        case Path():
            return str(value)
        case bool() | None:
            return value
        case int():
            return int(value)
        case str():
            # The address of a database may hold a password.
            return _USER_INFO.sub(rf"\1:{HIDDEN}@", value)
    return value


def redacted(value: Any) -> Any:
    """What somebody wrote, to be told in an error: without what may be secret in it, users and queries of URLs."""
    match value:
        case str():
            return _QUERY.sub(rf"\1?{HIDDEN}", _ANY_USER.sub(f"{HIDDEN}@", value))
        case Mapping():
            return {name: redacted(item) for name, item in value.items()}
        case list() | tuple():
            return [redacted(item) for item in value]
        case BaseModel():
            return redacted(shown(value))
    return value


@cache
def field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The text below each field of a model, as its source has it, on one line."""
    docs: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (issubclass(base, BaseModel) and base.__module__.startswith("crucible_server")):
            continue
        try:
            source = inspect.getsource(base)
        except OSError:
            # Installed without its sources: the keys are the same, only less is said of them.
            continue
        (definition,) = ast.parse(textwrap.dedent(source)).body
        assert isinstance(definition, ast.ClassDef)
        for before, after in zip(definition.body, definition.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                docs[before.target.id] = " ".join(str(after.value.value).split())
    return docs
