"""The journal of hand-ins in SQLite: one small file, which copies of this service may share."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import TypeVar

from services.kit.clock import Clock
from services.kit.errors import Unavailable
from services.kit.log import facts
from services.media.comfy.journal import HandIn

log = logging.getLogger(__name__)

FILE = "handed_in.sqlite"
# Longer than any run lasts, its second try included.
KEPT_SECONDS = 2 * 86400.0
MAX_KEPT = 20_000
PRUNE_EVERY = 500
LOCK_SECONDS = 5.0
_BROKEN = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS handed_in (
    upload TEXT PRIMARY KEY, prompt_id TEXT NOT NULL, url TEXT NOT NULL, attempt INTEGER NOT NULL,
    deadline_at REAL NOT NULL, stopped INTEGER NOT NULL, written_at REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS written ON handed_in (written_at);
"""
_PUT = "INSERT OR REPLACE INTO handed_in VALUES (?, ?, ?, ?, ?, ?, ?)"
_GET = (
    "SELECT upload, prompt_id, url, attempt, deadline_at, stopped FROM handed_in"
    " WHERE upload = ? AND written_at >= ?"
)
_PRUNE = (
    "DELETE FROM handed_in WHERE written_at < ? OR upload NOT IN"
    " (SELECT upload FROM handed_in ORDER BY written_at DESC LIMIT ?)"
)

T = TypeVar("T")


class SqliteJournal:
    """See `services.media.comfy.journal.Journal`. Between `open` and `close`.

    Args:
        folder: made if it is not there.
        clock: the wall clock says how old an entry is.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._file = folder / FILE
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="media-journal")
        self._connection: sqlite3.Connection | None = None
        self._puts = 0

    async def open(self) -> None:
        """Open the file; one that is broken is set aside. Raises MEDIA_STATE_UNAVAILABLE."""
        await self._run(self._open)

    async def close(self) -> None:
        """Close the file and end the thread."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def put(self, hand_in: HandIn) -> None:
        """See `Journal.put`."""
        await self._run(lambda: self._put(hand_in))

    async def get(self, upload: str) -> HandIn | None:
        """See `Journal.get`."""
        return await self._run(lambda: self._get(upload))

    async def _run(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            with _errors(self._file):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    def _open(self) -> None:
        self._file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        try:
            self._connection = self._connect()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) not in _BROKEN:
                raise
            # It only saves work: without it jobs are looked for at every instance that answers.
            log.warning("journal set aside", extra=facts(file=str(self._file), why=str(error)))
            for ending in ("", "-wal", "-shm"):
                found = self._file.with_name(self._file.name + ending)
                if found.exists():
                    found.replace(found.with_name(found.name + ".broken"))
            self._connection = self._connect()
        self._prune(self._connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._file, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # Also after a power cut: ComfyUI may run on another machine.
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
            for (verdict,) in connection.execute("PRAGMA quick_check(1)"):
                if verdict != "ok":
                    error = sqlite3.DatabaseError("the check found damage")
                    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                    raise error
        except BaseException:
            connection.close()
            raise
        return connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _put(self, hand_in: HandIn) -> None:
        connection = self._opened()
        connection.execute(_PUT, (*astuple(hand_in), self._now()))
        self._puts += 1
        if self._puts % PRUNE_EVERY == 0:
            self._prune(connection)

    def _get(self, upload: str) -> HandIn | None:
        wanted = (upload, self._now() - KEPT_SECONDS)
        row = self._opened().execute(_GET, wanted).fetchone()
        if row is None:
            return None
        upload, prompt_id, url, attempt, deadline_at, stopped = row
        return HandIn(upload, prompt_id, url, attempt, deadline_at, bool(stopped))

    def _prune(self, connection: sqlite3.Connection) -> None:
        connection.execute(_PRUNE, (self._now() - KEPT_SECONDS, MAX_KEPT))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.ProgrammingError("the journal is not open")
        return self._connection

    def _now(self) -> float:
        return self._clock.now().timestamp()


@contextmanager
def _errors(file: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise Unavailable(
            "MEDIA_STATE_UNAVAILABLE",
            f"{file} cannot be used ({type(error).__name__}: {error}); "
            "ARTLAB_MEDIA_STATE names a folder that can be written",
        ) from error
