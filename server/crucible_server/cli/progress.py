"""What moves on a terminal while something takes long: on standard error, gone when it is over."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.live import Live
    from rich.spinner import Spinner as Picture

_DELAY_SECONDS = 0.3
"""What takes less shows nothing."""


def can_move() -> bool:
    """Whether standard error is a terminal on which something may move."""
    return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


class Spinner:
    """Says what is waited for. A context manager; `clear` has to come before anything else is printed."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled and can_move()
        self._text = ""
        self._timer: asyncio.TimerHandle | None = None
        self._live: Live | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it says something, or is about to."""
        return self._timer is not None or self._live is not None

    def show(self, text: str) -> None:
        """Says this from now on, or in a moment. Has to be called in an event loop."""
        if not self._enabled:
            return
        self._text = text
        if self._live is not None:
            self._live.update(self._picture())
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY_SECONDS, self._appear)

    def _picture(self) -> Picture:
        from rich.spinner import Spinner as Picture

        return Picture("dots", text=self._text)

    def _appear(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._timer = None
        self._live = Live(
            self._picture(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=10,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def clear(self) -> None:
        """Says nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


@contextmanager
def bar(what: str, *, enabled: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; gives the function that is told how much is done, and of how much."""
    if not (enabled and can_move()):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as progress:
        task = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total or None)
