"""Hears what other servers announce, on a connection of its own that is mended when it breaks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import psycopg

from crucible_server.store.address import PostgresAddress
from crucible_server.store.announcements import Announcement, Missed, decode

from . import locks
from .connection import connect

# How long closing waits at most.
_STEP_SECONDS = 0.2
_DELAY_SECONDS = 1.0


class Listener:
    """A thread that tells `heard`, in that thread, from its construction to `close`."""

    def __init__(self, address: PostgresAddress, heard: Callable[[Announcement], None]) -> None:
        self._address = address
        self._heard = heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crucible-store-listener", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Blocks until the thread has ended."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(psycopg.Error):
                self._listen()
            self._stopping.wait(_DELAY_SECONDS)

    def _listen(self) -> None:
        connection = connect(self._address, read_only=True)
        try:
            connection.raw.execute(f"LISTEN {locks.CHANNEL}")
            # Before that, and since the last connection broke, nothing was heard.
            self._heard(Missed())
            while not self._stopping.is_set():
                for notification in connection.raw.notifies(timeout=_STEP_SECONDS):
                    self._heard(decode(notification.payload))
                # A connection that is silently gone breaks here.
                if connection.raw.closed:
                    return
        finally:
            connection.close()
