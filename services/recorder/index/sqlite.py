"""The index as a SQLite file below the root.

SQLite leaves copies of a moved row in the free space of a page, also with secure_delete. So what
people typed lies in a table whose rows never move: they are added at the end, and overwritten in
their place. What else may be left of a deleted run (its id, its pseudonym) goes when the file is
written anew.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.filter import Filter
from services.recorder.domain.run import Place
from services.recorder.domain.stats import RunStats, Tally
from services.recorder.domain.vocabulary import Audience, RunState
from services.recorder.index import rows
from services.recorder.index.memory import MemoryIndex, count
from services.recorder.index.port import Entry, IndexDamagedError, Listed
from services.recorder.index.query import older_than, where
from services.recorder.index.schema import (
    WrongVersionError,
    open_file,
    open_in_memory,
    remove_file,
    rewrite_file,
)
from services.recorder.ports import Stamp

log = logging.getLogger(__name__)

# Damaged again and again, the file is not worth another try.
_MAX_FILES = 3
# Primary codes that say something of the medium, not of the file's content.
_MEDIUM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    }
)


class SqliteIndex:
    """See `services.recorder.index.port.Index`."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._files_made = 0
        self._favourites: set[RunId] = set()
        # What could not be written yet; None is forgotten.
        self._unwritten: dict[RunId, Entry | None] = {}

    def open(self) -> Mapping[str, Stamp]:
        """Begin with the file, or with nothing when it is missing or wrong."""
        self._favourites.clear()
        self._unwritten.clear()
        try:
            self._connection = open_file(self._file)
            self._is_file = True
            try:
                return rows.stamps(self._connection)
            except BaseException:
                self._connection.close()
                raise
        except (sqlite3.Error, OSError, WrongVersionError) as error:
            log.warning("the index is made anew", extra=facts(why=str(error)))
            self._make_anew()
            return {}

    def close(self) -> None:
        """Close the file."""
        with suppress(sqlite3.Error):
            self._write()
        self._connection.close()

    def put(self, entries: Iterable[Entry], removed: Iterable[RunId]) -> None:
        """Replace and forget; the newest word on a run counts."""
        self._unwritten |= {entry.summary.run.run_id: entry for entry in entries}
        self._unwritten |= dict.fromkeys(removed)
        self._favourites -= {run_id for run_id, one in self._unwritten.items() if one is None}
        if not self._unwritten:
            return
        try:
            self._write()
        except sqlite3.Error as error:
            if _primary_code(error) not in _MEDIUM:
                raise IndexDamagedError(str(error)) from error
            log.warning(
                "the index waits for its disk",
                extra=facts(runs=len(self._unwritten), why=str(error)),
            )

    def keep_only(self, run_ids: Collection[RunId]) -> None:
        """Forget every other run."""
        kept = {run_id.value for run_id in run_ids}
        with _damage():
            known = self._connection.execute("SELECT run_id FROM runs").fetchall()
        ids = {run_id for (run_id,) in known} | {run_id.value for run_id in self._unwritten}
        self.put((), [RunId(run_id) for run_id in ids - kept])
        self._favourites &= set(run_ids)

    def set_favourites(self, marks: Mapping[RunId, bool]) -> None:
        """Mark and unmark."""
        self._favourites |= {run_id for run_id, wanted in marks.items() if wanted}
        self._favourites -= {run_id for run_id, wanted in marks.items() if not wanted}

    def page(
        self, wanted: Filter, audience: Audience, after: Place | None, size: int
    ) -> Sequence[Listed]:
        """Return up to `size` runs newest first, those older than `after`."""
        conditions = where(wanted, audience, self._favourites, self._unwritten)
        if after is not None:
            conditions.add(*older_than(after))
        with _damage():
            written = rows.listed(self._connection, conditions, size)
        found = [
            Listed(summary, summary.run.run_id in self._favourites, stamp)
            for summary, stamp in written
        ]
        if self._unwritten:
            found += self._overlay().page(wanted, audience, after, size)
            found.sort(key=lambda one: one.summary.run.place, reverse=True)
        return found[:size]

    def stats(self, wanted: Filter, audience: Audience) -> RunStats:
        """Count the runs that fit."""
        conditions = where(wanted, audience, self._favourites, self._unwritten)
        tally = Tally()
        with _damage():
            for state, config, runs, entities, size in rows.groups(self._connection, conditions):
                tally.add(RunState(state), config, runs=runs, entities=entities, size_bytes=size)
            for milliseconds, work_ms in rows.durations(self._connection, conditions):
                tally.add_duration(milliseconds, work_ms)
        for entry in self._overlay().fitting(wanted, audience):
            count(entry, tally)
        return tally.stats()

    def renders(self, user_id: str, digest: str, most: int) -> Sequence[Place]:
        """Return up to so many runs of a person that have such an output, newest first."""
        size = most + len(self._unwritten)
        with _damage():
            written = rows.renders(self._connection, user_id, digest, size)
        found = [one for one in written if one.run_id not in self._unwritten]
        found += self._overlay().renders(user_id, digest, most)
        return sorted(found, reverse=True)[:most]

    def purge(self) -> bool:
        """Overwrite, then move the log into the file and cut it, for it holds what there was."""
        try:
            if self._unwritten:
                self._write()
            busy, *_ = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            log.warning("cannot purge the index", extra=facts(why=str(error)))
            return False
        return not busy

    def rewrite(self) -> None:
        """Put a copy in the place of the file."""
        if not self._is_file:
            return
        with _damage():
            if not rows.has_remains(self._connection):
                return
            rows.drop_overwritten(self._connection)
        try:
            self._connection = rewrite_file(self._connection, self._file)
            rows.forget_remains(self._connection)
        except (sqlite3.Error, OSError) as error:
            log.warning("cannot write the index anew", extra=facts(why=str(error)))
            with _damage():
                self._connection.execute("SELECT 1")  # unless it is closed already

    def empty(self) -> None:
        """Throw the file away and begin a new one."""
        self._connection.close()
        self._unwritten.clear()
        self._make_anew()

    def _make_anew(self) -> None:
        self._files_made += 1
        try:
            remove_file(self._file)
            if self._files_made <= _MAX_FILES:
                self._connection = open_file(self._file)
                self._is_file = True
                return
        except (sqlite3.Error, OSError, WrongVersionError) as error:
            log.warning("the index stays in memory", extra=facts(why=str(error)))
        self._connection = open_in_memory()
        self._is_file = False

    def _write(self) -> None:
        with rows.transaction(self._connection):
            for run_id, entry in self._unwritten.items():
                if entry is None:
                    rows.forget(self._connection, run_id)
                else:
                    rows.put(self._connection, entry)
        self._unwritten.clear()

    def _overlay(self) -> MemoryIndex:
        overlay = MemoryIndex()
        overlay.put((one for one in self._unwritten.values() if one is not None), ())
        overlay.set_favourites(dict.fromkeys(self._favourites, True))
        return overlay


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF


@contextmanager
def _damage() -> Iterator[None]:
    """What cannot be read, or makes no sense, is damaged."""
    try:
        yield
    except (sqlite3.Error, DocumentError, ValueError, TypeError) as error:
        raise IndexDamagedError(str(error)) from error
