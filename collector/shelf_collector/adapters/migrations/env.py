"""Run by Alembic on the connection that ``shelf_collector.adapters.database`` hands over."""

from __future__ import annotations

from alembic import context

from shelf_collector.adapters.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
