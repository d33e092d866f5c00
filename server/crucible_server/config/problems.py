"""What is said about a configuration that is not valid."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from .keys import Kind, holds_secret, redacted, shape

_NOT_SHOWN = "a value that is not shown"
_MAX_GOT = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    message: str
    """What was expected, in a sentence without the key."""
    key: str = ""
    """With dots; empty when it is none in particular."""
    got: str = ""
    """What came, as Python writes it; empty when that says nothing, and for secrets."""
    nearest: str = ""
    """A key that exists and may have been meant."""
    origin: str = ""
    """The variable or the file from which the value came; empty for flags."""
    line: int | None = None
    """In the file, counted from 1; None when it is not known, or no file is at fault."""

    def __str__(self) -> str:
        text = f"{self.key}: {self.message}" if self.key else self.message
        if self.got:
            text += f"; got {self.got}"
        if self.origin and self.key != self.origin:
            text += f" ({self.origin}{f', line {self.line}' if self.line else ''})"
        return text


class ConfigError(Exception):
    """A configuration that is not valid, with everything that is wrong with it."""

    def __init__(self, found: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, found)))
        self.found = tuple(found)

    @property
    def problems(self) -> tuple[str, ...]:
        """Each in one line: the key, what was expected and what came."""
        return tuple(map(str, self.found))


def of_entry(model: type[BaseModel], entry: dict[str, Any], origin: str, line: int | None) -> Problem:
    """What an error of the validation says to whoever wrote the value."""
    location = [str(part) for part in entry["loc"]]
    key = ".".join(location)
    if entry["type"] == "extra_forbidden":
        said, nearest = nearest_key(model, location)
        return Problem(f"there is no such key{said}", key, nearest=nearest, origin=origin, line=line)
    message = str(entry["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if _is_secret(model, location):
        return Problem(message, key, _NOT_SHOWN, origin=origin, line=line)
    got = repr(redacted(entry["input"]))
    if len(got) > _MAX_GOT:
        got = f"{got[:_MAX_GOT]}..."
    return Problem(message, key, got, origin=origin, line=line)


def nearest_key(model: type[BaseModel], location: Sequence[str]) -> tuple[str, str]:
    """What to say about a key that does not exist, and the one that may have been meant."""
    for part in location[:-1]:
        # Names that the operator chose are between those of the models.
        if part in model.model_fields:
            model = _section(model, part)
    keys = list(model.model_fields)
    close = difflib.get_close_matches(location[-1], keys, n=1)
    if close:
        nearest = ".".join([*location[:-1], close[0]])
        return f"; did you mean `{nearest}`?", nearest
    return f"; expected one of {', '.join(sorted(keys))}", ""


def in_file(path: Path, message: str, line: int | None = None) -> Problem:
    """A file that cannot be used at all."""
    return Problem(f"{path}: {message}", line=line)


def _section(model: type[BaseModel], name: str) -> type[BaseModel]:
    kind, inner = shape(model.model_fields[name].annotation)
    if kind is Kind.TABLE:
        kind, inner = shape(inner)
    return inner if kind is Kind.SECTION else model


def _is_secret(model: type[BaseModel], location: Sequence[str]) -> bool:
    for part in location:
        field = model.model_fields.get(part)
        if field is None:
            continue
        if shape(field.annotation)[0] is not Kind.SECTION:
            # What pydantic leaves out of what it prints may have a secret in it, put there by mistake.
            return holds_secret(field.annotation) or not field.repr
        model = _section(model, part)
    # A whole section that holds something to hide.
    return any(holds_secret(field.annotation) for field in model.model_fields.values()) and len(location) > 0
