"""References and figures of scripts, output in segments, return values apart from results, indexes for lists."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op
from google.protobuf.message import DecodeError
from google.protobuf.proto import parse_length_prefixed

from crucible.v1 import execution_pb2
from crucible_server.store.types import Text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PAGE = 500
_SCRIPT = ["scripts.tenant", "scripts.script_id"]


def upgrade() -> None:
    """Rebuilds what changed its columns and takes the rows along; byte code is compiled anew."""
    _scripts()
    _units()
    _executions()
    _outputs()
    op.create_table(
        "settings",
        sa.Column("name", Text, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )


def _scripts() -> None:
    op.create_table(
        "script_references",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("script_id", Text, primary_key=True),
        sa.Column("principal", Text, primary_key=True),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "script_id"], _SCRIPT),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "script_stats",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("script_id", Text, primary_key=True),
        sa.Column("last_used_time", sa.BigInteger, nullable=False),
        sa.Column("total_executions", sa.BigInteger, nullable=False),
        sa.Column("successful_executions", sa.BigInteger, nullable=False),
        sa.Column("total_time_ns", sa.BigInteger, nullable=False),
        sa.Column("max_time_ns", sa.BigInteger, nullable=False),
        sa.Column("max_memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("last_execution_time", sa.BigInteger),
        sa.ForeignKeyConstraint(["tenant", "script_id"], _SCRIPT),
        sqlite_with_rowid=False,
    )
    op.execute(
        "INSERT INTO script_references (tenant, script_id, principal, create_time) "
        "SELECT tenant, script_id, principal, create_time FROM scripts"
    )
    # What the recorded executions tell; how much memory they used stays in their results.
    op.create_index("executions_of_script", "executions", ["tenant", "script_id"])
    op.execute(
        "INSERT INTO script_stats (tenant, script_id, last_used_time, total_executions, successful_executions, "
        "total_time_ns, max_time_ns, max_memory_bytes, last_execution_time) "
        "SELECT s.tenant, s.script_id, s.last_used_time, count(e.end_time), "
        "count(CASE WHEN e.state = 3 THEN 1 END), coalesce(sum(e.end_time - e.start_time), 0), "
        "coalesce(max(e.end_time - e.start_time), 0), 0, max(e.end_time) "
        "FROM scripts s LEFT JOIN executions e "
        "ON e.tenant = s.tenant AND e.script_id = s.script_id AND e.end_time IS NOT NULL "
        "GROUP BY s.tenant, s.script_id, s.last_used_time"
    )
    op.drop_index("executions_of_script", "executions")
    op.drop_column("scripts", "last_used_time")
    op.create_index("scripts_time", "scripts", ["tenant", "create_time", "script_id"])
    op.create_index("script_names_script", "script_names", ["tenant", "script_id", "name"])
    columns = ["tenant", "principal", "create_time", "script_id"]
    op.create_index("script_references_principal", "script_references", columns)


def _units() -> None:
    op.drop_table("units")
    op.create_table(
        "units",
        sa.Column("unit_key", Text, primary_key=True),
        sa.Column("tenant", Text, nullable=False),
        sa.Column("script_id", Text, nullable=False),
        sa.Column("toolchain", Text, nullable=False),
        sa.Column("create_time", sa.BigInteger, nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.Column("compiled", sa.LargeBinary, nullable=False),
        sa.Column("unit", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["tenant", "script_id"], _SCRIPT),
    )
    op.create_index("units_script", "units", ["tenant", "script_id"])
    op.create_index("units_toolchain", "units", ["toolchain"])


def _executions() -> None:
    old = sa.table("executions", *(sa.column(name) for name in _COLUMNS))
    op.create_table(
        "executions_rebuilt",
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
        sa.Column("result", sa.LargeBinary),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("return_value", sa.LargeBinary),
    )
    new = sa.table("executions_rebuilt", *(sa.column(name) for name in (*_COLUMNS, "return_value")))
    for rows in _pages(old, "tenant", "execution_id"):
        for row in rows:
            row["result"], row["return_value"] = _split(row["result"])
        op.get_bind().execute(sa.insert(new), rows)
    op.drop_table("executions")
    op.rename_table("executions_rebuilt", "executions")
    op.create_index("executions_time", "executions", ["tenant", "create_time", "execution_id"])
    op.create_index("executions_script", "executions", ["tenant", "script_id", "create_time", "execution_id"])
    op.create_index("executions_principal", "executions", ["tenant", "principal", "create_time", "execution_id"])
    op.create_index("executions_state", "executions", ["state", "tenant", "create_time", "execution_id"])
    op.create_index(
        "executions_ended",
        "executions",
        ["expire_time", "end_time"],
        sqlite_where=sa.text("end_time IS NOT NULL"),
        postgresql_where=sa.text("end_time IS NOT NULL"),
    )


def _outputs() -> None:
    old = sa.table("execution_outputs", *(sa.column(name) for name in ("tenant", "execution_id", "output")))
    new = op.create_table(
        "output_segments",
        sa.Column("tenant", Text, primary_key=True),
        sa.Column("execution_id", Text, primary_key=True),
        sa.Column("first_sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("last_sequence", sa.BigInteger, nullable=False),
        sa.Column("stdout_bytes", sa.BigInteger, nullable=False),
        sa.Column("stderr_bytes", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    for rows in _pages(old, "tenant", "execution_id"):
        segments = [row for row in map(_segment, rows) if row is not None]
        if segments:
            op.get_bind().execute(sa.insert(new), segments)
    op.drop_table("execution_outputs")


_COLUMNS = (
    "tenant",
    "execution_id",
    "script_id",
    "script_name",
    "function",
    "state",
    "detached",
    "principal",
    "security_level",
    "instance_id",
    "create_time",
    "start_time",
    "end_time",
    "expire_time",
    "last_sequence",
    "redacted",
    "request_hash",
    "limits",
    "result",
    "request",
)


def _pages(table: Any, *key: str) -> Iterator[list[dict[str, Any]]]:
    """The rows in the order of their key, some at a time: a store may be larger than the memory."""
    columns = [table.c[name] for name in key]
    page = sa.select(table).order_by(*columns).limit(_PAGE)
    after = sa.tuple_(*columns) > sa.tuple_(*(sa.bindparam(name) for name in key))
    rows = [dict(row) for row in op.get_bind().execute(page).mappings()]
    while rows:
        last = {name: rows[-1][name] for name in key}
        yield rows
        rows = [dict(row) for row in op.get_bind().execute(page.where(after), last).mappings()]


def _split(data: bytes | None) -> tuple[bytes | None, bytes | None]:
    """A result without its return value, and the return value."""
    if data is None:
        return None, None
    try:
        result = execution_pb2.ExecutionResult.FromString(data)
    except DecodeError:
        return data, None
    if not result.HasField("return_value"):
        return data, None
    value = result.return_value.SerializeToString()
    result.ClearField("return_value")
    return result.SerializeToString(), value


def _segment(row: dict[str, Any]) -> dict[str, Any] | None:
    """The one segment that an output becomes; None when it cannot be read or is empty."""
    stream = io.BytesIO(row["output"])
    first = last = stdout = stderr = 0
    try:
        while stream.tell() < len(row["output"]):
            chunk = parse_length_prefixed(execution_pb2.ExecutionChunk, stream)
            first = first or chunk.sequence
            last = chunk.sequence
            stdout += len(chunk.stdout.encode())
            stderr += len(chunk.stderr.encode())
    except (DecodeError, ValueError):
        return None
    if not first:
        return None
    return {
        "tenant": row["tenant"],
        "execution_id": row["execution_id"],
        "first_sequence": first,
        "last_sequence": last,
        "stdout_bytes": stdout,
        "stderr_bytes": stderr,
        "data": row["output"],
    }
