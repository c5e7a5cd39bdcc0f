"""Uploads on a disk, and the commit that makes one an entity (design: commit protocol)."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Sequence
from functools import partial

from services.kit.errors import Internal
from services.kit.ids import UploadName
from services.kit.log import facts
from services.recorder.domain.content import Content
from services.recorder.domain.entity import Entity
from services.recorder.domain.run import Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.domain.vocabulary import EntityType
from services.recorder.ports_bytes import UploadBytes
from services.recorder.store import atomic
from services.recorder.store.atomic import UnsureError
from services.recorder.store.beside import Beside, after
from services.recorder.store.codec import encode_upload
from services.recorder.store.faults import is_full, storage_errors
from services.recorder.store.files import exists, open_for_append, sync_regular
from services.recorder.store.layout import Layout
from services.recorder.store.reserve import Reserve
from services.recorder.store.runs import RunFolders
from services.recorder.store.upload_names import data_name, intent_name, record_name

log = logging.getLogger(__name__)

_READ_BYTES = 1024 * 1024
# Fewer bytes are hashed before a thread has woken up.
WORTH_A_THREAD_BYTES = 128 * 1024
# The disk begins with so many, so that little is left for it to do once all have come.
HAND_OVER_BYTES = 8 * 1024 * 1024


class FileUpload:
    """The bytes of one upload, open at their end."""

    def __init__(self, fd: int, entity_type: EntityType, reserve: Reserve, beside: Beside) -> None:
        """Take over the descriptor; what the file holds already is hashed again."""
        self._fd = fd
        self._entity_type = entity_type
        self._reserve = reserve
        self._beside = beside
        self.is_lost = False
        self.content = self._read()
        self.synced_size = self.content.size_bytes
        self._handed_over = self.content.size_bytes

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write at the end, and hash meanwhile; on failure the file ends with a whole chunk."""
        size = self.content.size_bytes
        with storage_errors():
            try:
                with self._reserve.ordinary(), self._looking_at(chunks):
                    for data in chunks:
                        atomic.write_all(self._fd, data)
                        size += len(data)
            except OSError:
                self._cut_back(size)
                raise
        if self.content.size_bytes - self._handed_over >= HAND_OVER_BYTES:
            atomic.begin_sync(self._fd, self._handed_over)
            self._handed_over = self.content.size_bytes

    def _looking_at(self, chunks: Sequence[bytes]) -> contextlib.AbstractContextManager[None]:
        look = partial(self._look_at, chunks)
        if sum(map(len, chunks)) < WORTH_A_THREAD_BYTES:
            return after(look)
        return self._beside.doing(look)

    def _look_at(self, chunks: Sequence[bytes]) -> None:
        for data in chunks:
            self.content.add(data)

    def _cut_back(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
            if self.content.size_bytes != size:
                self.content = self._read()
        except OSError:
            self.is_lost = True
            raise

    def _read(self) -> Content:
        content = Content(self._entity_type)
        while data := os.pread(self._fd, _READ_BYTES, content.size_bytes):
            content.add(data)
        return content

    def sync(self) -> int:
        """Make the bytes durable and return their number."""
        with storage_errors():
            if self.is_lost:
                raise OSError(errno.EIO, "what the file holds is unknown")
            try:
                atomic.sync_file(self._fd)
            except OSError:
                self.is_lost = True
                raise
        self.synced_size = self.content.size_bytes
        return self.synced_size

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with storage_errors():
                os.close(fd)


class UploadFiles:
    """Begins, keeps, discards and commits uploads."""

    def __init__(self, layout: Layout, runs: RunFolders, reserve: Reserve) -> None:
        self._layout = layout
        self._runs = runs
        self._reserve = reserve
        self._beside = Beside()

    def close(self) -> None:
        """End the threads."""
        self._beside.close()

    def begin(self, record: UploadRecord) -> FileUpload:
        """Start an upload with no bytes."""
        file, encoded = record_name(record.name), encode_upload(record)
        with storage_errors(), self._reserve.ordinary():
            opened = self._open(record, new=True)
            try:
                atomic.put_file(self._layout.uploads_fd, file, encoded)
            except OSError:
                opened.close()
                # Without a record nobody would ever remove them.
                atomic.remove(self._layout.uploads_fd, data_name(record.name))
                raise
        return opened

    def reopen(self, record: UploadRecord) -> FileUpload:
        """Open an upload at its end."""
        return self._open(record, new=False)

    def keep(self, record: UploadRecord, data: UploadBytes) -> int:
        """Make bytes and record durable and return the number of bytes."""
        size = data.sync()
        file = record_name(record.name)
        with storage_errors(), atomic.anew(self._layout.uploads_fd) as uploads:
            try:
                atomic.put_file(uploads, file, encode_upload(record), durable=True)
            except OSError as error:
                if not is_full(error):
                    raise
                # The record it began with is still there; it only lacks newer facts, and bytes
                # that are safe must not be thrown away because the disk is full.
                log.warning("cannot renew an upload's record", extra=facts(size=size))
                sync_regular(uploads, file)
            atomic.sync_folder(uploads)
        return size

    def discard(self, name: UploadName) -> None:
        """Remove record and bytes."""
        with storage_errors():
            # The bytes last: without the others they are swept at start.
            atomic.remove(self._layout.uploads_fd, intent_name(name))
            atomic.remove(self._layout.uploads_fd, record_name(name))
            atomic.erase(self._layout.uploads_fd, data_name(name))

    def commit(self, record: UploadRecord, data: UploadBytes, run: Run) -> None:
        """Steps 2 to 5 of the protocol, and the removal of intent and record."""
        entity = record.intent
        if entity is None:
            raise ValueError("an upload is committed with an intent")
        is_relied_on = data.synced_size > 0
        data.sync()
        data.close()
        uploads, intent_file = self._layout.uploads_fd, intent_name(record.name)
        with storage_errors():
            # If power goes before step 5 nothing was acknowledged, so the intent is not durable by
            # itself. But bytes somebody was told to be safe must be found again wherever they are.
            try:
                with self._reserve.ordinary(), self._layout.run_folder(run.run_id) as folder:
                    with atomic.anew(uploads) as changed:
                        encoded = encode_upload(record)
                        atomic.put_file(changed, intent_file, encoded, durable=is_relied_on)
                        if is_relied_on:
                            atomic.sync_folder(changed)
                    atomic.move(uploads, data_name(record.name), folder, entity.filename)
                    atomic.sync_folder(folder)
                    self._runs.replace(folder, run)
            except UnsureError:
                raise
            except OSError as error:
                self._withdraw(record.name, run, entity, error)
                raise
        # It is committed now, whatever happens to these; recovery drops leftovers.
        with contextlib.suppress(OSError):
            atomic.remove(uploads, intent_file)
            atomic.remove(uploads, record_name(record.name))

    def _withdraw(self, name: UploadName, run: Run, entity: Entity, cause: OSError) -> None:
        try:
            with atomic.anew(self._layout.uploads_fd) as uploads:
                # The intent first: without it nobody finishes what the client was told had failed.
                atomic.remove(uploads, intent_name(name))
                data_file = data_name(name)
                # While the bytes are still here, a file of the entity's name is something else that
                # an earlier stop left there.
                if not exists(uploads, data_file):
                    with self._layout.run_folder(run.run_id) as folder, _already_moved_back():
                        atomic.move(folder, entity.filename, uploads, data_file)
                # When the disk is full the upload stays, and its bytes are said to be durable.
                with contextlib.suppress(FileNotFoundError):
                    sync_regular(uploads, record_name(name))
                atomic.sync_folder(uploads)
        except OSError as error:
            log.error("cannot undo a commit", extra=facts(errno=error.errno))
            raise Internal("STORAGE_ERROR", "a commit failed and could not be undone") from cause

    def _open(self, record: UploadRecord, *, new: bool) -> FileUpload:
        file = data_name(record.name)
        with storage_errors():
            fd = open_for_append(self._layout.uploads_fd, file, new=new)
            try:
                return FileUpload(fd, record.draft.type, self._reserve, self._beside)
            except OSError:
                os.close(fd)
                raise


def _already_moved_back() -> contextlib.AbstractContextManager[None]:
    return contextlib.suppress(FileNotFoundError)
