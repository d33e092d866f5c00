"""What a database has to offer to be a store: the seam between SQLite and PostgreSQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from .announcements import Announcement, Told
from .errors import StoreError
from .sql import Statement

if TYPE_CHECKING:
    from .writer import Writer

Synchronous: TypeAlias = Literal["NORMAL", "FULL"]


class Cursor(Protocol):
    """What a statement has found or done."""

    @property
    def rowcount(self) -> int:
        """How many rows it has changed."""

    def fetchone(self) -> Any:
        """The next row, or None."""

    def fetchall(self) -> list[Any]:
        """All rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Executes statements. Its methods raise the errors of the driver."""

    def execute(self, statement: Statement, parameters: Sequence[Any] = ()) -> Cursor:
        """Executes one statement."""

    def execute_many(self, statement: Statement, rows: Iterable[Sequence[Any]]) -> None:
        """Executes one statement for each row of parameters."""

    def stream(self, statement: Statement) -> Iterator[tuple[Any, ...]]:
        """All rows, without holding them in memory; within a snapshot only."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is read within is of one moment."""

    def erasing(self) -> AbstractContextManager[None]:
        """What is deleted within is overwritten, as far as the database can."""

    def end_lapsed_leases(self) -> None:
        """Within a write: servers that have been silent for too long have no executions any more."""

    def may_sweep(self) -> bool:
        """Within a write: whether this server is the one that deletes what is too old."""

    def announce(self, announcement: Told) -> None:
        """Within a write: tells all servers once it is committed; news for all of the group at once."""

    def interrupt(self) -> None:
        """Breaks off what it executes; may be called from another thread."""

    def close(self) -> None:
        """Closes it."""


class Database(ABC):
    """An open database. Its methods block, and are called from threads beside the event loop."""

    is_shared = False
    """Several servers may use it at once."""
    readers = 2
    """How many connections read at most."""
    errors: tuple[type[Exception], ...] = ()
    """What the driver raises."""
    reconnects = 0
    """Connections that were lost."""
    trouble = ""
    """What is being mended at the moment, such as a lost connection; empty when all is well."""

    @abstractmethod
    def __str__(self) -> str:
        """How messages call it; holds no password."""

    @abstractmethod
    def translate(self, error: Exception) -> StoreError:
        """The error of the store for one of the driver."""

    @abstractmethod
    def connect(self) -> Connection:
        """A new connection for reading. Raises the errors of the driver, and StoreError."""

    @abstractmethod
    def writer(self, committed: Callable[[int], None]) -> Writer:
        """The one writer, made once in the event loop; tells `committed`, in the loop, each group's size."""

    @property
    @abstractmethod
    def instance_id(self) -> str:
        """Names this run of the server in the records of its executions."""

    def is_lost(self, error: Exception) -> bool:
        """Whether an error means that the connection is gone, and a new one may do better."""
        return False

    @abstractmethod
    def on_lapse(self, lapsed: Callable[[], None]) -> None:
        """Has the event loop told when others have ended this server's executions because it was silent."""

    @abstractmethod
    def listen(self, heard: Callable[[Announcement], None]) -> None:
        """Has the event loop told what servers announce, this one included, until the writer is closed."""

    def other_servers(self) -> list[str]:
        """The other servers that use it, in words. Raises StoreError."""
        return []

    @abstractmethod
    def checkpoint(self) -> None:
        """Takes up what the log holds. Raises StoreError."""

    @abstractmethod
    def abandon(self) -> None:
        """Gives up what was opened when there is no writer to close it."""

    @abstractmethod
    def release(self) -> None:
        """After the writer has been closed: others may have the database now."""
