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
    Table,
    text,
)

from .types import Text

metadata = MetaData()

# Large columns come last: SQLite reads a row from its first column on, so lists do not read what they hold.

scripts = Table(
    "scripts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("script_id", Text, primary_key=True),
    Column("principal", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("source_bytes", BigInteger, nullable=False),
    Column("functions", LargeBinary, nullable=False),
    Column("source", LargeBinary, nullable=False),
    Index("scripts_time", "tenant", "create_time", "script_id"),
)

script_names = Table(
    "script_names",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("script_id", Text, nullable=False),
    Column("update_time", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
    Index("script_names_script", "tenant", "script_id", "name"),
)

# Who has stored a script. `create_time` is the script's: one principal's scripts are listed by it.
script_references = Table(
    "script_references",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("script_id", Text, primary_key=True),
    Column("principal", Text, primary_key=True),
    Column("create_time", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
    Index("script_references_principal", "tenant", "principal", "create_time", "script_id"),
    sqlite_with_rowid=False,
)

# Apart from the scripts, and narrow: every execution changes its row.
script_stats = Table(
    "script_stats",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("script_id", Text, primary_key=True),
    Column("last_used_time", BigInteger, nullable=False),
    Column("total_executions", BigInteger, nullable=False),
    Column("successful_executions", BigInteger, nullable=False),
    Column("total_time_ns", BigInteger, nullable=False),
    Column("max_time_ns", BigInteger, nullable=False),
    Column("max_memory_bytes", BigInteger, nullable=False),
    Column("last_execution_time", BigInteger),
    ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
    sqlite_with_rowid=False,
)

units = Table(
    "units",
    metadata,
    Column("unit_key", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("script_id", Text, nullable=False),
    Column("toolchain", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("compiled", LargeBinary, nullable=False),
    Column("unit", LargeBinary, nullable=False),
    ForeignKeyConstraint(["tenant", "script_id"], ["scripts.tenant", "scripts.script_id"]),
    Index("units_script", "tenant", "script_id"),
    Index("units_toolchain", "toolchain"),
)

# No foreign key to scripts: the record of an execution outlives the script it ran.
executions = Table(
    "executions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("execution_id", Text, primary_key=True),
    Column("script_id", Text, nullable=False),
    Column("script_name", Text, nullable=False),
    Column("function", Text, nullable=False),
    Column("state", Integer, nullable=False),
    Column("detached", Boolean, nullable=False),
    Column("principal", Text, nullable=False),
    Column("security_level", Integer, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("start_time", BigInteger),
    Column("end_time", BigInteger),
    Column("expire_time", BigInteger),
    Column("last_sequence", BigInteger, nullable=False),
    Column("redacted", Boolean, nullable=False),
    Column("request_hash", LargeBinary, nullable=False),
    Column("limits", LargeBinary, nullable=False),
    Column("result", LargeBinary),
    Column("request", LargeBinary, nullable=False),
    Column("return_value", LargeBinary),
    Index("executions_time", "tenant", "create_time", "execution_id"),
    Index("executions_script", "tenant", "script_id", "create_time", "execution_id"),
    Index("executions_principal", "tenant", "principal", "create_time", "execution_id"),
    Index("executions_state", "state", "tenant", "create_time", "execution_id"),
    Index(
        "executions_ended",
        "expire_time",
        "end_time",
        sqlite_where=text("end_time IS NOT NULL"),
        postgresql_where=text("end_time IS NOT NULL"),
    ),
)

output_segments = Table(
    "output_segments",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("execution_id", Text, primary_key=True),
    Column("first_sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("last_sequence", BigInteger, nullable=False),
    Column("stdout_bytes", BigInteger, nullable=False),
    Column("stderr_bytes", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

probes = Table(
    "probes",
    metadata,
    Column("probe_id", Integer, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
)

# Who works on the database: one row for each server that shares it. SQLite has one server, and no rows.
servers = Table(
    "servers",
    metadata,
    Column("server_id", Text, primary_key=True),
    Column("instance_id", Text, nullable=False),
    Column("lease_end", BigInteger, nullable=False),
    Column("groups", BigInteger, nullable=False),
    Column("host", Text, nullable=False),
    Column("process", BigInteger, nullable=False),
    Column("start_time", BigInteger, nullable=False),
)
