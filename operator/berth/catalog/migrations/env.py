"""Run the migrations on the given connection and transaction (Alembic)."""

from __future__ import annotations

from alembic import context

from berth.catalog.db.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
