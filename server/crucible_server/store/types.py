"""Types of columns that mean the same in either database."""

from __future__ import annotations

from sqlalchemy import String

Text = String().with_variant(String(collation="C"), "postgresql")
"""Text in the order of its characters, as Python and SQLite have it, whatever language the database is set to."""
