"""Secrets of the configuration file, which names where they are: `{ env = "NAME" }` or `{ file = "PATH" }`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from .keys import Kind, shape
from .plain_files import read_plain

MAX_BYTES = 64 * 1024
"""The largest file that is taken for a secret."""


class SecretError(Exception):
    """A secret that cannot be had. `path` is its key in pieces."""

    def __init__(self, path: tuple[str, ...], message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def references(model: type[BaseModel], raw: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """What stands where the model has secrets: (path, value as it was read)."""
    for name, value in raw.items():
        if name in model.model_fields:
            yield from _in(model.model_fields[name].annotation, value, (name,))


def _in(annotation: Any, value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    kind, inner = shape(annotation)
    if kind is Kind.SECRET:
        yield path, value
    elif kind is Kind.SECTION and isinstance(value, Mapping):
        for below, item in references(inner, value):
            yield (*path, *below), item
    elif kind is Kind.TABLE and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _in(inner, item, (*path, name))


def file_of(value: Any, folder: Path) -> Path | None:
    """The file that a reference names; relative ones are below `folder`."""
    if isinstance(value, Mapping) and set(value) == {"file"} and isinstance(value["file"], str):
        return folder / Path(value["file"]).expanduser()
    return None


def resolve(path: tuple[str, ...], value: Any, folder: Path) -> SecretStr:
    """The secret that a reference names. Raises SecretError, which never says the secret."""
    variable = "CRUCIBLE_" + "__".join(path).upper()
    if isinstance(value, Mapping) and set(value) == {"env"} and isinstance(value["env"], str):
        text = os.environ.get(value["env"], "")
        if not text:
            raise SecretError(path, f"expected the secret in the environment variable {value['env']}, which is not set")
        return SecretStr(text)
    if (file := file_of(value, folder)) is not None:
        return SecretStr(_read(path, file))
    raise SecretError(
        path,
        'expected where the secret is, { env = "NAME" } or { file = "PATH" }: this file is read by many; or set '
        f"{variable}",
    )


def _read(path: tuple[str, ...], file: Path) -> str:
    try:
        text = read_plain(file, MAX_BYTES).decode().rstrip("\r\n")
    except OSError as error:
        raise SecretError(path, f"expected the secret in the file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SecretError(path, f"expected a secret of UTF-8 text in the file {file}") from None
    if not text:
        raise SecretError(path, f"expected a secret of at most {MAX_BYTES} bytes in the file {file}, got an empty one")
    return text
