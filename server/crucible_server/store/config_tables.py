"""The table of changes of the configuration that were made by calls."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from .tables import metadata
from .types import Text

config_revisions = Table(
    "config_revisions",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("principal", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("reverted_to", BigInteger),
    Column("changes", LargeBinary, nullable=False),
    Column("overlay", LargeBinary, nullable=False),
)
