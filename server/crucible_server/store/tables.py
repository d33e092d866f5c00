"""The tables as they are now. How a store of an earlier version becomes this is in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

metadata = MetaData()

# Large columns come last: SQLite reads a row from its first column on, so lists do not read what they hold.

scripts = Table(
    "scripts",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("script_id", String, primary_key=True),
    Column("principal", String, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("last_used_time", BigInteger, nullable=False),
    Column("source_bytes", BigInteger, nullable=False),
    Column("functions", LargeBinary, nullable=False),
    Column("source", LargeBinary, nullable=False),
)

script_names = Table(
    "script_names",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("script_id", String, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
)

units = Table(
    "units",
    metadata,
    Column("unit_key", String, primary_key=True),
    Column("tenant", String, nullable=False),
    Column("script_id", String, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("unit", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
)

# No foreign key to scripts: the record of an execution outlives the script it ran.
executions = Table(
    "executions",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("execution_id", String, primary_key=True),
    Column("script_id", String, nullable=False),
    Column("script_name", String, nullable=False),
    Column("function", String, nullable=False),
    Column("state", Integer, nullable=False),
    Column("detached", Boolean, nullable=False),
    Column("principal", String, nullable=False),
    Column("security_level", Integer, nullable=False),
    Column("instance_id", String, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("start_time", BigInteger),
    Column("end_time", BigInteger),
    Column("expire_time", BigInteger),
    Column("last_sequence", BigInteger, nullable=False),
    Column("redacted", Boolean, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("limits", LargeBinary, nullable=False),
    Column("request", LargeBinary, nullable=False),
    Column("result", LargeBinary),
    Index(
        "executions_unfinished",
        "state",
        sqlite_where=text("state IN (1, 2)"),
        postgresql_where=text("state IN (1, 2)"),
    ),
)

execution_outputs = Table(
    "execution_outputs",
    metadata,
    Column("tenant", String, primary_key=True),
    Column("execution_id", String, primary_key=True),
    Column("output", LargeBinary, nullable=False),
)

probes = Table(
    "probes",
    metadata,
    Column("probe_id", Integer, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
)
