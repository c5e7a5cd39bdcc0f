"""Where the output of the services goes: one file each, bounded, the one before kept."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MAX_LOG_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 16 * 1024


class LogsNotWritable(Exception):
    """The folder for the logs cannot be used; the message says which and why."""


def log_file(folder: Path, service: str) -> Path:
    """The log of a service."""
    return folder / f"{service}.log"


def begin_log(path: Path) -> None:
    """Start an empty log and keep the one before beside it, as ``<service>.log.1``.

    Raises LogsNotWritable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            path.replace(_previous(path))
        path.touch(mode=0o600)
    except OSError as error:
        raise LogsNotWritable(f"cannot write logs to {path.parent}: {error.strerror}") from error


def open_log(path: Path) -> int:
    """Return a descriptor that appends; the caller closes it."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def bound_log(path: Path) -> None:
    """Move the content aside when it is over 16 MiB; the writer goes on with the same file."""
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        shutil.copyfile(path, _previous(path))
        os.truncate(path, 0)


def tail(path: Path, lines: int = 12) -> list[str]:
    """Return the last lines of a log, oldest first; empty when there is none."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    return text.splitlines()[-lines:]


def _previous(path: Path) -> Path:
    return path.with_name(path.name + ".1")
