"""Run by Alembic for `services.recorder.tracker.migrate`, over the connection given there."""

from __future__ import annotations

from alembic import context

from services.recorder.tracker.migrate import VERSION_TABLE
from services.recorder.tracker.tables import metadata

# The transaction is the caller's: all of a migration, or nothing of it.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    compare_type=True,
)
context.run_migrations()
