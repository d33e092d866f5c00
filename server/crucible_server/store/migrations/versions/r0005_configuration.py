"""What was changed in the configuration by calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crucible_server.store.types import Text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the table."""
    op.create_table(
        "config_revisions",
        sa.Column("version", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("comment", Text, nullable=False),
        sa.Column("reverted_to", sa.BigInteger),
        sa.Column("changes", sa.LargeBinary, nullable=False),
        sa.Column("overlay", sa.LargeBinary, nullable=False),
    )
