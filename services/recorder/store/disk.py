"""The store on a local disk: run folders below one root, one recorder per root."""

from __future__ import annotations

from pathlib import Path

from services.kit.ids import RunId, UploadName
from services.recorder.domain.entity import Entity
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import Contents, UploadBytes
from services.recorder.store.faults import storage_errors
from services.recorder.store.layout import Layout
from services.recorder.store.recovery import Recovery
from services.recorder.store.runs import FileBytes, RunFolders
from services.recorder.store.uploads import FileUpload, UploadFiles


class DiskStore:
    """See `services.recorder.ports.Store`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def open(self) -> Contents:
        """Lock the root and recover."""
        with storage_errors():
            self._layout = Layout(self._root)
        self._runs = RunFolders(self._layout)
        self._uploads = UploadFiles(self._layout, self._runs)
        self._recovery = Recovery(self._layout, self._runs, self._uploads)
        try:
            return self._recovery.recover_all()
        except BaseException:
            self._layout.close()
            raise

    def close(self) -> None:
        """Unlock the root. Nothing is written: a stop is a crash that was announced."""
        self._layout.close()

    def create_run(self, run: Run) -> None:
        """Make the run durable."""
        self._runs.create(run)

    def save_run(self, run: Run) -> None:
        """Replace the run's metadata."""
        self._runs.save(run)

    def load_run(self, run_id: RunId) -> Run:
        """Return a run."""
        return self._runs.load(run_id)

    def reload_run(self, run_id: RunId) -> Run:
        """Finish or undo what a failed write left behind, then load."""
        return self._recovery.recover_run(run_id)

    def read_document(self, run_id: RunId) -> bytes:
        """Return metadata.json."""
        return self._runs.document(run_id)

    def delete_run(self, run_id: RunId) -> None:
        """Remove every byte of a run."""
        self._runs.delete(run_id)

    def add_entity(self, run: Run, data: bytes) -> None:
        """Make `data` the newest entity of a run."""
        self._runs.add_entity(run, data)

    def begin_upload(self, record: UploadRecord) -> FileUpload:
        """Start an upload with no bytes."""
        return self._uploads.begin(record)

    def reopen_upload(self, record: UploadRecord) -> FileUpload:
        """Open an upload at its end."""
        return self._uploads.reopen(record)

    def keep_upload(self, record: UploadRecord, data: UploadBytes) -> int:
        """Make an unfinished upload durable."""
        return self._uploads.keep(record, data)

    def discard_upload(self, name: UploadName) -> None:
        """Remove an upload."""
        self._uploads.discard(name)

    def commit(self, record: UploadRecord, data: UploadBytes, run: Run) -> None:
        """Make an upload an entity."""
        self._uploads.commit(record, data, run)

    def open_entity(self, run_id: RunId, entity: Entity) -> FileBytes:
        """Open an entity's bytes."""
        return self._runs.open_entity(run_id, entity)
