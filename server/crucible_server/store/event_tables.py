"""The tables of events and of registered services."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, text

from .tables import metadata
from .types import Text

# A rowid in SQLite: events come and go at the ends of the table, and are read along it.
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

events = Table(
    "events",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=False),
    Column("tenant", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("script_id", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("event_id", Text),
    Column("data", LargeBinary, nullable=False),
    # Only what clients emit has an id of its own: the others cost no index.
    Index(
        "events_event_id",
        "tenant",
        "event_id",
        unique=True,
        sqlite_where=text("event_id IS NOT NULL"),
        postgresql_where=text("event_id IS NOT NULL"),
    ),
)

# One row: the last sequence number that was deleted. It is not written for each event: that would be one more page for
# each commit.
event_positions = Table(
    "event_positions",
    metadata,
    Column("position_id", Integer, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, nullable=False),
)

services = Table(
    "services",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("service_id", Text, primary_key=True),
    Column("service_type", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("register_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("lease_ns", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("status_message", Text, nullable=False),
    Column("info", LargeBinary, nullable=False),
    Column("health_check", LargeBinary, nullable=False),
)
