"""The store of what was changed in the configuration by calls: revisions, each with all that holds from it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, delete, func, select

from .base import OpenDatabase
from .config_tables import config_revisions
from .database import Connection
from .event_records import EventDraft
from .sql import compiled, fields

KEPT_REVISIONS = 1_000
"""The newest, the one in force among them; each holds all that calls have set, so none needs those before."""


@dataclass(frozen=True, slots=True)
class ConfigRevisionRecord:
    """One change. Versions are numbered from 1 on without gaps; the oldest may be kept no longer."""

    version: int
    time: int
    """Unix time in nanoseconds."""
    principal: str
    comment: str
    reverted_to: int | None
    changes: bytes
    """A serialized `crucible.v1.ConfigRevision` with nothing but its changes."""
    overlay: bytes
    """All values that calls have set, as JSON by key."""


_COLUMNS = [config_revisions.c[name] for name in fields(ConfigRevisionRecord)]
_INSERT = compiled(config_revisions.insert(), fields(ConfigRevisionRecord))
_SELECT = compiled(select(*_COLUMNS).where(config_revisions.c.version == bindparam("version")))
_SELECT_LATEST = compiled(
    select(*_COLUMNS).where(
        config_revisions.c.version == select(func.max(config_revisions.c.version)).scalar_subquery()
    )
)
_SELECT_PAGE = compiled(
    select(*_COLUMNS)
    .where(config_revisions.c.version < bindparam("before"))
    .order_by(config_revisions.c.version.desc())
    .limit(bindparam("count"))
)
_DELETE_OLD = compiled(delete(config_revisions).where(config_revisions.c.version <= bindparam("up_to")))


class ConfigStore(OpenDatabase):
    """Revisions of the configuration; they are the server's, not a tenant's."""

    async def latest_config_revision(self) -> ConfigRevisionRecord | None:
        """The revision in force; None when there was no change yet."""
        row = await self._readers.first(_SELECT_LATEST, ())
        return None if row is None else ConfigRevisionRecord(*row)

    async def get_config_revision(self, version: int) -> ConfigRevisionRecord | None:
        """A revision by its number; None when it never was, or is kept no longer."""
        row = await self._readers.first(_SELECT, (version,))
        return None if row is None else ConfigRevisionRecord(*row)

    async def list_config_revisions(self, before: int, count: int) -> Sequence[ConfigRevisionRecord]:
        """The revisions below a number, newest first."""

        def query(connection: Connection) -> list[ConfigRevisionRecord]:
            rows = connection.execute(_SELECT_PAGE, (before, count)).fetchall()
            return [ConfigRevisionRecord(*row) for row in rows]

        return await self._readers.run(query)

    async def add_config_revision(self, revision: ConfigRevisionRecord, events: Sequence[EventDraft] = ()) -> None:
        """Keeps a revision, drops what is too old, and tells. Raises StoreError (CONFLICT) when its number is taken."""
        await self._write(_add, revision, events)


_ADD = (_INSERT, _INSERT.taker())


def _add(connection: Connection, revision: ConfigRevisionRecord) -> None:
    statement, taker = _ADD
    connection.execute(statement, taker(revision))
    connection.execute(_DELETE_OLD, (revision.version - KEPT_REVISIONS,))
