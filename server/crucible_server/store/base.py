"""A database that is open: one writer, some readers, checkpoints beside them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar

from . import event_operations
from . import execution_operations as operations
from .announcements import Announcement
from .database import Connection, Database, Synchronous
from .errors import StoreError, StoreErrorKind
from .event_operations import Drafts
from .event_records import StoredEvent
from .execution_statements import COUNT_EXECUTIONS, SELECT_PROBE, SELECT_SETTING
from .open import DEFAULT_LEASE_SECONDS, open_database
from .reader import Readers
from .script_statements import COUNT_SCRIPTS
from .writer import Operation

T = TypeVar("T")

# Operations between checkpoints; some 10 MB of log.
_CHECKPOINT_OPERATIONS = 300
# How long `open` waits for the count of what is stored.
_COUNT_SECONDS = 0.05


class OpenDatabase:
    """Opening, closing, checkpoints and settings; what is stored is added by those that inherit."""

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        """Takes over a database that nothing else writes to, and what is counted in it."""
        self._database = database
        self._readers = Readers(database)
        self._writer = database.writer(self._committed)
        self._loop = asyncio.get_running_loop()
        self._since_checkpoint = 0
        self._checkpoint: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self.on_events: Callable[[list[StoredEvent]], None] = lambda _: None
        """Told of events once they are committed. Those of one group come in order; of two groups, either may be told
        first."""
        self._heard: list[Callable[[Announcement], None]] = []
        # What came and went since the store was opened; what was there before is counted beside.
        self._execution_count = 0
        self._script_count = 0
        self._snapshot = snapshot
        self._counting = self._loop.create_task(self._count())
        # Whoever needs the count is told; nobody may.
        self._counting.add_done_callback(lambda task: task.cancelled() or task.exception())

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        synchronous: Synchronous = "NORMAL",
        password: str | None = None,
        identity: Path | None = None,
        lease_seconds: float = DEFAULT_LEASE_SECONDS,
    ) -> Self:
        """Opens what `url` names, creating or upgrading it. Raises StoreError, which says what to do.

        For the parameters see `open_database`.
        """

        def prepare() -> tuple[Database, Snapshot]:
            database = open_database(
                url, password, synchronous=synchronous, identity=identity, lease_seconds=lease_seconds
            )
            try:
                return database, Snapshot(database)
            except BaseException:
                database.abandon()
                raise

        database, snapshot = await asyncio.to_thread(prepare)
        store = cls(database, snapshot)
        await asyncio.wait((store._counting,), timeout=_COUNT_SECONDS)
        return store

    @property
    def is_shared(self) -> bool:
        """Other servers may use the database at the same time."""
        return self._database.is_shared

    @property
    def instance_id(self) -> str:
        """Names this run of the server in the records of its executions."""
        return self._database.instance_id

    @property
    def trouble(self) -> str:
        """What the store is mending at the moment, such as a lost connection; empty when all is well."""
        return self._database.trouble

    @property
    def reconnects(self) -> int:
        """Connections to the database that were lost since the start."""
        return self._database.reconnects + self._writer.reconnects

    def on_write(self, written: Callable[[float], None]) -> None:
        """Has `written` called, in the event loop, with the seconds that each transaction took."""
        self._writer.written = written

    def on_lapse(self, lapsed: Callable[[], None]) -> None:
        """Has `lapsed` called when other servers have ended this one's executions because it was silent."""
        self._database.on_lapse(lapsed)

    def listen(self, heard: Callable[[Announcement], None]) -> None:
        """Has `heard` called, in the event loop, with what the servers that share the database announce.

        That is what this one announces as well. Any number may listen.
        """
        self._heard.append(heard)
        if len(self._heard) == 1:
            self._database.listen(self._hear)

    async def close(self) -> None:
        """Writes what is queued and closes. Calling it again only waits for the first."""
        if self._closing is not None:
            await asyncio.shield(self._closing)
            return
        self._closing = self._loop.create_future()
        try:
            self._flush()
            if not self._counting.done():
                self._snapshot.interrupt()
            await asyncio.wait((self._counting,))
            if self._checkpoint is not None:
                await self._checkpoint
            # The writer goes last: the last connection to close folds the log back into the database.
            await self._readers.close()
            await self._writer.close()
            await asyncio.to_thread(self._database.release)
        finally:
            self._closing.set_result(None)

    @property
    def execution_count(self) -> int:
        """Executions of all tenants; in a large store, for a moment after `open`, only those that came since."""
        return self._execution_count

    @property
    def script_count(self) -> int:
        """Scripts of all tenants; likewise."""
        return self._script_count

    async def get_setting(self, name: str) -> bytes | None:
        """What was put under this name last."""
        row = await self._readers.first(SELECT_SETTING, (name,))
        return None if row is None else bytes(row[0])

    async def put_setting(self, name: str, value: bytes) -> None:
        """Keeps a value under a name, in place of an earlier one."""
        await self._writer.submit(operations.put_setting, (name, value))

    async def claim_setting(self, name: str, value: bytes) -> bytes:
        """Keeps a value under a name that has none yet; returns the one that it has then."""
        return await self._writer.submit(operations.claim_setting, (name, value), compound=True)

    async def other_servers(self) -> list[str]:
        """The other servers that use the database, in words. Raises StoreError."""
        if self.is_shared:
            # The first write enters this one: until then an earlier run of it, which was killed, counts as another.
            await self._writer.submit(_nothing, None)
        return await asyncio.to_thread(self._database.other_servers)

    async def is_sweeper(self) -> bool:
        """Whether this server does what one of those that share a database has to do."""
        return not self.is_shared or await self._writer.submit(operations.may_sweep, None)

    async def may_sweep(self) -> bool:
        """Whether this server deletes what is too old or too much: of those that share a database one does.

        Counts anew then, as others have written as well.
        """
        if not self.is_shared:
            return True
        if not await self.is_sweeper():
            return False
        executions, scripts = await asyncio.to_thread(lambda: Snapshot(self._database).count())
        await asyncio.shield(self._counting)
        self._execution_count, self._script_count = executions, scripts
        return True

    async def check(self) -> None:
        """Writes a probe row and reads it back."""
        now = time.time_ns()
        await self._writer.submit(operations.write_probe, now)
        row = await self._readers.first(SELECT_PROBE, (1,))
        if row is None or row[0] < now:
            raise StoreError(
                StoreErrorKind.UNAVAILABLE,
                f"The store {self._database} does not give back what was written: expected {now}, got {row}. "
                "Check whether another program has replaced it; restart the server.",
            )

    async def _write(
        self,
        operation: Operation[T],
        argument: Any,
        events: Drafts,
        *,
        small: bool = False,
        committed: Callable[[T], None] = lambda _: None,
    ) -> T:
        """Does an operation together with the events that tell of it, all or nothing."""

        def both_committed(both: tuple[T, list[StoredEvent]]) -> None:
            committed(both[0])
            self._tell(both[1])

        both: tuple[T, list[StoredEvent]] = await self._writer.submit(
            event_operations.tell, (operation, argument, events), compound=True, small=small, committed=both_committed
        )
        return both[0]

    def _post(self, operation: Operation[Any], argument: Any, events: Drafts) -> asyncio.Future[Any]:
        """The same, when nobody has to wait for the outcome. Raises StoreError when the store is closed."""
        write = (operation, argument, events)
        future = self._writer.submit(
            event_operations.tell, write, compound=True, committed=lambda both: self._tell(both[1])
        )
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    def _tell(self, events: list[StoredEvent]) -> None:
        if events:
            self.on_events(events)

    def _hear(self, announcement: Announcement) -> None:
        for heard in self._heard:
            heard(announcement)

    def _flush(self) -> None:
        """Queues what was only noted so far."""

    async def _count(self) -> None:
        # A million executions may take a second, which the start of a server does not wait for.
        executions, scripts = await asyncio.to_thread(_count, self._snapshot)
        self._add_executions(executions)
        self._add_scripts(scripts)

    def _add_executions(self, number: int) -> None:
        self._execution_count += number

    def _add_scripts(self, number: int) -> None:
        self._script_count += number

    def _committed(self, count: int) -> None:
        self._since_checkpoint += count
        due = self._since_checkpoint >= _CHECKPOINT_OPERATIONS
        if due and self._checkpoint is None and self._closing is None:
            self._since_checkpoint = 0
            self._checkpoint = self._loop.create_task(self._make_checkpoint())

    async def _make_checkpoint(self) -> None:
        # A checkpoint waits for the disk; in the writer's own thread every caller would wait with it.
        try:
            await asyncio.to_thread(self._database.checkpoint)
        except StoreError:
            # Nothing is lost: the log grows until the next one, or the writer's own, succeeds.
            pass
        finally:
            self._checkpoint = None


class Snapshot:
    """A connection that sees the store as it is now for as long as it is open."""

    def __init__(self, database: Database) -> None:
        """Raises StoreError."""
        self._database = database
        self._stack = ExitStack()
        try:
            with ExitStack() as stack:
                self._connection: Connection = database.connect()
                stack.callback(self._connection.close)
                stack.enter_context(self._connection.snapshot())
                self._connection.execute(SELECT_PROBE, (1,)).fetchone()
                self._stack = stack.pop_all()
        except database.errors as error:
            raise database.translate(error) from error
        self.interrupt = self._connection.interrupt

    def count(self) -> tuple[int, int]:
        """Executions and scripts of all tenants; closes the connection. Raises StoreError."""
        try:
            with self._stack:
                (executions,) = self._connection.execute(COUNT_EXECUTIONS).fetchone()
                (scripts,) = self._connection.execute(COUNT_SCRIPTS).fetchone()
                return executions, scripts
        except self._database.errors as error:
            raise self._database.translate(error) from error


def _count(snapshot: Snapshot) -> tuple[int, int]:
    return snapshot.count()


def _nothing(connection: Connection, argument: None) -> None:
    """An operation that only passes through the writer."""
