"""Run folders on a disk: their metadata and the bytes of their entities."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from collections.abc import Iterator, Sequence

from services.kit.errors import ArtlabError, DataLoss, NotFound
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.domain.entity import Entity
from services.recorder.domain.fields import DocumentError
from services.recorder.domain.run import Run, run_deleted
from services.recorder.ports import Stamp
from services.recorder.store import atomic
from services.recorder.store.atomic import Syncs, UnsureError
from services.recorder.store.codec import RunEncoder, decode_run, parse_record
from services.recorder.store.faults import storage_errors
from services.recorder.store.files import open_regular, read_regular
from services.recorder.store.layout import METADATA, Layout

log = logging.getLogger(__name__)

# What reading a file answers when somebody damaged it or put something else in its place.
_DAMAGED = frozenset(
    {
        errno.ENOENT,
        errno.ELOOP,
        errno.EINVAL,
        errno.EISDIR,
        errno.ENXIO,
        errno.EFBIG,
        errno.EIO,
        errno.ENOTDIR,
    }
)


class RunFolders:
    """Reads and replaces metadata.json; opens entities."""

    def __init__(self, layout: Layout, syncs: Syncs) -> None:
        self._layout = layout
        self._syncs = syncs
        self._encoders: dict[RunId, RunEncoder] = {}

    def create(self, run: Run, data: Sequence[bytes] = ()) -> None:
        """Make a folder with the record and the bytes of its first entities, durable.

        It is filled out of sight and comes among the others by one rename. Raises
        FailedPrecondition RUN_DELETED.
        """
        if run.run_id.value in self._layout.deleted:
            raise run_deleted()
        with storage_errors(), atomic.anew(self._layout.root_fd) as root:
            staged = self._layout.stage_run(run.run_id)
            try:
                with self._encoded(run) as document:
                    files = [*_named(run, data), (METADATA, document)]
                    with self._layout.folder(staged) as folder:
                        atomic.fill_folder(folder, files, self._syncs)
                    atomic.move(root, staged, root, run.run_id.value)
                try:
                    atomic.sync_folder(root)
                except OSError as error:
                    # It may not be durable, so nobody may see it.
                    with contextlib.suppress(OSError):
                        atomic.move(root, run.run_id.value, root, staged)
                    raise UnsureError(error.errno, error.strerror) from error
            except OSError:
                with contextlib.suppress(OSError):
                    self._layout.remove_staged(staged)
                raise

    def sweep(self) -> None:
        """Remove what creations left that were cut short; logs what cannot be removed."""
        try:
            self._layout.sweep_staged()
        except OSError as error:
            # Nobody sees it, so it is no reason not to start.
            log.warning("cannot sweep new runs", extra=facts(errno=error.errno))

    def save(self, run: Run) -> None:
        """Replace metadata.json."""
        with storage_errors(), self._layout.run_folder(run.run_id) as folder:
            self.replace(folder, run)

    def add_entities(self, run: Run, data: Sequence[bytes]) -> None:
        """Make `data` the newest entities of a run, in its folder from the first byte on.

        Nobody was told of any of it before the end, so there is nothing to resume and no intent:
        what a crash leaves are temporary files, or files no record knows.
        """
        with storage_errors(), self._layout.run_folder(run.run_id) as folder:
            with self._encoded(run) as document:
                last = METADATA, document
                atomic.replace_in_order(folder, _named(run, data), last, self._syncs)

    def replace(self, folder: int, run: Run) -> None:
        """Replace metadata.json in an opened folder; raises OSError as `replace_file`."""
        with self._encoded(run) as document:
            atomic.replace_file(folder, METADATA, document)

    @contextlib.contextmanager
    def _encoded(self, run: Run) -> Iterator[bytes]:
        # Taken out while in use: after a failure what it remembers may not be what is stored.
        encoder = self._encoders.pop(run.run_id, None) or RunEncoder()
        yield encoder.encode(run)
        if not run.is_final:
            self._encoders[run.run_id] = encoder

    def forget(self, run_id: RunId) -> None:
        """Start from nothing when the run is written next."""
        self._encoders.pop(run_id, None)

    def load(self, run_id: RunId) -> Run:
        """Return a run. Raises NotFound RUN_NOT_FOUND, DataLoss METADATA_CORRUPT."""
        data = self._read(run_id)
        try:
            return decode_run(data, run_id)
        except DocumentError as error:
            raise self._unless_deleted(run_id, _corrupt(str(error))) from error

    def stamp(self, run_id: RunId) -> Stamp:
        """Return the stamp of metadata.json. Raises NotFound RUN_NOT_FOUND."""
        try:
            return self._layout.metadata_stamp(run_id)
        except OSError as error:
            if error.errno in _DAMAGED:
                raise unknown_run() from error
            with storage_errors():
                raise

    def document(self, run_id: RunId) -> bytes:
        """Return metadata.json once it was verified. Raises as `load`."""
        data = self._read(run_id)
        try:
            parse_record(data)
        except DocumentError as error:
            raise self._unless_deleted(run_id, _corrupt(str(error))) from error
        return data

    def open_entity(self, run_id: RunId, entity: Entity) -> FileBytes:
        """Open an entity's bytes.

        Raises NotFound RUN_NOT_FOUND, DataLoss ENTITY_CORRUPT (missing, wrong size, no file).
        """
        try:
            with self._layout.run_folder(run_id) as folder:
                fd = open_regular(folder, entity.filename)
        except OSError as error:
            with storage_errors():
                if error.errno not in _DAMAGED:
                    raise
            if error.errno == errno.ENOENT and not self._layout.has_run(run_id):
                raise unknown_run() from error
            damage = _damaged_entity("not a readable file")
            raise self._unless_deleted(run_id, damage) from error
        found = FileBytes(fd)
        if found.size_bytes != entity.size_bytes:
            found.close()
            raise self._unless_deleted(run_id, _damaged_entity("not as long as recorded"))
        return found

    def _unless_deleted(self, run_id: RunId, damage: DataLoss) -> ArtlabError:
        # A deletion takes bytes away under whoever reads them.
        return damage if self._layout.has_run(run_id) else unknown_run()

    def _read(self, run_id: RunId) -> bytes:
        try:
            with self._layout.run_folder(run_id) as folder:
                return read_regular(folder, METADATA)
        except OSError as error:
            if error.errno == errno.ENOENT and not self._layout.has_run(run_id):
                raise unknown_run() from error
            if error.errno in _DAMAGED:
                raise _corrupt("not a readable file") from error
            with storage_errors():
                raise


class FileBytes:
    """The bytes of an opened file, in order."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size_bytes = os.fstat(fd).st_size

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Raises DataLoss when the disk cannot read."""
        try:
            return os.read(self._fd, size)
        except OSError as error:
            raise _damaged_entity("the disk cannot read it") from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


def _named(run: Run, data: Sequence[bytes]) -> list[atomic.File]:
    # The newest so many entities of the run, in order.
    newest = run.entities[len(run.entities) - len(data) :]
    return [(one.filename, content) for one, content in zip(newest, data, strict=True)]


def unknown_run() -> NotFound:
    """What is said of a run that is not there."""
    return NotFound("RUN_NOT_FOUND", "no such run")


def _corrupt(why: str) -> DataLoss:
    return DataLoss("METADATA_CORRUPT", f"metadata.json of the run is damaged: {why}")


def _damaged_entity(why: str) -> DataLoss:
    return DataLoss("ENTITY_CORRUPT", f"the entity is damaged: {why}")
