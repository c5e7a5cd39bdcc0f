"""What concerns all tests: the order in which they run, and that none is timed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# An example takes as long as the machine lets it: no test fails because others run beside it.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

TESTS = Path(__file__).parent
# Their single tests take longest. Begun last, one of them keeps one core busy and the other idle.
LONGEST_FIRST = ("faults", "e2e")
# They wait for clocks of backends more than they work: one of them beside two that start processes
# uses what these would only contend for.
WAITING = "integration/media"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest, and those that wait among them. The order within a file stays."""
    files = list(dict.fromkeys(item.path for item in items))
    longest = [file for name in LONGEST_FIRST for file in files if _is_below(file, name)]
    waiting = [file for file in files if _is_below(file, WAITING)]
    begun = [*longest]
    for number, file in enumerate(waiting, start=1):
        begun.insert(min(3 * number - 1, len(begun)), file)
    place = {file: number for number, file in enumerate(dict.fromkeys([*begun, *files]))}
    items.sort(key=lambda item: place[item.path])


def _is_below(file: Path, folder: str) -> bool:
    return file.is_relative_to(TESTS / folder)
