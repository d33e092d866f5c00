"""Events, the place up to which they have been deleted, and registered services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crucible_server.store.types import Text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "events",
        sa.Column(
            "sequence",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("tenant", Text, nullable=False),
        sa.Column("type", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("script_id", Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("event_id", Text),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_index(
        "events_event_id",
        "events",
        ["tenant", "event_id"],
        unique=True,
        sqlite_where=sa.text("event_id IS NOT NULL"),
        postgresql_where=sa.text("event_id IS NOT NULL"),
    )
    positions = op.create_table(
        "event_positions",
        sa.Column("position_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(positions, [{"position_id": 1, "last_sequence": 0}])
    op.create_table(
        "services",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("service_id", Text, primary_key=True),
        sa.Column("service_type", Text, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("register_time", sa.BigInteger, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False),
        sa.Column("lease_ns", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("status_message", Text, nullable=False),
        sa.Column("info", sa.LargeBinary, nullable=False),
        sa.Column("health_check", sa.LargeBinary, nullable=False),
    )
