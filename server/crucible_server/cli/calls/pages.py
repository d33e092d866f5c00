"""Lists that come in pages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from crucible import AsyncClient
from crucible_server.cli.calls.connection import answer, complete, connect
from crucible_server.cli.calls.plain import emit_json, plain
from crucible_server.cli.options import State
from crucible_server.cli.tables import emit_table
from crucible_server.cli.terminal import emit

MAX_PAGE = 1000
"""The largest page that a server sends."""

_Row = TypeVar("_Row", bound=Message)


@dataclass(frozen=True)
class ListOptions:
    """What `list` was asked for, in the words of the command line."""

    server: str
    principal: str
    since: str | None
    until: str | None
    limit: int
    is_all: bool
    page_token: str
    ids_only: bool
    as_json: bool
    name_prefix: str = ""
    script: str = ""
    states: Sequence[State] = ()


@dataclass(frozen=True)
class ListView(Generic[_Row]):
    """One kind of list: how it is asked for and how its rows look."""

    rows: str
    """The field of the response that holds the rows, and their name in JSON."""
    method: Callable[[AsyncClient], Any]
    """The RPC, of a client."""
    id_of: Callable[[_Row], str]
    header: Sequence[str]
    row: Callable[[_Row], Sequence[str]]
    shrink: Sequence[str]
    """Columns that are cut first where the terminal is too narrow."""
    plain: Callable[[_Row], Any] = plain
    """How a row looks in JSON."""


def print_list(view: ListView[_Row], request: Any, options: ListOptions) -> None:
    """Prints a list. Raises CommandError."""
    rows, token = complete(_collect(view, request, options))
    if options.as_json:
        emit_json({view.rows: [view.plain(row) for row in rows], "next_page_token": token})
        return
    if options.ids_only:
        emit(sys.stdout, "".join(f"{view.id_of(row)}\n" for row in rows))
    else:
        emit_table(view.header, map(view.row, rows), shrink=view.shrink)
    if token:
        # Not on standard output, which others may read.
        emit(sys.stderr, f"there are more: add --all, a higher --limit, or --page-token {token}\n")


async def _collect(view: ListView[_Row], request: Any, options: ListOptions) -> tuple[list[_Row], str]:
    """Asks for page after page until there are enough; the rows, and the token that asks for those after them."""
    rows: list[_Row] = []
    request.page_token = options.page_token
    async with connect(options.server) as client:
        while True:
            request.page_size = MAX_PAGE if options.is_all else min(MAX_PAGE, options.limit - len(rows))
            page = await answer(view.method(client), request)
            rows += getattr(page, view.rows)
            request.page_token = page.next_page_token
            # Pages may come with fewer rows than asked for.
            if not request.page_token or (not options.is_all and len(rows) >= options.limit):
                return rows, request.page_token
