"""Run by Alembic for every command; the connection comes from `crucible_server.store.schema`."""

from __future__ import annotations

from alembic import context

from crucible_server.store.tables import metadata

# All steps in one transaction, DDL included: a crash in the middle leaves the earlier schema whole.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
