"""Archives on their way in: staged out of sight, then whole runs put among the others.

    <root>/.imports/<random>/archive          the file as it came
    <root>/.imports/<random>/<run_id>/        a run taken out of it

What lies here at a start was never told to anybody and is removed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Iterable
from typing import BinaryIO

from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.store import atomic
from services.recorder.store.atomic import UnsureError
from services.recorder.store.faults import storage_errors
from services.recorder.store.files import (
    FOLDER,
    names_in,
    open_for_append,
    open_regular,
    remove_tree,
)
from services.recorder.store.layout import Layout
from services.recorder.store.reserve import Reserve
from services.recorder.verify import verify_opened

log = logging.getLogger(__name__)

_ARCHIVE = "archive"
_FOLDER_MODE = 0o750


class DiskImport:
    """See `services.recorder.ports.StagedImport`."""

    def __init__(self, layout: Layout, reserve: Reserve) -> None:
        self._layout = layout
        self._reserve = reserve
        self._name = secrets.token_hex(8)
        with storage_errors(), reserve.ordinary(), contextlib.ExitStack() as opened:
            self._imports_fd = layout.open_imports()
            opened.callback(os.close, self._imports_fd)
            os.mkdir(self._name, _FOLDER_MODE, dir_fd=self._imports_fd)
            self._fd = os.open(self._name, FOLDER, dir_fd=self._imports_fd)
            opened.callback(os.close, self._fd)
            self._archive_fd = open_for_append(self._fd, _ARCHIVE, new=True)
            opened.callback(os.close, self._archive_fd)
            self._opened = opened.pop_all()

    def append(self, data: bytes) -> None:
        """Write at the end of the archive."""
        with storage_errors(), self._reserve.ordinary():
            atomic.write_all(self._archive_fd, data)

    def open_archive(self) -> BinaryIO:
        """Open the archive for reading."""
        with storage_errors():
            return os.fdopen(open_regular(self._fd, _ARCHIVE), "rb")

    def write(self, run_id: RunId, name: str, chunks: Iterable[bytes]) -> None:
        """Write one file of a run, durably."""
        with storage_errors(), self._reserve.ordinary():
            with contextlib.suppress(FileExistsError):
                os.mkdir(run_id.value, _FOLDER_MODE, dir_fd=self._fd)
            folder = os.open(run_id.value, FOLDER, dir_fd=self._fd)
            try:
                atomic.write_chunks(folder, name, chunks)
            finally:
                os.close(folder)

    def defects(self, run_id: RunId) -> list[str]:
        """What is wrong with a staged run."""
        with storage_errors():
            folder = os.open(run_id.value, FOLDER, dir_fd=self._fd)
        try:
            return verify_opened(folder, run_id)
        finally:
            os.close(folder)

    def admit(self, run_id: RunId) -> None:
        """Put a staged run among the others, durably and in one step."""
        with storage_errors(), self._reserve.ordinary():
            folder = os.open(run_id.value, FOLDER, dir_fd=self._fd)
            try:
                atomic.sync_folder(folder)
            finally:
                os.close(folder)
            # Before it can be seen. A mark whose run does not come does no harm.
            atomic.mark(self._layout.imported_fd, run_id.value)
            with atomic.anew(self._layout.root_fd) as root:
                atomic.move(self._fd, run_id.value, root, run_id.value)
                try:
                    atomic.sync_folder(root)
                except OSError as error:
                    # It may not be durable, so nobody may see it.
                    with contextlib.suppress(OSError):
                        atomic.move(root, run_id.value, self._fd, run_id.value)
                    raise UnsureError(error.errno, error.strerror) from error

    def discard(self) -> None:
        """Remove everything that is still staged."""
        with storage_errors():
            with contextlib.suppress(FileNotFoundError):
                remove_tree(self._imports_fd, self._name)
            self._opened.close()


def sweep_imports(layout: Layout) -> None:
    """Remove what imports that were cut short left behind; logs what cannot be removed."""
    try:
        folder = layout.open_imports()
        try:
            for name in names_in(folder):
                remove_tree(folder, name)
        finally:
            os.close(folder)
    except OSError as error:
        # Nobody sees it, so it is no reason not to start.
        log.warning("cannot sweep imports", extra=facts(errno=error.errno))
