"""The store on a local disk: run folders below one root, one recorder per root."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from services.kit.errors import Internal, ResourceExhausted
from services.kit.ids import RunId, UploadName
from services.recorder.domain.claim import Claim
from services.recorder.domain.entity import Entity
from services.recorder.domain.room import Room
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import Contents, Inspection, Intake, Stamp
from services.recorder.ports_bytes import UploadBytes
from services.recorder.store import atomic
from services.recorder.store.atomic import Syncs
from services.recorder.store.claims import ClaimFiles
from services.recorder.store.deletions import Deletions
from services.recorder.store.erasures import Erasures
from services.recorder.store.faults import storage_errors
from services.recorder.store.files import read_regular
from services.recorder.store.imports import DiskImport, sweep_imports
from services.recorder.store.layout import SCRUB, Layout
from services.recorder.store.recovery import Recovery
from services.recorder.store.reserve import Reserve
from services.recorder.store.runs import FileBytes, RunFolders, unknown_run
from services.recorder.store.uploads import FileUpload, UploadFiles
from services.recorder.verify import inspect_opened

MAX_SCRUB_BYTES = 4 * 1024 * 1024


class DiskStore:
    """See `services.recorder.ports.Store`."""

    def __init__(
        self, root: Path, tombstones: Path | None = None, *, reserve_bytes: int = 0
    ) -> None:
        """Over a root; tombstones are in the folder given, or below the root.

        `reserve_bytes` are kept back for ends on a full disk.
        """
        self._root = root
        self._tombstones = tombstones
        self._reserve_bytes = reserve_bytes

    def open(self, intake: Intake | None = None) -> Contents:
        """Lock the root and recover."""
        with storage_errors():
            self._layout = Layout(self._root, self._tombstones)
        self._deletions = Deletions(self._layout)
        self._syncs = Syncs()
        self._runs = RunFolders(self._layout, self._syncs)
        self._reserve = Reserve(self._layout, self._reserve_bytes)
        self._uploads = UploadFiles(self._layout, self._runs, self._reserve)
        self._erasures = Erasures(self._layout)
        self._claims = ClaimFiles(self._layout)
        self._recovery = Recovery(self._layout, self._runs, self._uploads, self._erasures)
        try:
            sweep_imports(self._layout)
            self._runs.sweep()
            self._deletions.recover()
            if intake is not None:
                intake.begin()
            contents = self._recovery.recover_all(intake)
            # A damaged run may come back from a backup, and its drivers with it.
            keep = {run.run_id for run in contents.open_runs} | set(contents.damaged)
            with storage_errors():
                contents = replace(contents, claims=self._claims.recover(keep))
        except BaseException:
            self._layout.close()
            raise
        # What was begun goes first.
        self._reserve.prepare()
        return contents

    def close(self) -> None:
        """Unlock the root. Nothing is written: a stop is a crash that was announced."""
        self._reserve.close()
        self._layout.close()
        self._syncs.close()
        self._uploads.close()

    def store_id(self) -> str:
        """Return the id of this store."""
        with storage_errors():
            return self._layout.store_id()

    def run_ids(self) -> list[RunId]:
        """Return every run there is."""
        with storage_errors():
            return self._layout.run_ids()

    def create_run(self, run: Run, data: Sequence[bytes] = ()) -> None:
        """Make the run durable, with the bytes of its first entities."""
        with storage_errors(), self._reserve.ordinary():
            self._runs.create(run, data)

    def save_run(self, run: Run, *, is_end: bool) -> None:
        """Replace the run's metadata."""
        if is_end:
            self._reserve.end(lambda: self._runs.save(run))
        else:
            with storage_errors(), self._reserve.ordinary():
                self._runs.save(run)
        if run.is_final:
            self._claims.drop(run.run_id)

    def load_run(self, run_id: RunId) -> Run:
        """Return a run."""
        return self._runs.load(run_id)

    def reload_run(self, run_id: RunId) -> Run:
        """Finish or undo what a failed write left behind, then load."""
        # Without it nothing can end the run. It takes no room that it does not give back.
        run = self._reserve.end(lambda: self._recovery.recover_run(run_id))
        if run.is_final:
            self._claims.drop(run_id)
        return run

    def stamp(self, run_id: RunId) -> Stamp:
        """Return the stamp of metadata.json."""
        return self._runs.stamp(run_id)

    def read_document(self, run_id: RunId) -> bytes:
        """Return metadata.json."""
        return self._runs.document(run_id)

    def inspect_run(self, run_id: RunId) -> Inspection[list[str]]:
        """Look at every byte of a run as it is on the medium."""
        try:
            with self._layout.run_folder(run_id) as folder:
                return (yield from inspect_opened(folder, run_id, fresh=True))
        except OSError as error:
            if not self._layout.has_run(run_id):
                raise unknown_run() from error
            return [f"the folder: {error.strerror}"]

    def read_scrub(self) -> bytes:
        """Return what `write_scrub` wrote last."""
        with storage_errors():
            try:
                return read_regular(self._layout.root_fd, SCRUB, MAX_SCRUB_BYTES)
            except FileNotFoundError:
                return b""

    def write_scrub(self, state: bytes) -> None:
        """Keep how far the scrubber is."""
        with storage_errors(), self._reserve.ordinary():
            atomic.put_file(self._layout.root_fd, SCRUB, state)

    def favourites(self) -> list[RunId]:
        """Return the runs that are marked."""
        with storage_errors():
            return self._layout.favourites()

    def set_favourite(self, run_id: RunId, wanted: bool) -> None:
        """Mark a run, or no longer."""
        marks = self._layout.favourites_fd
        with storage_errors():
            if not wanted:
                atomic.unmark(marks, run_id.value)
                return
            with self._reserve.ordinary():
                atomic.mark(marks, run_id.value)

    def save_claim(self, run_id: RunId, claim: Claim) -> None:
        """Replace what is kept of a run's claim."""

        def save() -> None:
            with storage_errors():
                self._claims.save(run_id, claim)

        # Without a driver nothing can end the run. It takes no room but that of a name.
        self._reserve.end(save)

    def is_imported(self, run_id: RunId) -> bool:
        """Whether a run came in by an import."""
        return self._layout.is_imported(run_id)

    def delete_run(self, run_id: RunId) -> None:
        """Remove every byte of a run."""
        self._runs.forget(run_id)
        self._reserve.end(lambda: self._deletions.delete(run_id))
        self._claims.drop(run_id)

    def is_deleted(self, run_id: RunId) -> bool:
        """Whether the run was here and was deleted."""
        return self._deletions.is_deleted(run_id)

    def sweep(self) -> None:
        """Try again to remove what deletions left, then to make the reserve whole."""
        self._deletions.sweep()
        self._reserve.refill()

    def room(self) -> Room:
        """How much room there is on the disk."""
        return self._reserve.room()

    def add_entities(self, run: Run, data: Sequence[bytes]) -> None:
        """Make `data` the newest entities of a run."""
        with storage_errors(), self._reserve.ordinary():
            self._runs.add_entities(run, data)

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

    def erase_entity(self, run_id: RunId, entity: Entity) -> None:
        """Remove the bytes of an entity."""
        try:
            with storage_errors():
                self._erasures.erase(run_id, entity)
        except ResourceExhausted as error:
            # It would promise that nothing happened, and the record has changed already.
            raise Internal("STORAGE_ERROR", "erased bytes may still be on the disk") from error

    def stage_import(self) -> DiskImport:
        """Make room for an archive on its way in."""
        return DiskImport(self._layout, self._reserve)

    def open_entity(self, run_id: RunId, entity: Entity) -> FileBytes:
        """Open an entity's bytes."""
        return self._runs.open_entity(run_id, entity)
