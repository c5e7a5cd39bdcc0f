"""Deleted runs: never seen again, and every byte of them removed.

A deletion is done once its tombstone is durable: from then on the run is out of sight, whatever
becomes of its folder, and a copy that a backup brings back is deleted again. Its bytes go right
after; what cannot be removed now is tried again by every sweep and every start.

When there is no room for a tombstone the run goes to the trash first. Its emptied folder stays
there in the tombstone's place until that can be written.
"""

from __future__ import annotations

import logging

from services.kit.errors import ArtlabError, InvalidArgument
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.store import atomic
from services.recorder.store.atomic import UnsureError
from services.recorder.store.faults import is_full, storage_errors
from services.recorder.store.layout import Layout
from services.recorder.store.upload_names import remove_uploads

log = logging.getLogger(__name__)


class Deletions:
    """Remembers what is deleted and removes it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._unfinished: set[RunId] = set()
        # In the trash without a tombstone.
        self._owed: set[RunId] = set()

    def recover(self) -> None:
        """Delete again what was restored, and finish what a stop cut short."""
        with storage_errors():
            for run_id in self._layout.restored():
                log.warning(
                    "a deleted run has a folder: deleting it again", extra=facts(run=str(run_id))
                )
                self._finish(run_id)
            for run_id in self._layout.favourites():
                if self.is_deleted(run_id):
                    self._finish(run_id)  # its removal was not durable, or it was restored
            for name, run in self._layout.trash().items():
                try:
                    run_id = RunId.parse(run)
                except InvalidArgument:
                    log.warning("not ours, in the trash", extra=facts(file=name))
                    continue
                if run not in self._layout.deleted:
                    self._owed.add(run_id)
                    self._layout.deleted.add(run)
                self._finish(run_id)

    def is_deleted(self, run_id: RunId) -> bool:
        """Whether the run was here and was deleted."""
        return run_id.value in self._layout.deleted

    def delete(self, run_id: RunId) -> None:
        """Delete a run; nothing happens when there is none, or none any more.

        Raises ResourceExhausted, Internal: it is still there, or nobody knows.
        """
        if not self.is_deleted(run_id):
            with storage_errors():
                if not self._layout.has_run(run_id):
                    return  # remembering what never was would fill the disk for whoever asks
                self._remember(run_id)
        self._finish(run_id)

    def sweep(self) -> None:
        """Try again what could not be removed."""
        for run_id in list(self._unfinished):
            self._finish(run_id)

    def _remember(self, run_id: RunId) -> None:
        try:
            atomic.mark(self._layout.tombstones_fd, run_id.value)
        except OSError as error:
            if not is_full(error) or isinstance(error, UnsureError):
                raise
            self._layout.trash_run(run_id)
            self._owed.add(run_id)
        self._layout.deleted.add(run_id.value)

    def _finish(self, run_id: RunId) -> None:
        is_first = run_id not in self._unfinished
        self._unfinished.add(run_id)
        try:
            with storage_errors():
                self._remove(run_id)
        except ArtlabError as error:
            if is_first:
                log.error(
                    "bytes of a deleted run are left; trying again",
                    extra=facts(run=str(run_id), reason=error.reason),
                )
        else:
            self._unfinished.discard(run_id)

    def _remove(self, run_id: RunId) -> None:
        layout = self._layout
        layout.trash_run(run_id)
        # Its bytes make the room that its tombstone needs.
        layout.empty_trash(run_id, keep_folder=run_id in self._owed)
        remove_uploads(layout.uploads_fd, run_id)
        layout.orphans.sweep()
        atomic.remove(layout.favourites_fd, run_id.value)
        atomic.remove(layout.imported_fd, run_id.value)
        if run_id in self._owed:
            atomic.mark(layout.tombstones_fd, run_id.value)
            self._owed.discard(run_id)
            layout.empty_trash(run_id, keep_folder=False)
