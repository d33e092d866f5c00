"""The configuration that a server would be started with here: checked, shown, compared."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from crucible_server.cli.calls.plain import emit_json
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import emit_table
from crucible_server.cli.terminal import CommandError, emit, report
from crucible_server.config import ConfigError, Key, Loaded, Problem, ServerConfig, Sources, all_keys, load, shown
from crucible_server.config.keys import value_at
from crucible_server.config.problems import nearest_key
from crucible_server.config.reference import written
from crucible_server.config.schema import schema_text


def check_settings(file: Path | None, data_dir: Path | None, *, as_json: bool) -> Exit:
    """Says whether the configuration is valid, and everything that is wrong with it."""
    found: Sequence[Problem] = ()
    try:
        load(_sources(file, data_dir))
    except ConfigError as error:
        found = error.found
    if as_json:
        emit_json(
            {"valid": not found, "file": str(file) if file else None, "problems": [_plain(each) for each in found]}
        )
    elif found:
        report(CommandError(Exit.USAGE, "the configuration is not valid:\n" + "\n".join(map(str, found))))
    else:
        emit(sys.stdout, f"{file or 'defaults and environment'}: valid\n")
    return Exit.USAGE if found else Exit.OK


def show_settings(
    wanted: Sequence[str], file: Path | None, data_dir: Path | None, *, only_set: bool, as_json: bool
) -> None:
    """Prints keys, values and origins. Raises CommandError."""
    loaded = _load(file, data_dir)
    keys = [key for key in _selected(wanted) if not (only_set and loaded.origins[key.path].layer == "default")]
    if as_json:
        emit_json(
            {
                "keys": {
                    key.path: {
                        "value": displayed(loaded.config, key),
                        "origin": loaded.origins[key.path].layer,
                        "detail": loaded.origins[key.path].detail or None,
                        "effect": key.effect,
                    }
                    for key in keys
                }
            }
        )
        return
    emit_table(
        ("KEY", "VALUE", "FROM", "EFFECT"),
        [(key.path, _text(loaded.config, key), str(loaded.origins[key.path]), key.effect) for key in keys],
        shrink=("FROM", "VALUE"),
    )


def diff_settings(file: Path | None, other: Path | None, server: str | None, *, as_json: bool) -> None:
    """Prints the keys whose values differ. Raises CommandError."""
    if other is not None and server is not None:
        raise CommandError(Exit.USAGE, "expected a FILE or --server to compare with, got both")
    here = _load(file, None)
    if server is not None:
        from crucible_server.cli.calls.config import values_of

        theirs = values_of(server)
        rows = [
            (key, shown(value_at(here.config, key)), theirs[key.path])
            for key in all_keys(ServerConfig)
            if not key.is_secret and key.path in theirs and shown(value_at(here.config, key)) != theirs[key.path]
        ]
        name = server
    elif other is not None:
        name, rows = str(other), list(_differences(here, _load(other, None)))
    else:
        rows = [
            (key, displayed(here.config, key), _default(key))
            for key in all_keys(ServerConfig)
            if here.origins[key.path].layer != "default" and displayed(here.config, key) != _default(key)
        ]
        name = "default"
    if as_json:
        emit_json(
            {
                "differences": [
                    {"key": key.path, "value": mine, "other": their, "effect": key.effect} for key, mine, their in rows
                ]
            }
        )
    elif rows:
        emit_table(
            ("KEY", "HERE", name.upper() if name == "default" else name, "EFFECT"),
            [(key.path, _short(mine), _short(their), key.effect) for key, mine, their in rows],
        )


def show_schema() -> None:
    """Prints the JSON Schema of the file."""
    emit(sys.stdout, schema_text())


def displayed(config: ServerConfig, key: Key) -> Any:
    """The value of a key, secrets hidden."""
    return shown(value_at(config, key))


def _differences(mine: Loaded, theirs: Loaded) -> Iterator[tuple[Key, Any, Any]]:
    for key in all_keys(ServerConfig):
        here, there = value_at(mine.config, key), value_at(theirs.config, key)
        if here != there:
            yield key, shown(here), shown(there)


def _default(key: Key) -> Any:
    if key.field.default_factory is not None:
        return "depends on the machine"
    return shown(key.field.default)


def _text(config: ServerConfig, key: Key) -> str:
    return written(key, value_at(config, key))


def _short(value: Any) -> str:
    return "none" if value is None else str(value)


def _selected(wanted: Sequence[str]) -> list[Key]:
    keys = list(all_keys(ServerConfig))
    for name in wanted:
        if not any(_fits(key, name) for key in keys):
            raise CommandError(
                Exit.USAGE, f"{name}: there is no such key{nearest_key(ServerConfig, name.split('.'))[0]}"
            )
    return [key for key in keys if not wanted or any(_fits(key, name) for name in wanted)]


def _fits(key: Key, name: str) -> bool:
    return key.path == name or key.path.startswith(f"{name}.")


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "key": problem.key or None,
        "message": problem.message,
        "got": problem.got or None,
        "nearest": problem.nearest or None,
        "origin": problem.origin or None,
        "line": problem.line,
    }


def _sources(file: Path | None, data_dir: Path | None) -> Sources:
    return Sources(file, {} if data_dir is None else {"data_dir": data_dir})


def _load(file: Path | None, data_dir: Path | None) -> Loaded:
    try:
        return load(_sources(file, data_dir))
    except ConfigError as error:
        raise CommandError(Exit.USAGE, f"the configuration is not valid:\n{error}") from None
