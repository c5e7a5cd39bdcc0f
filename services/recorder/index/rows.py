"""Entries as rows, and back. Raises sqlite3.Error."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import orjson

from services.kit.ids import RunId
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.run import Place
from services.recorder.domain.summary import Summary, read_summary, summary_document
from services.recorder.index.port import Entry
from services.recorder.index.query import Where, audience_rank, kind_bits, microseconds, moment
from services.recorder.ports import Stamp

_COLUMNS = (
    "created_us",
    "run_id",
    "state",
    "config_name",
    "safety_level",
    "user_id",
    "kinds",
    "duration_ms",
    "work_ms",
    "entities",
    "size_bytes",
    "text_id",
    "text_audience",
    "inode",
    "changed_ns",
    "metadata_bytes",
    "is_durable",
)
_PUT = (
    f"INSERT INTO runs ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608
    f"ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{one} = excluded.{one}' for one in _COLUMNS)}"
)


def put(connection: sqlite3.Connection, entry: Entry) -> None:
    """Write one run."""
    summary, run = entry.summary, entry.summary.run
    known = connection.execute("SELECT text_id FROM runs WHERE run_id = ?", (run.run_id.value,))
    (text_id,) = known.fetchone() or (None,)
    audience = None if entry.text_audience is None else audience_rank(entry.text_audience)
    connection.execute(
        _PUT,
        (
            microseconds(run.created_at),
            run.run_id.value,
            run.state,
            run.config_name,
            run.safety_level,
            run.user_id,
            kind_bits(output.kind for output in run.outputs),
            summary.duration_ms,
            summary.work_ms,
            summary.entities,
            summary.size_bytes,
            _put_text(connection, text_id, entry.text),
            audience,
            *(entry.stamp or (None, None, None)),
            entry.is_durable,
        ),
    )
    connection.execute(
        "INSERT INTO documents VALUES (?, ?) "
        "ON CONFLICT (run_id) DO UPDATE SET document = excluded.document",
        (run.run_id.value, orjson.dumps(summary_document(summary))),
    )
    # What a run was asked for never changes.
    connection.executemany(
        "INSERT OR IGNORE INTO outputs VALUES (?, ?)",
        ((output.config, run.run_id.value) for output in run.outputs),
    )
    connection.execute("DELETE FROM renders WHERE run_id = ?", (run.run_id.value,))
    connection.executemany(
        "INSERT INTO renders VALUES (?, ?, ?, ?)",
        (
            (run.user_id, digest, microseconds(run.created_at), run.run_id.value)
            for digest in entry.renders
        ),
    )


def forget(connection: sqlite3.Connection, run_id: RunId) -> None:
    """Remove one run; nothing happens when there is none."""
    known = connection.execute("SELECT text_id FROM runs WHERE run_id = ?", (run_id.value,))
    (text_id,) = known.fetchone() or (None,)
    _put_text(connection, text_id, None)
    connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id.value,))
    connection.execute("DELETE FROM documents WHERE run_id = ?", (run_id.value,))
    connection.execute("DELETE FROM outputs WHERE run_id = ?", (run_id.value,))
    connection.execute("DELETE FROM renders WHERE run_id = ?", (run_id.value,))
    connection.execute("INSERT OR IGNORE INTO remains VALUES (1)")


def stamps(connection: sqlite3.Connection) -> Mapping[str, Stamp]:
    """Return the stamps of what was durable, by run id."""
    found = connection.execute(
        "SELECT run_id, inode, changed_ns, metadata_bytes FROM runs "
        "WHERE is_durable AND inode IS NOT NULL"
    )
    return {run_id: Stamp(*stamp) for run_id, *stamp in found}


def listed(
    connection: sqlite3.Connection, conditions: Where, size: int
) -> Sequence[tuple[Summary, Stamp | None]]:
    """Return up to `size` runs newest first. Raises DocumentError."""
    found = connection.execute(
        "SELECT document, inode, changed_ns, metadata_bytes FROM "  # noqa: S608
        f"(SELECT * FROM runs WHERE {conditions.sql} "
        "ORDER BY created_us DESC, run_id DESC LIMIT ?) "
        "LEFT JOIN documents USING (run_id) ORDER BY created_us DESC, run_id DESC",
        (*conditions.values, size),
    )
    return [
        (_summary(document), None if stamp[0] is None else Stamp(*stamp))
        for document, *stamp in found.fetchall()
    ]


def renders(
    connection: sqlite3.Connection, user_id: str, digest: str, most: int
) -> Sequence[Place]:
    """Return up to so many runs of a person with such an output, newest first."""
    found = connection.execute(
        "SELECT created_us, run_id FROM renders WHERE user_id = ? AND digest = ? "
        "ORDER BY created_us DESC, run_id DESC LIMIT ?",
        (user_id, digest, most),
    )
    return [Place(moment(created_us), RunId(run_id)) for created_us, run_id in found]


def groups(
    connection: sqlite3.Connection, conditions: Where
) -> Iterable[tuple[str, str, int, int, int]]:
    """Return state, configuration, runs, entities and bytes of each group of runs."""
    return connection.execute(
        "SELECT state, config_name, COUNT(*), SUM(entities), SUM(size_bytes) "  # noqa: S608
        f"FROM runs WHERE {conditions.sql} GROUP BY state, config_name",
        conditions.values,
    )


def durations(
    connection: sqlite3.Connection, conditions: Where
) -> Iterable[tuple[int, int | None]]:
    """Return how long each final run took and was in work, in milliseconds, in no order."""
    return connection.execute(
        f"SELECT duration_ms, work_ms FROM runs WHERE duration_ms IS NOT NULL AND {conditions.sql}",  # noqa: S608
        conditions.values,
    )


def drop_overwritten(connection: sqlite3.Connection) -> None:
    """Drop the rows of texts that were overwritten."""
    connection.execute(
        "DELETE FROM inputs WHERE id NOT IN (SELECT text_id FROM runs WHERE text_id IS NOT NULL)"
    )


def has_remains(connection: sqlite3.Connection) -> bool:
    """Whether something was forgotten since the file was written."""
    return connection.execute("SELECT 1 FROM remains").fetchone() is not None


def forget_remains(connection: sqlite3.Connection) -> None:
    """Say that the file was written since."""
    connection.execute("DELETE FROM remains")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            connection.execute("ROLLBACK")
        raise


def _put_text(connection: sqlite3.Connection, old_id: int | None, text: str | None) -> int | None:
    data = None if text is None else text.encode()
    if old_id is not None:
        same = connection.execute("SELECT 1 FROM inputs WHERE id = ? AND text = ?", (old_id, data))
        if same.fetchone() is not None:
            return old_id
        # As long as before, so that it is overwritten where it is.
        connection.execute(
            "UPDATE inputs SET text = zeroblob(length(text)) WHERE id = ?", (old_id,)
        )
    if data is None:
        return None
    return connection.execute("INSERT INTO inputs (text) VALUES (?)", (data,)).lastrowid


def _summary(document: bytes | None) -> Summary:
    if document is None:
        raise DocumentError("a run without its document")
    return read_summary(orjson.loads(document))
