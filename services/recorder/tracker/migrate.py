"""Brings the tables of a tracker to the newest version, from any earlier one or from nothing."""

from __future__ import annotations

import threading
from importlib import resources

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

HEAD = "head"
# Its own name, because the database may be somebody else's too.
VERSION_TABLE = "artlab_tracker_version"
# Alembic keeps the migration that runs in a global.
_one_at_a_time = threading.Lock()


def configuration(connection: sa.Connection) -> Config:
    """Return what Alembic needs to migrate over this connection, inside its transaction."""
    config = Config()
    folder = resources.files("services.recorder.tracker").joinpath("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(connection: sa.Connection, to: str = HEAD) -> None:
    """Migrate. Raises CommandError when the tables are newer than this program."""
    with _one_at_a_time:
        command.upgrade(configuration(connection), to)
