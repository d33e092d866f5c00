"""The writer of PostgreSQL: a thread that outlives its connections.

Every group is one transaction that also renews the server's lease and notes the group's number. When the connection is
lost, that number tells whether the group was committed: it is executed again, or not, and its callers never notice.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence

import psycopg

from crucible_server.store.address import PostgresAddress
from crucible_server.store.announcements import encode
from crucible_server.store.errors import StoreError, StoreErrorKind
from crucible_server.store.writer import Write, Writer

from . import locks
from .connection import PostgresConnection
from .errors import is_conflict, is_lost, store_error
from .identity import Identity

_PATIENCE_SECONDS = 10.0
"""How long callers wait for a connection to come back before they are told; their writes are undone then."""
_PATIENCE_AT_STOP_SECONDS = 2.0
_FIRST_DELAY_SECONDS = 0.05
_LAST_DELAY_SECONDS = 1.0
_MAX_CONFLICTS = 5
_RENEWALS_PER_LEASE = 6


class _UndoneError(Exception):
    """An operation has failed, and what others of its group have done is undone with it."""


class PostgresWriter(Writer):
    """Owns the only writing connection of this server."""

    def __init__(
        self,
        connection: PostgresConnection,
        address: PostgresAddress,
        identity: Identity,
        lease_seconds: float,
        committed: Callable[[int], None],
        connect: Callable[[PostgresAddress], PostgresConnection],
    ) -> None:
        """Takes over a connection, and gets new ones by `connect`; enters the server in the database at once."""
        super().__init__(str(address), committed)
        self.idle_seconds = lease_seconds / _RENEWALS_PER_LEASE
        self.trouble = ""
        """Why writes wait at the moment; read from other threads."""
        self.lapsed: Callable[[], None] = lambda: None
        """Told in the event loop when the lease had run out and others have ended this server's executions."""
        self._connection: PostgresConnection | None = connection
        self._address = address
        self._identity = identity
        self._lease_seconds = lease_seconds
        self._connect = connect
        self._stopping = threading.Event()
        self._group = 0
        self._doubt: int | None = None
        self._trouble_since = 0.0
        self._is_entered = False
        self._thread.start()

    def _finish(self) -> None:
        self._stopping.set()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                row = (self._identity.server_id, self._identity.instance_id)
                self._connection.raw.execute(locks.DEREGISTER, row)
            self._connection.close()

    def _idle(self) -> None:
        self._execute_in_thread(())

    def _execute_in_thread(self, group: Sequence[Write]) -> None:
        delay, conflicts = _FIRST_DELAY_SECONDS, 0
        while True:
            try:
                self._execute(group)
                self.trouble = ""
                return
            except Exception as error:
                lost = is_lost(error) or self._connection is None
                if not lost:
                    self._undo()
                    conflicts += 1
                    if not is_conflict(error) or conflicts > _MAX_CONFLICTS:
                        self._fail(group, error)
                        return
                    continue
                self._lose(error)
                if self._is_given_up(group):
                    self._fail(group, error)
                    return
                if self._waited > _PATIENCE_SECONDS:
                    self._refuse_waiting(error)
            time.sleep(delay)
            delay = min(delay * 2, _LAST_DELAY_SECONDS)

    def _is_given_up(self, group: Sequence[Write]) -> bool:
        if not group:
            return True
        if self._stopping.is_set():
            return self._waited > _PATIENCE_AT_STOP_SECONDS
        # Of a group whose commit was sent nobody can be told what came of it before that is known.
        return self._doubt is None and self._waited > _PATIENCE_SECONDS

    @property
    def _waited(self) -> float:
        return time.monotonic() - self._trouble_since

    def _refuse_waiting(self, error: Exception) -> None:
        """Tells those behind a group in doubt, of whom nothing has been sent."""
        waiting = self._take_waiting()
        failure = self._told(error)
        for write in waiting:
            write.error = failure
        if waiting:
            self._answer(waiting, 0.0)

    def _execute(self, group: Sequence[Write]) -> None:
        if self._connection is None:
            self._connection = self._connect(self._address)
        if not self._is_entered:
            self._enter()
        if self._doubt is not None and self._was_committed():
            return
        try:
            self._attempt(group, is_careful=False)
        except _UndoneError:
            self._undo()
            self._attempt(group, is_careful=True)

    def _attempt(self, group: Sequence[Write], *, is_careful: bool) -> None:
        """One transaction. Carefully, each operation can be undone alone, which costs two more trips for each."""
        assert self._connection is not None
        raw = self._connection.raw
        # No number is used twice, whatever came of the first use.
        self._group += 1
        number = self._group
        identity = self._identity
        begun = raw.execute(locks.begin_group(identity.server_id, identity.instance_id, number, self._lease_seconds))
        while begun.nextset():
            pass
        is_lapsed = begun.rowcount != 1
        if is_lapsed:
            self._register(number)
        for write in group:
            write.error = None
            if is_careful:
                raw.execute("SAVEPOINT operation")
            try:
                write.result = write.operation(self._connection, write.argument)
            except Exception as error:
                # Locks, full disks and lost connections concern the transaction; the rest concerns one operation.
                if isinstance(error, psycopg.OperationalError):
                    raise
                write.error = store_error(error, self._address) if isinstance(error, psycopg.Error) else error
                if is_careful:
                    raw.execute("ROLLBACK TO operation")
                elif len(group) == 1 and not is_lapsed:
                    self._undo()
                    return
                elif write.compound or is_lapsed or isinstance(error, psycopg.Error):
                    raise _UndoneError from error
            if is_careful:
                raw.execute("RELEASE operation")
        self._doubt = number
        news, self._connection.news = self._connection.news.values(), {}
        ended = raw.execute(locks.commit(map(encode, news)))
        while ended.nextset():
            pass
        self._doubt = None
        if ended.statusmessage != "COMMIT":
            raise StoreError(StoreErrorKind.UNAVAILABLE, f"The store {self._address} undid a transaction. Try again.")
        if is_lapsed:
            # Before the callers of this group are answered: theirs is done under the new lease.
            self._tell_lapsed()

    def _was_committed(self) -> bool:
        """What came of the group whose commit was sent, but not answered."""
        assert self._connection is not None
        raw = self._connection.raw
        with raw.transaction():
            # The former connection may still be at it: it has this lock until it is done.
            raw.execute(locks.WRITE)
            row = raw.execute(locks.LAST_GROUP, (self._identity.server_id,)).fetchone()
        number, self._doubt = self._doubt, None
        return row is not None and row[0] == number

    def _enter(self) -> None:
        assert self._connection is not None
        raw = self._connection.raw
        with raw.transaction():
            raw.execute(locks.WRITE)
            raw.execute(locks.FORGET_OLD)
            self._register(self._group, take_over=self._identity.is_kept)
        self._is_entered = True

    def _register(self, number: int, *, take_over: bool = False) -> None:
        """Enters the server, within a transaction; under a new id when another goes by the one it has."""
        assert self._connection is not None
        row = {
            "instance_id": self._identity.instance_id,
            "lease_ns": int(self._lease_seconds * 1e9),
            "groups": number,
            "host": self._identity.host,
            "process": self._identity.process,
        }
        entry = {**row, "server_id": self._identity.server_id, "take_over": take_over}
        if self._connection.raw.execute(locks.REGISTER, entry).rowcount != 1:
            self._identity.renew()
            self._connection.raw.execute(locks.REGISTER, {**entry, "server_id": self._identity.server_id})

    def _tell_lapsed(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(lambda: self.lapsed())

    def _undo(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.raw.execute("ROLLBACK")

    def _lose(self, error: Exception) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.reconnects += 1
        if not self.trouble:
            self._trouble_since = time.monotonic()
        self.trouble = self._told(error).message

    def _told(self, error: Exception) -> StoreError:
        return error if isinstance(error, StoreError) else store_error(error, self._address)

    def _fail(self, group: Sequence[Write], error: Exception) -> None:
        failure = store_error(error, self._address) if isinstance(error, psycopg.Error) else error
        if self._doubt is not None:
            self._doubt = None
            failure = StoreError(
                StoreErrorKind.UNAVAILABLE, f"It is not known whether the last writes were kept: {failure}"
            )
        for write in group:
            write.error = failure
