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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest. The order within a file, and of the others, stays."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    folder = item.path.relative_to(TESTS).parts[0]
    return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
