"""The tables of the index, and opening them.

Raise VERSION with any change of a table, of a summary or of what an audience may see: a file of
another version is thrown away and filled anew.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from services.recorder.store import atomic
from services.recorder.store.files import open_folder

VERSION = 5
_FILE_MODE = 0o640
_FOLDER_MODE = 0o750
_COPY = ".new"
# What may lie beside the file.
_BESIDE = ("", "-wal", "-shm", "-journal", _COPY)

# One process, one connection. A commit is not synced: what power loss takes is read from the
# folders again.
_PRAGMAS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA secure_delete = ON;
PRAGMA temp_store = MEMORY;
PRAGMA cache_size = -16384;
"""

# `runs` is narrow and lies in the order of the list, so that looking at every run is quick; what
# only a listed run needs is in `documents`.
_TABLES = f"""
BEGIN;
CREATE TABLE runs (
    created_us INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    state TEXT NOT NULL,
    config_name TEXT NOT NULL,
    safety_level TEXT NOT NULL,
    user_id TEXT NOT NULL,
    kinds INTEGER NOT NULL,
    duration_ms INTEGER,
    work_ms INTEGER,
    entities INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    text_id INTEGER,
    text_audience INTEGER,
    inode INTEGER,
    changed_ns INTEGER,
    metadata_bytes INTEGER,
    is_durable INTEGER NOT NULL,
    PRIMARY KEY (created_us, run_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX runs_by_id ON runs (run_id);
CREATE TABLE outputs (
    config_name TEXT NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (config_name, run_id)
) WITHOUT ROWID;
CREATE INDEX outputs_by_run ON outputs (run_id);
CREATE TABLE documents (run_id TEXT PRIMARY KEY, document BLOB NOT NULL);
CREATE TABLE inputs (id INTEGER PRIMARY KEY, text BLOB NOT NULL);
CREATE TABLE renders (
    user_id TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    PRIMARY KEY (user_id, digest, created_us, run_id)
) WITHOUT ROWID;
CREATE INDEX renders_by_run ON renders (run_id);
CREATE TABLE remains (id INTEGER PRIMARY KEY);
PRAGMA user_version = {VERSION};
COMMIT;
"""


class WrongVersionError(Exception):
    """The file was written by another version."""


def rewrite_file(connection: sqlite3.Connection, file: Path) -> sqlite3.Connection:
    """Put a copy in the place of the file, with what is in tables and nothing else; open that.

    Closes the connection once the copy is whole. Raises sqlite3.Error, OSError.
    """
    copy = file.with_name(file.name + _COPY)
    copy.unlink(missing_ok=True)
    _make(copy)
    try:
        connection.execute("VACUUM INTO ?", (str(copy),))
    except sqlite3.Error:
        copy.unlink(missing_ok=True)
        raise
    # Closed first: its log must not be taken for that of the copy.
    connection.close()
    folder = open_folder(file.parent)
    try:
        atomic.move(folder, copy.name, folder, file.name)
    finally:
        os.close(folder)
    return _prepared(str(file))


def open_file(file: Path) -> sqlite3.Connection:
    """Open the index, made where there is none.

    Raises sqlite3.Error, OSError, WrongVersionError.
    """
    file.parent.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    file.with_name(file.name + _COPY).unlink(missing_ok=True)
    _make(file)
    return _prepared(str(file))


def open_in_memory() -> sqlite3.Connection:
    """Open an index that lives as long as its connection."""
    return _prepared(":memory:")


def remove_file(file: Path) -> None:
    """Remove the index and what belongs to it. Raises OSError."""
    for suffix in _BESIDE:
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def _make(file: Path) -> None:
    # Made here, because SQLite would let everybody read it.
    os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE))


def _prepared(name: str) -> sqlite3.Connection:
    connection = sqlite3.connect(name, isolation_level=None, check_same_thread=False)
    try:
        connection.executescript(_PRAGMAS)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        if version == 0 and not tables:
            connection.executescript(_TABLES)
        elif version != VERSION:
            raise WrongVersionError(f"version {version}")
    except BaseException:
        connection.close()
        raise
    return connection
