"""Every run below a root, looked at from outside, also while a recorder writes there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from services.recorder.ports import Inspection
from services.recorder.store.layout import is_run_id
from services.recorder.verify import NOT_LISTED, inspect_run

# A commit is between two of its steps for milliseconds, and on a busy disk for seconds.
LOOK_AGAIN_SECONDS = 1.0
MOST_LOOKS = 10
_PAUSES = 10


def run_folders(root: Path) -> list[Path]:
    """Return the folders of a root that are named after runs, in order. Raises OSError."""
    with os.scandir(root) as found:
        names = [
            one.name for one in found if is_run_id(one.name) and one.is_dir(follow_symlinks=False)
        ]
    return [root / name for name in sorted(names)]


def inspect_beside_a_writer(folder: Path) -> Inspection[list[str]]:
    """What is wrong with a run folder, though somebody may be writing to it; see `inspect_run`.

    What is wrong for a moment, or of a run that is deleted meanwhile, is nothing.
    """
    found = yield from inspect_run(folder)
    looks = 1
    while found and (looks == 1 or (looks < MOST_LOOKS and _may_be_unfinished(found))):
        yield from _pause()
        again = yield from inspect_run(folder)
        looks += 1
        if not folder.exists():
            return []
        found = [one for one in again if one in found]
    return found


def _may_be_unfinished(found: list[str]) -> bool:
    return all(one.endswith(NOT_LISTED) for one in found)


def _pause() -> Iterator[int]:
    for _ in range(_PAUSES):
        time.sleep(LOOK_AGAIN_SECONDS / _PAUSES)
        yield 0
