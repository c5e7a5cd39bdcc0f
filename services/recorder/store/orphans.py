"""Files that look like entities and are in no record.

They leave the run folders and are not thrown away: `<run_id>.<random>.<name>` in `.orphans`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

from services.kit.ids import RunId
from services.recorder.store import atomic
from services.recorder.store.files import FOLDER, names_in, remove_tree

_ORPHANS = ".orphans"
# What people typed is nobody else's on a shared machine.
_FOLDER_MODE = 0o750


class Orphans:
    """The folder of orphans, made for the first one."""

    def __init__(self, root_fd: int, is_there: Callable[[str], bool]) -> None:
        """Below a root; `is_there` says whether there is a run of that id."""
        self._root_fd = root_fd
        self._is_there = is_there

    def add(self, run_id: RunId, dir_fd: int, name: str) -> None:
        """Move a file no record knows out of its run folder; it may be the only copy."""
        try:
            os.mkdir(_ORPHANS, _FOLDER_MODE, dir_fd=self._root_fd)
        except FileExistsError:
            pass
        orphans_fd = os.open(_ORPHANS, FOLDER, dir_fd=self._root_fd)
        try:
            atomic.move(dir_fd, name, orphans_fd, f"{run_id}.{secrets.token_hex(4)}.{name}")
        finally:
            os.close(orphans_fd)

    def sweep(self) -> None:
        """Erase the orphans of runs that are not there."""
        self._erase(lambda _, name: not self._is_there(name.partition(".")[0]))

    def erase(self, run_id: RunId, is_wanted: Callable[[int, str], bool]) -> None:
        """Erase those orphans of a run for which this holds; it is asked of folder and name."""
        self._erase(lambda fd, name: name.partition(".")[0] == run_id.value and is_wanted(fd, name))

    def _erase(self, is_wanted: Callable[[int, str], bool]) -> None:
        try:
            orphans_fd = os.open(_ORPHANS, FOLDER, dir_fd=self._root_fd)
        except FileNotFoundError:
            return
        try:
            gone = [name for name in names_in(orphans_fd) if is_wanted(orphans_fd, name)]
            for name in gone:
                remove_tree(orphans_fd, name)
            if gone:
                atomic.sync_folder(orphans_fd)
        finally:
            os.close(orphans_fd)
