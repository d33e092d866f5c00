"""Alembic's environment: one file in `versions` for each step of the schema."""
