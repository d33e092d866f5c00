"""The keys of the configuration as a table of Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import ByteSize
from pydantic_core import PydanticUndefined

from .keys import Key, all_keys, shown
from .models import ServerConfig
from .quantities import parse_duration

_SIZES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_TIMES = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))


def table() -> str:
    """Every section with its keys: default, effect of a change, meaning."""
    sections: dict[str, list[Key]] = {}
    for key in all_keys(ServerConfig):
        sections.setdefault(key.path.rpartition(".")[0], []).append(key)
    return "\n".join(line for section, keys in sections.items() for line in _section(section, keys))


def _section(section: str, keys: list[Key]) -> Iterator[str]:
    yield f"### `[{section}]`" if section else "### Top level"
    yield ""
    yield "| key | default | effect | |"
    yield "|---|---|---|---|"
    for key in keys:
        name = key.path.rpartition(".")[2]
        yield f"| `{name}` | {_default(key)} | {key.effect} | {key.doc.replace('|', chr(92) + '|')} |"
    yield ""


def _default(key: Key) -> str:
    default = key.field.default
    if default is PydanticUndefined:
        return "depends on the machine" if key.field.default_factory not in (dict, list) else "`{}`"
    if default is None:
        return "none"
    return f"`{written(key, default)}`"


def written(key: Key, value: Any) -> str:
    """A value as people write it into the file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and _is_read_by(key, parse_duration):
        return _with_unit(value, _TIMES)
    if isinstance(value, ByteSize):
        return _with_unit(value, _SIZES)
    plain = shown(value)
    if isinstance(plain, str):
        return f'"{plain}"'
    return str(plain).replace("'", '"')


def _is_read_by(key: Key, validator: Any) -> bool:
    # The annotation of the field is kept as it was written, or taken apart into metadata.
    waiting: list[Any] = [*key.field.metadata, key.field.annotation]
    while waiting:
        part = waiting.pop()
        if getattr(part, "func", None) is validator:
            return True
        waiting += [*getattr(part, "__metadata__", ()), *get_args(part)]
    return False


def _with_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    for unit, name in units:
        if value >= unit and value % unit == 0:
            return f"{value / unit:.0f} {name}" if name.endswith("B") else f"{value / unit:.0f}{name}"
    return f"{value:g}"
