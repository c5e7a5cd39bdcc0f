"""Which tracker a setting means."""

from __future__ import annotations

from pathlib import Path

from services.recorder.tracker.ports import Tracker

# What a database needs is imported where one is wanted: it is half of the program's start.
NONE = "none"
SQLITE = "sqlite"


def check_tracker(setting: str) -> None:
    """Raise ValueError, which does not quote the setting, when it means nothing."""
    if setting not in (NONE, SQLITE):
        from services.recorder.tracker.postgresql import parse_address

        parse_address(setting)


def tracker_of(setting: str, file: Path) -> Tracker | None:
    """Return the tracker; an embedded one is kept in `file`. None when there is to be none."""
    if setting == NONE:
        return None
    from services.recorder.tracker.sql import SqlTracker

    if setting == SQLITE:
        from services.recorder.tracker.sqlite import Sqlite

        return SqlTracker(Sqlite(file))
    from services.recorder.tracker.postgresql import Postgresql, parse_address

    return SqlTracker(Postgresql(parse_address(setting)))
