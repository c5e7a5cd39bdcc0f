"""Which tracker a setting means."""

from __future__ import annotations

from pathlib import Path

from services.recorder.tracker.ports import Tracker
from services.recorder.tracker.postgresql import Postgresql, parse_address
from services.recorder.tracker.sql import SqlTracker
from services.recorder.tracker.sqlite import Sqlite

NONE = "none"
SQLITE = "sqlite"


def check_tracker(setting: str) -> None:
    """Raise ValueError, which does not quote the setting, when it means nothing."""
    if setting not in (NONE, SQLITE):
        parse_address(setting)


def tracker_of(setting: str, file: Path) -> Tracker | None:
    """Return the tracker; an embedded one is kept in `file`. None when there is to be none."""
    if setting == NONE:
        return None
    if setting == SQLITE:
        return SqlTracker(Sqlite(file))
    return SqlTracker(Postgresql(parse_address(setting)))
