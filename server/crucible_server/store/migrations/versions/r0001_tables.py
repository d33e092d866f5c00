"""Scripts, their names and byte code; executions and their output."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crucible_server.store.types import Text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Creates the tables."""
    op.create_table(
        "scripts",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("script_id", Text, primary_key=True),
        sa.Column("principal", Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("last_used_time", sa.BigInteger, nullable=False),
        sa.Column("source_bytes", sa.BigInteger, nullable=False),
        sa.Column("functions", sa.LargeBinary, nullable=False),
        sa.Column("source", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "script_names",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("name", Text, primary_key=True),
        sa.Column("script_id", Text, nullable=False),
        sa.Column("update_time", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
    )
    op.create_table(
        "units",
        sa.Column("unit_key", Text, primary_key=True),
        sa.Column("tenant", Text, nullable=False),
        sa.Column("script_id", Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.Column("unit", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
    )
    op.create_table(
        "executions",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("execution_id", Text, primary_key=True),
        sa.Column("script_id", Text, nullable=False),
        sa.Column("script_name", Text, nullable=False),
        sa.Column("function", Text, nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("detached", sa.Boolean, nullable=False),
        sa.Column("principal", Text, nullable=False),
        sa.Column("security_level", sa.Integer, nullable=False),
        sa.Column("instance_id", Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("start_time", sa.BigInteger),
        sa.Column("end_time", sa.BigInteger),
        sa.Column("expire_time", sa.BigInteger),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("redacted", sa.Boolean, nullable=False),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("limits", sa.LargeBinary, nullable=False),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.LargeBinary),
    )
    op.create_table(
        "execution_outputs",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("execution_id", Text, primary_key=True),
        sa.Column("output", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "probes",
        sa.Column("probe_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
