"""What a start does about a stop that came at a bad moment.

For each upload record (design: commit protocol): intent and entity in metadata: drop the record ·
intent and file in the run folder: step 5 · intent and bytes with the right digest: steps 4 and 5 ·
intent otherwise: drop · no intent: the upload is still open.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable

from services.kit.errors import DataLoss, Internal, NotFound, ResourceExhausted
from services.kit.ids import RunId, UploadName
from services.kit.log import facts
from services.recorder.domain.entity import Entity, is_entity_filename
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.run import Place, Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import Contents, OpenedUpload
from services.recorder.store import atomic
from services.recorder.store.codec import decode_upload
from services.recorder.store.faults import storage_errors
from services.recorder.store.layout import Layout, names_in, open_regular, read_regular
from services.recorder.store.runs import RunFolders
from services.recorder.store.uploads import UploadFiles

log = logging.getLogger(__name__)

_READ_BYTES = 1024 * 1024


class Recovery:
    """Brings a store to a state in which every record is true."""

    def __init__(self, layout: Layout, runs: RunFolders, uploads: UploadFiles) -> None:
        self._layout = layout
        self._runs = runs
        self._uploads = uploads

    def recover_all(self) -> Contents:
        """Recover everything; called once, before anybody else touches the store."""
        with storage_errors():
            self._layout.empty_trash()
            records = self._records()
        # Not all of them: there may be a hundred thousand, and what is final can be read again.
        open_runs: dict[RunId, Run] = {}
        places: list[Place] = []
        damaged: list[RunId] = []
        for run_id in self._layout.run_ids():
            try:
                run = self._recover_leniently(run_id, records.get(run_id, ()))
            except NotFound:
                continue
            except (DataLoss, Internal) as error:
                damaged.append(run_id)
                log.error("run is damaged", extra=facts(run=str(run_id), why=str(error)))
            else:
                places.append(run.place)
                if not run.is_final:
                    open_runs[run_id] = run
        opened = []
        for run_id, of_run in records.items():
            for record in of_run:
                if record.intent is None and run_id not in damaged:
                    found = self._reopen(record, run_id in open_runs)
                    opened.extend([found] if found is not None else [])
        return Contents(list(open_runs.values()), places, damaged, opened)

    def _recover_leniently(self, run_id: RunId, records: Iterable[UploadRecord]) -> Run:
        try:
            return self.recover_run(run_id, records)
        except (Internal, ResourceExhausted) as error:
            # A full disk must not keep anybody from reading and deleting. What is not finished
            # now was never acknowledged.
            log.error("cannot recover a run", extra=facts(run=str(run_id), reason=error.reason))
            return self._runs.load(run_id)

    def recover_run(self, run_id: RunId, records: Iterable[UploadRecord] | None = None) -> Run:
        """Finish or undo the commits of one run, tidy its folder, and return it.

        Raises NotFound RUN_NOT_FOUND (a creation that was cut short counts as none), DataLoss.
        """
        self._runs.forget(run_id)
        if records is None:
            records = self._records(run_id).get(run_id, ())
        try:
            run = self._runs.load(run_id)
        except DataLoss:
            if self._was_never_created(run_id):
                raise NotFound("RUN_NOT_FOUND", "no such run") from None
            raise
        for record in records:
            if record.intent is not None:
                with storage_errors():
                    run = self._settle(record, record.intent, run)
        # After its end nothing was written, so nothing can be left over.
        if not run.is_final:
            with storage_errors():
                self._tidy(run)
        return run

    def _records(self, only: RunId | None = None) -> dict[RunId, list[UploadRecord]]:
        found: dict[RunId, list[UploadRecord]] = {}
        known: set[UploadName] = set()
        files = list(self._layout.upload_files())
        for file, name, is_record in files:
            if name is None or not is_record or only not in (None, name.run):
                continue
            try:
                record = decode_upload(read_regular(self._layout.uploads_fd, file))
            except (DocumentError, OSError):
                log.warning("dropping an unreadable upload", extra=facts(file=file))
                continue
            if record.name == name:
                found.setdefault(name.run, []).append(record)
                known.add(name)
        for file, name, _ in files:
            # In a running recorder a lone file may be an upload that has just begun.
            if only is None and name not in known:
                atomic.remove(self._layout.uploads_fd, file)
        return found

    def _settle(self, record: UploadRecord, entity: Entity, run: Run) -> Run:
        upload = record.name
        if (
            run.entity_of_upload(upload.upload_id) is None
            and not run.is_final
            and entity.sequence == len(run.entities) + 1
        ):
            with self._layout.run_folder(run.run_id) as folder:
                if not _holds(folder, entity.filename, entity):
                    data_file = self._layout.data_name(upload)
                    if _holds(self._layout.uploads_fd, data_file, entity):
                        atomic.move(self._layout.uploads_fd, data_file, folder, entity.filename)
                if _holds(folder, entity.filename, entity):
                    atomic.sync_folder(folder)
                    run = run.with_entity(entity)
                    self._runs.replace(folder, run)
                    log.info(
                        "finished a commit",
                        extra=facts(run=str(run.run_id), sequence=entity.sequence),
                    )
        self._uploads.discard(upload)
        return run

    def _tidy(self, run: Run) -> None:
        listed = {one.filename for one in run.entities}
        with self._layout.run_folder(run.run_id) as folder:
            for name in names_in(folder):
                if name.endswith(atomic.TEMPORARY):
                    atomic.remove(folder, name)
                elif name not in listed and is_entity_filename(name):
                    log.warning(
                        "a file no record knows", extra=facts(run=str(run.run_id), file=name)
                    )
                    self._layout.orphan(run.run_id, folder, name)

    def _was_never_created(self, run_id: RunId) -> bool:
        with storage_errors():
            with self._layout.run_folder(run_id) as folder:
                names = names_in(folder)
                if any(not name.endswith(atomic.TEMPORARY) for name in names):
                    return False
                for name in names:
                    atomic.remove(folder, name)
            return self._layout.remove_empty_run(run_id)

    def _reopen(self, record: UploadRecord, is_open: bool) -> OpenedUpload | None:
        file = self._layout.data_name(record.name)
        if is_open:
            try:
                fd = open_regular(self._layout.uploads_fd, file)
                try:
                    atomic.sync_file(fd)
                    return OpenedUpload(record, os.fstat(fd).st_size)
                finally:
                    os.close(fd)
            except OSError:
                log.warning("dropping an upload", extra=facts(run=str(record.name.run)))
        self._uploads.discard(record.name)
        return None


def _holds(dir_fd: int, name: str, entity: Entity) -> bool:
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
