"""Who works on the database, where several servers share one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crucible_server.store.types import Text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "servers",
        sa.Column("server_id", Text, primary_key=True),
        sa.Column("instance_id", Text, nullable=False),
        sa.Column("lease_end", sa.BigInteger, nullable=False),
        sa.Column("groups", sa.BigInteger, nullable=False),
        sa.Column("host", Text, nullable=False),
        sa.Column("process", sa.BigInteger, nullable=False),
        sa.Column("start_time", sa.BigInteger, nullable=False),
    )
