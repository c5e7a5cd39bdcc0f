"""PostgreSQL, by its address."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 5
# What a connection that was given up may still hold is free after that.
GIVEN_UP_SECONDS = 15
MIGRATION_SECONDS = 60
RECYCLE_SECONDS = 1800
_MIGRATION = "artlab tracker migration"


def parse_address(text: str) -> sa.URL:
    """Return the address with our driver in it. Raises ValueError, which does not quote it."""
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise ValueError("not an address postgresql://user:password@host:port/database") from None
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise ValueError("expected sqlite, none, or an address postgresql://…")
    # The rest of a password with an @ in it would count as the host, and be logged as such.
    if any("@" in part for part in (url.host or "", url.database or "")):
        raise ValueError("write an @ in the password as %40")
    return url.set(drivername="postgresql+psycopg")


class Postgresql:
    """See `services.recorder.tracker.sql.Database`."""

    def __init__(self, url: sa.URL) -> None:
        self._url = url
        self._line: socket.socket | None = None
        self._line_lock = threading.Lock()

    def connect(self) -> sa.Engine:
        """Return an engine with one connection."""
        engine = sa.create_engine(
            self._url,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "application_name": "artlab-recorder",
                # A pooler between may hand each transaction to another server process.
                "prepare_threshold": None,
            },
            pool_size=1,
            max_overflow=0,
            pool_recycle=RECYCLE_SECONDS,
        )
        sa.event.listen(engine, "connect", self._connected)
        sa.event.listen(engine, "close", self._closed)
        sa.event.listen(engine, "begin", _limit)
        return engine

    def migrating(self, connection: sa.Connection) -> None:
        """Wait until no other recorder migrates."""
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{MIGRATION_SECONDS}s'")
        _lock(connection, _MIGRATION)

    def writing(self, connection: sa.Connection, store_id: str) -> None:
        """Wait until an earlier call of ours that was given up has ended at the server."""
        _lock(connection, f"artlab tracker {store_id}")

    def interrupt(self) -> None:
        """Cut the connection, so that whoever waits for an answer on it hears its end."""
        with self._line_lock, contextlib.suppress(OSError):  # cut already
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)

    def _connected(self, connection: psycopg.Connection[Any], _: object) -> None:
        # Our own descriptor of the same connection: the number of the other one may mean another
        # file by the time somebody interrupts.
        with self._line_lock:
            self._line = socket.socket(fileno=os.dup(connection.fileno()))

    def _closed(self, connection: psycopg.Connection[Any], _: object) -> None:
        # There is one connection at a time.
        with self._line_lock:
            line, self._line = self._line, None
            if line is not None:
                line.close()


def _limit(connection: sa.Connection) -> None:
    # On the server, because there a client that was cut off can leave locks behind.
    connection.exec_driver_sql(
        f"SET LOCAL idle_in_transaction_session_timeout = '{GIVEN_UP_SECONDS}s';"
        f" SET LOCAL statement_timeout = '{GIVEN_UP_SECONDS}s'"
    )


def _lock(connection: sa.Connection, what: str) -> None:
    key = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], signed=True)
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
