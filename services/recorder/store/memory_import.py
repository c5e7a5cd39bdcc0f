"""The twin of `store.imports` in memory."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, MutableMapping, MutableSet
from typing import BinaryIO

from services.kit.ids import RunId
from services.recorder.domain.fields import DocumentError
from services.recorder.store.codec import decode_run
from services.recorder.store.layout import METADATA


class MemoryImport:
    """See `services.recorder.ports.StagedImport`."""

    def __init__(
        self,
        documents: MutableMapping[RunId, bytes],
        entities: MutableMapping[tuple[RunId, str], bytes],
        imported: MutableSet[RunId],
    ) -> None:
        """For a store that keeps these."""
        self._documents = documents
        self._entities = entities
        self._imported = imported
        self._archive = bytearray()
        self._staged: dict[RunId, dict[str, bytes]] = {}

    def append(self, data: bytes) -> None:
        """Write at the end of the archive."""
        self._archive += data

    def open_archive(self) -> BinaryIO:
        """Open the archive for reading."""
        return io.BytesIO(bytes(self._archive))

    def write(self, run_id: RunId, name: str, chunks: Iterable[bytes]) -> None:
        """Keep one file of a run."""
        self._staged.setdefault(run_id, {})[name] = b"".join(chunks)

    def defects(self, run_id: RunId) -> list[str]:
        """What is wrong with a staged run."""
        files = self._staged[run_id]
        try:
            run = decode_run(files[METADATA], run_id)
        except DocumentError as error:
            return [f"{METADATA}: {error}"]
        return [
            f"{one.filename}: not the recorded SHA-256"
            for one in run.entities
            if not one.is_erased
            and hashlib.sha256(files.get(one.filename, b"")).hexdigest() != one.sha256
        ]

    def admit(self, run_id: RunId) -> None:
        """Put a staged run among the others."""
        files = self._staged.pop(run_id)
        for name, data in files.items():
            if name != METADATA:
                self._entities[run_id, name] = data
        self._imported.add(run_id)
        self._documents[run_id] = files[METADATA]

    def discard(self) -> None:
        """Forget everything that is still staged."""
        self._staged.clear()
        self._archive.clear()
