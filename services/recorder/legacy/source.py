"""A legacy run as an export reads it, so that it comes in like any other archive."""

from __future__ import annotations

from pathlib import Path

from services.kit.errors import DataLoss
from services.kit.ids import RunId
from services.recorder.domain.entity import Entity
from services.recorder.legacy.folder import LegacyRun, open_legacy
from services.recorder.store.codec import RunEncoder
from services.recorder.store.runs import FileBytes


class LegacySource:
    """One run of the predecessor; implements `archive.source.RunSource`."""

    def __init__(self, folder: Path, found: LegacyRun) -> None:
        self._folder = folder
        self._found = found
        self._document = RunEncoder().encode(found.run)

    def read_document(self, run_id: RunId) -> bytes:
        """Return the metadata.json that this run gets."""
        return self._document

    def open_entity(self, run_id: RunId, entity: Entity) -> FileBytes:
        """Open the file an entity was found in. Raises DataLoss ENTITY_CORRUPT."""
        path = self._found.paths[entity.sequence - 1]
        try:
            return FileBytes(open_legacy(self._folder, path))
        except OSError as error:
            raise DataLoss("ENTITY_CORRUPT", f"{path}: {error.strerror}") from error

    def is_deleted(self, run_id: RunId) -> bool:
        """Nobody deletes here."""
        return False
