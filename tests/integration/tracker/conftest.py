"""A database of each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services.recorder.tracker.choice import tracker_of
from services.recorder.tracker.memory import MemoryTracker
from services.recorder.tracker.ports import Tracker
from tests.support.postgres import database

Opener = Callable[[], Tracker]


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty database."""
    with database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def setting(request: pytest.FixtureRequest) -> str:
    """A setting that means a database, empty at first."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres"))
    return "sqlite"


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def trackers(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Makes trackers, not opened, over one place of each kind."""
    if request.param == "memory":
        shared = MemoryTracker()
        return lambda: shared
    setting = "sqlite"
    if request.param == "postgresql":
        setting = str(request.getfixturevalue("postgres"))

    def make() -> Tracker:
        tracker = tracker_of(setting, tmp_path / "tracker" / "executions.sqlite")
        assert tracker is not None
        return tracker

    return make


@pytest.fixture
def tracker(trackers: Opener) -> Iterator[Tracker]:
    """One that is open."""
    made = trackers()
    made.open("store-a")
    yield made
    made.close()
