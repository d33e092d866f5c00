"""Lists that come in pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from crucible_server.cli.options import State

MAX_PAGE = 1000
"""The largest page that a server sends."""

_Row = TypeVar("_Row")


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
class Listing(Generic[_Row]):
    """Rows, and the token that asks for those after them; empty when there are none."""

    rows: list[_Row]
    next_page_token: str


async def collect(
    ask: Callable[[int, str], Awaitable[tuple[Sequence[_Row], str]]], options: ListOptions
) -> Listing[_Row]:
    """Asks for page after page, each by its size and token, until there are enough."""
    rows: list[_Row] = []
    token = options.page_token
    while True:
        wanted = MAX_PAGE if options.is_all else min(MAX_PAGE, options.limit - len(rows))
        page, token = await ask(wanted, token)
        rows += page
        # Pages may come with fewer rows than asked for.
        if not token or (not options.is_all and len(rows) >= options.limit):
            return Listing(rows, token)
