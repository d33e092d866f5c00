"""The configuration of a running server: read, changed, watched."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from crucible import AsyncClient
from crucible.v1 import config_pb2
from crucible.v1 import config_service_pb2 as pb
from crucible.values import to_fields
from crucible_server.cli.calls.connection import answer, complete, connect
from crucible_server.cli.calls.plain import emit_json, enum_word, plain
from crucible_server.cli.calls.times import day_time
from crucible_server.cli.exits import Exit
from crucible_server.cli.tables import emit_table
from crucible_server.cli.terminal import CommandError, emit

_PAGE = 1000


def show_config(server: str, keys: Sequence[str], *, as_json: bool) -> None:
    """Prints what is in force. Raises CommandError."""
    config = _ask(server, lambda client: client.config_stub.GetConfig, pb.GetConfigRequest(keys=keys)).config
    if as_json:
        emit_json(plain(config))
        return
    _print_entries(config.entries)
    emit(sys.stdout, f"version {config.version}\n")
    _print_problems(config)


def values_of(server: str) -> dict[str, Any]:
    """What is in force there, by key; without secrets. Raises CommandError."""
    config = _ask(server, lambda client: client.config_stub.GetConfig, pb.GetConfigRequest()).config
    return {entry.key: plain(entry.value) for entry in config.entries if entry.HasField("value")}


def set_config(
    server: str,
    assignments: Sequence[str],
    reset: Sequence[str],
    *,
    version: int | None,
    comment: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Sets some keys and takes others back. Raises CommandError."""
    try:
        values = to_fields(dict(map(_assignment, assignments)), "value")
    except ValueError as error:
        raise CommandError(Exit.USAGE, str(error)) from None
    request = pb.UpdateConfigRequest(
        values=values, reset_keys=reset, expected_version=version, comment=comment, validate_only=dry_run
    )
    response = _ask(server, lambda client: client.config_stub.UpdateConfig, request)
    _print_update(response, as_json=as_json, would=dry_run)


def revert_config(server: str, to: int, *, version: int | None, comment: str, as_json: bool) -> None:
    """Brings back an earlier version. Raises CommandError."""
    request = pb.RevertConfigRequest(version=to, expected_version=version, comment=comment)
    _print_update(_ask(server, lambda client: client.config_stub.RevertConfig, request), as_json=as_json)


def show_history(server: str, limit: int, *, as_json: bool) -> None:
    """Prints what calls have changed. Raises CommandError."""
    revisions = complete(_revisions(server, limit))
    if as_json:
        emit_json({"revisions": [plain(each) for each in revisions]})
        return
    emit_table(
        ("VERSION", "TIME", "PRINCIPAL", "WHAT", "COMMENT"),
        [
            (
                str(each.version),
                day_time(each.time),
                each.principal,
                (f"back to {each.reverted_to}: " if each.HasField("reverted_to") else "")
                + ("; ".join(map(_change_text, each.changes)) or "nothing changed"),
                each.comment,
            )
            for each in revisions
        ],
        shrink=("WHAT", "COMMENT"),
    )


def watch_config(server: str, *, as_json: bool) -> None:
    """Prints changes as they come. Raises CommandError when the connection is lost."""
    complete(_watch(server, as_json=as_json))


async def _watch(server: str, *, as_json: bool) -> None:
    async with connect(server) as client:
        is_first = True
        async for news in client.config_stub.WatchConfig(pb.WatchConfigRequest()):
            if as_json:
                emit_json(plain(news))
            elif is_first:
                emit(sys.stdout, f"version {news.version}; {len(news.entries)} keys\n")
            else:
                for entry in news.entries:
                    emit(sys.stdout, f"{day_time(news.time)}  {entry.key} = {_entry_text(entry)} ({_from(entry)})\n")
            if not as_json:
                _print_problems(news)
            is_first = False


async def _revisions(server: str, limit: int) -> list[config_pb2.ConfigRevision]:
    found: list[config_pb2.ConfigRevision] = []
    async with connect(server) as client:
        request = pb.ListConfigRevisionsRequest(page_size=min(limit, _PAGE))
        while True:
            page = await answer(client.config_stub.ListConfigRevisions, request)
            found += page.revisions
            if len(found) >= limit or not page.next_page_token:
                return found[:limit]
            request.page_token = page.next_page_token


def _ask(server: str, method: Callable[[AsyncClient], Any], request: Any) -> Any:
    async def ask() -> Any:
        async with connect(server) as client:
            return await answer(method(client), request)

    return complete(ask())


def _assignment(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise CommandError(Exit.USAGE, f"{text!r}: expected KEY=VALUE such as engine.max_cache_size=500")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _print_update(response: Any, *, as_json: bool, would: bool = False) -> None:
    if as_json:
        emit_json(plain(response))
        return
    for change in response.changes:
        emit(sys.stdout, _change_text(change) + "\n")
    if not response.changes:
        emit(sys.stdout, "nothing changes\n" if would else "nothing changed\n")
    if not would:
        emit(sys.stdout, f"version {response.config.version}\n")


def _print_entries(entries: Iterable[config_pb2.ConfigEntry]) -> None:
    emit_table(
        ("KEY", "VALUE", "FROM", "EFFECT"),
        [
            (
                entry.key,
                _entry_text(entry),
                _from(entry),
                enum_word(config_pb2.ConfigEffect.DESCRIPTOR, entry.effect),
            )
            for entry in entries
        ],
        shrink=("FROM", "VALUE"),
    )


def _print_problems(found: Any) -> None:
    for problem, what in (
        (found.file_problem, "the configuration file is not valid, so the former one"),
        (found.revision_problem, "what was set at another server does not fit this one, so what was set before"),
    ):
        if problem:
            emit(sys.stderr, f"warning: {what} is in force:\n{problem}\n")


def _entry_text(entry: config_pb2.ConfigEntry) -> str:
    if entry.secret:
        return "**********"
    text = _text(plain(entry.value))
    if entry.HasField("pending_value"):
        text += f", at the next start {_text(plain(entry.pending_value))}"
    return text


def _from(entry: config_pb2.ConfigEntry) -> str:
    return entry.origin or enum_word(config_pb2.ConfigLayer.DESCRIPTOR, entry.layer)


def _change_text(change: config_pb2.ConfigKeyChange) -> str:
    note = " (at the next start)" if change.restart_required else ""
    if not change.HasField("new_value"):
        return f"{change.key}: another secret{note}"
    return f"{change.key}: {_text(plain(change.old_value))} -> {_text(plain(change.new_value))}{note}"


def _text(value: Any) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
