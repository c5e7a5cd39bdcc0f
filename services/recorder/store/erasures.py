"""Bytes of erased entities: gone from the run folder, and wherever a stop may have left a copy."""

from __future__ import annotations

import hashlib
import logging
import os

from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.entity import Entity
from services.recorder.domain.run import Run
from services.recorder.store import atomic
from services.recorder.store.files import exists, open_regular
from services.recorder.store.layout import Layout

log = logging.getLogger(__name__)

_READ_BYTES = 1024 * 1024


class Erasures:
    """Removes what a record says is erased."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def erase(self, run_id: RunId, entity: Entity) -> None:
        """Remove the bytes of an erased entity, durably. Raises OSError.

        A crash before a commit was acknowledged may have left them among the orphans as well.
        """
        with self._layout.run_folder(run_id) as folder:
            if exists(folder, entity.filename):
                atomic.erase(folder, entity.filename)
                atomic.sync_folder(folder)
        self._layout.orphans.erase(run_id, lambda fd, name: holds(fd, name, entity))

    def finish(self, run: Run) -> None:
        """Remove what a stop left of erased entities; logs what the disk does not let go."""
        for entity in run.entities:
            if entity.is_erased:
                try:
                    self.erase(run.run_id, entity)
                except OSError as error:
                    # The record is true, nobody can read them, and the run must be able to go on.
                    log.error(
                        "bytes of an erased entity are left",
                        extra=facts(run=str(run.run_id), file=entity.filename, errno=error.errno),
                    )


def holds(dir_fd: int, name: str, entity: Entity) -> bool:
    """Whether a file has the bytes that were recorded of an entity."""
    try:
        fd = open_regular(dir_fd, name)
    except OSError:
        return False
    try:
        if os.fstat(fd).st_size != entity.size_bytes:
            return False
        digest = hashlib.sha256()
        while data := os.read(fd, _READ_BYTES):
            digest.update(data)
        return digest.hexdigest() == entity.sha256
    finally:
        os.close(fd)
