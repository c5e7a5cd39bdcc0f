"""SQLite, embedded: one file beside the runs, for whoever has no database server."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from services.kit.log import facts

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Sqlite:
    """See `services.recorder.tracker.sql.Database`. Other programs may read it meanwhile."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._connection: sqlite3.Connection | None = None

    def connect(self) -> sa.Engine:
        """Return an engine over the file; a file that is broken is made anew."""
        self._file.parent.mkdir(mode=0o750, exist_ok=True)
        self._remove_if_broken()
        engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(self._file)),
            connect_args={"timeout": LOCK_SECONDS},
            pool_size=1,
            max_overflow=0,
        )

        def prepare(connection: sqlite3.Connection, _: Any) -> None:
            # The driver would begin transactions only before some statements, and not before
            # those of a migration.
            connection.isolation_level = None
            for pragma in (
                "journal_mode = WAL",  # readers and the writer do not wait for one another
                "synchronous = NORMAL",  # a power cut may take the last rows; they are caught up
                "foreign_keys = ON",
                "secure_delete = ON",
            ):
                connection.execute(f"PRAGMA {pragma}")
            self._connection = connection

        sa.event.listen(engine, "connect", prepare)
        sa.event.listen(engine, "begin", lambda c: c.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    def migrating(self, connection: sa.Connection) -> None:
        """The transaction alone is enough: it is the only one that writes."""

    def writing(self, connection: sa.Connection, store_id: str) -> None:
        """The transaction alone is enough: it is the only one that writes."""

    def interrupt(self) -> None:
        """End the statement that runs."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                connection.interrupt()

    def _remove_if_broken(self) -> None:
        # Nothing is lost: it is a copy.
        try:
            with contextlib.closing(
                sqlite3.connect(self._file, timeout=LOCK_SECONDS)
            ) as connection:
                connection.execute("PRAGMA schema_version")
                connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _BROKEN:
                return  # whoever uses it next says why
            log.warning("tracker file is broken and made anew", extra=facts(file=str(self._file)))
            for suffix in ("", "-wal", "-shm"):
                self._file.with_name(self._file.name + suffix).unlink(missing_ok=True)
