"""What a start does about a stop that came at a bad moment.

For each intent (design: commit protocol): its entity in metadata: drop the upload · file in the
run folder: step 5 · bytes with the right digest: steps 4 and 5 · otherwise: drop the intent. What
has a record and is no entity is an upload that is still open.

What is found may be visible without being durable, because the stop came before a sync. It is made
durable before anybody can read it, for what was read is as good as acknowledged.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from services.kit.errors import ArtlabError, DataLoss, Internal, NotFound, ResourceExhausted
from services.kit.ids import RunId, UploadName
from services.kit.log import facts
from services.recorder.domain.entity import Entity, is_entity_filename
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.long_work import told
from services.recorder.ports import Contents, Intake, OpenedUpload, Stamp
from services.recorder.store import atomic
from services.recorder.store.codec import decode_upload
from services.recorder.store.erasures import Erasures, holds
from services.recorder.store.faults import storage_errors
from services.recorder.store.files import names_in, read_regular, sync_regular
from services.recorder.store.layout import Layout
from services.recorder.store.runs import RunFolders
from services.recorder.store.upload_names import (
    data_name,
    intent_name,
    record_name,
    upload_files,
)
from services.recorder.store.uploads import UploadFiles

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Found:
    """What lies among the uploads under one name."""

    name: UploadName
    record: UploadRecord | None = None
    intent: Entity | None = None


class Recovery:
    """Brings a store to a state in which every record is true."""

    def __init__(
        self, layout: Layout, runs: RunFolders, uploads: UploadFiles, erasures: Erasures
    ) -> None:
        self._layout = layout
        self._runs = runs
        self._uploads = uploads
        self._erasures = erasures

    def recover_all(self, intake: Intake | None = None) -> Contents:
        """Recover everything; called once, before anybody else touches the store.

        What the intake knows to be settled and has no upload is left alone.
        """
        with storage_errors():
            self._layout.orphans.sweep()
            uploads = self._find_uploads()
        # Not all of them: there may be a hundred thousand, and what is final can be read again.
        open_runs: dict[RunId, Run] = {}
        found_ids: list[RunId] = []
        damaged: list[RunId] = []
        unsettled: set[RunId] = set()
        for run_id in told(self._layout.run_ids(), "recovering runs"):
            stamp = self._stamp(run_id)
            is_settled = intake and stamp and intake.is_settled(run_id, stamp)
            if is_settled and run_id not in uploads:
                found_ids.append(run_id)
                continue
            try:
                try:
                    run = self._recover(run_id, uploads.get(run_id, ()))
                except (Internal, ResourceExhausted) as error:
                    # A full disk must not keep anybody from reading and deleting. What is not
                    # finished now was never acknowledged.
                    log.error(
                        "cannot recover a run", extra=facts(run=str(run_id), reason=error.reason)
                    )
                    unsettled.add(run_id)
                    run = self._runs.load(run_id)
            except NotFound:
                continue
            except (DataLoss, Internal) as error:
                damaged.append(run_id)
                log.error("run is damaged", extra=facts(run=str(run_id), why=str(error)))
            else:
                found_ids.append(run_id)
                if intake is not None:
                    intake.found(run, stamp, is_durable=run_id not in unsettled)
                if not run.is_final:
                    open_runs[run_id] = run
        opened = []
        for run_id, of_run in uploads.items():
            for found in of_run:
                if run_id in damaged or (run_id in unsettled and found.intent is not None):
                    continue
                one = self._reopen(found, open_runs.get(run_id))
                opened.extend([one] if one is not None else [])
        return Contents(found_ids, list(open_runs.values()), damaged, opened)

    def recover_run(self, run_id: RunId) -> Run:
        """Settle what a failed write left of one run, and return it.

        Raises NotFound RUN_NOT_FOUND (a creation that was cut short counts as none), DataLoss.
        """
        run = self._recover(run_id, self._find_uploads(run_id).get(run_id, ()))
        with storage_errors(), atomic.anew(self._layout.root_fd) as root:
            # A sync has failed: what is visible is written anew, not synced once more.
            with self._layout.run_folder(run_id) as folder:
                self._runs.replace(folder, run)
            atomic.sync_folder(root)
        return run

    def _stamp(self, run_id: RunId) -> Stamp | None:
        try:
            return self._runs.stamp(run_id)
        except ArtlabError:
            return None  # why, is told when it is recovered

    def _recover(self, run_id: RunId, uploads: Iterable[_Found]) -> Run:
        self._runs.forget(run_id)
        try:
            run = self._runs.load(run_id)
        except DataLoss:
            if self._was_never_created(run_id):
                raise NotFound("RUN_NOT_FOUND", "no such run") from None
            raise
        with storage_errors(), self._layout.run_folder(run_id) as folder:
            atomic.sync_folder(folder)
        for found in uploads:
            if found.intent is not None:
                with storage_errors():
                    run = self._settle(found, found.intent, run)
        with storage_errors():
            self._tidy(run)
        return run

    def _find_uploads(self, only: RunId | None = None) -> dict[RunId, list[_Found]]:
        known: dict[UploadName, _Found] = {}
        files = list(upload_files(self._layout.uploads_fd))
        for file, name, is_readable in files:
            if name is None or not is_readable or only not in (None, name.run):
                continue
            try:
                record = decode_upload(read_regular(self._layout.uploads_fd, file))
            except (DocumentError, OSError):
                log.warning("dropping an unreadable upload", extra=facts(file=file))
                continue
            if record.name == name:
                found = known.setdefault(name, _Found(name))
                if record.intent is None:
                    found.record = record
                else:
                    found.intent = record.intent
        for file, name, _ in files:
            # In a running recorder a lone file may be an upload that has just begun.
            if only is None and name not in known:
                atomic.remove(self._layout.uploads_fd, file)
        of_runs: dict[RunId, list[_Found]] = {}
        for name, found in known.items():
            of_runs.setdefault(name.run, []).append(found)
        return of_runs

    def _settle(self, found: _Found, entity: Entity, run: Run) -> Run:
        upload = found.name
        if (
            run.entity_of_upload(upload.upload_id) is None
            and not run.is_final
            and entity.sequence == len(run.entities) + 1
        ):
            with self._layout.run_folder(run.run_id) as folder:
                if not holds(folder, entity.filename, entity):
                    data_file = data_name(upload)
                    if holds(self._layout.uploads_fd, data_file, entity):
                        atomic.move(self._layout.uploads_fd, data_file, folder, entity.filename)
                if holds(folder, entity.filename, entity):
                    atomic.sync_folder(folder)
                    run = run.with_entity(entity)
                    self._runs.replace(folder, run)
                    log.info(
                        "finished a commit",
                        extra=facts(run=str(run.run_id), sequence=entity.sequence),
                    )
        if run.entity_of_upload(upload.upload_id) is None and found.record is not None:
            atomic.remove(self._layout.uploads_fd, intent_name(upload))
        else:
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
                    self._layout.orphans.add(run.run_id, folder, name)
        self._erasures.finish(run)

    def _was_never_created(self, run_id: RunId) -> bool:
        with storage_errors():
            with self._layout.run_folder(run_id) as folder:
                names = names_in(folder)
                if any(not name.endswith(atomic.TEMPORARY) for name in names):
                    return False
                for name in names:
                    atomic.remove(folder, name)
            return self._layout.remove_empty_run(run_id)

    def _reopen(self, found: _Found, run: Run | None) -> OpenedUpload | None:
        is_open = run is not None and run.entity_of_upload(found.name.upload_id) is None
        if is_open and found.record is not None:
            try:
                with atomic.anew(self._layout.uploads_fd) as uploads:
                    size = sync_regular(uploads, data_name(found.name))
                    sync_regular(uploads, record_name(found.name))
                    atomic.sync_folder(uploads)
                return OpenedUpload(found.record, size)
            except OSError:
                log.warning("dropping an upload", extra=facts(run=str(found.name.run)))
        self._uploads.discard(found.name)
        return None
