"""Where everything lives below the root. The only module that joins paths and opens files.

    <root>/<run_id>/metadata.json, NN_type.ext     runs
    <root>/.uploads/<run_id>.<upload_id>.data      bytes on their way
    <root>/.uploads/<run_id>.<upload_id>.json      what they will be
    <root>/.uploads/<run_id>.<upload_id>.intent    the entity they are about to become
    <root>/.trash/<run_id>.<random>/               deleted, bytes about to go
    <root>/.orphans/<run_id>.<time>.<name>         files no record knows

Everything is opened relative to a folder's descriptor and without following links, so that
nothing that was put into a run folder can lead out of it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.kit.ids import RunId, UploadName
from services.recorder.store import atomic

METADATA = "metadata.json"
MAX_METADATA_BYTES = 256 * 1024 * 1024
_UPLOADS = ".uploads"
_TRASH = ".trash"
_ORPHANS = ".orphans"
_DATA = ".data"
_RECORD = ".json"
_INTENT = ".intent"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO would block a plain open for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What people typed is nobody else's on a shared machine.
_FOLDER_MODE = 0o750
_FILE_MODE = 0o640


class Layout:
    """The opened root, locked for this process."""

    def __init__(self, root: Path) -> None:
        """Open the root, make it when its parent exists, and lock it.

        Raises FailedPrecondition STORE_MISSING, STORE_LOCKED.
        """
        self.root = root
        try:
            _make_root(root)
        except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
            # Probably a volume that is not mounted: a new tree beside it would hide the runs.
            raise FailedPrecondition(
                "STORE_MISSING", f"{root} is not a folder, or its parent does not exist"
            ) from error
        self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(self.root_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FailedPrecondition("STORE_LOCKED", f"another recorder uses {root}") from error
            self.uploads_fd = self._inner(_UPLOADS)
            self._trash_fd = self._inner(_TRASH)
            atomic.sync_folder(self.root_fd)
        except BaseException:
            os.close(self.root_fd)
            raise

    def close(self) -> None:
        """Unlock."""
        for fd in (self.uploads_fd, self._trash_fd, self.root_fd):
            os.close(fd)

    def _inner(self, name: str) -> int:
        try:
            os.mkdir(name, _FOLDER_MODE, dir_fd=self.root_fd)
        except FileExistsError:
            pass
        return os.open(name, _FOLDER, dir_fd=self.root_fd)

    # Runs

    def run_ids(self) -> list[RunId]:
        """Every folder whose name is a run id."""
        found = []
        for name in names_in(self.root_fd):
            try:
                run_id = RunId.parse(name)
            except InvalidArgument:
                continue
            if stat.S_ISDIR(os.stat(name, dir_fd=self.root_fd, follow_symlinks=False).st_mode):
                found.append(run_id)
        return found

    def has_run(self, run_id: RunId) -> bool:
        """Whether there is anything of that name."""
        return exists(self.root_fd, run_id.value)

    def make_run(self, run_id: RunId) -> None:
        """Make a run's folder; nothing happens when it exists."""
        try:
            os.mkdir(run_id.value, _FOLDER_MODE, dir_fd=self.root_fd)
        except FileExistsError:
            pass

    @contextmanager
    def run_folder(self, run_id: RunId) -> Iterator[int]:
        """The descriptor of a run's folder. Raises FileNotFoundError."""
        fd = os.open(run_id.value, _FOLDER, dir_fd=self.root_fd)
        try:
            yield fd
        finally:
            os.close(fd)

    def remove_run(self, run_id: RunId) -> None:
        """Put a run out of sight, durably, then remove its bytes; none is fine.

        Does what is left to do after a removal that failed half-way, too.
        """
        with contextlib.suppress(FileNotFoundError):
            trashed = f"{run_id}.{secrets.token_hex(4)}"
            atomic.move(self.root_fd, run_id.value, self._trash_fd, trashed)
        atomic.sync_folder(self.root_fd)
        for name in names_in(self._trash_fd):
            if name.startswith(f"{run_id}."):
                _remove_tree(self._trash_fd, name)

    def empty_trash(self) -> None:
        """Remove what a deletion that was cut short left in the trash."""
        for name in names_in(self._trash_fd):
            _remove_tree(self._trash_fd, name)

    def remove_new_run(self, run_id: RunId) -> None:
        """Remove a run nobody was told of."""
        with self.run_folder(run_id) as folder:
            atomic.remove(folder, METADATA)
        self.remove_empty_run(run_id)

    def remove_empty_run(self, run_id: RunId) -> bool:
        """Remove a run's folder if nothing is in it."""
        try:
            os.rmdir(run_id.value, dir_fd=self.root_fd)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False
            raise
        return True

    # Uploads

    def data_name(self, name: UploadName) -> str:
        """File of an upload's bytes, below `uploads_fd`."""
        return f"{name.run}.{name.upload_id}{_DATA}"

    def record_name(self, name: UploadName) -> str:
        """File of an upload's record, below `uploads_fd`."""
        return f"{name.run}.{name.upload_id}{_RECORD}"

    def intent_name(self, name: UploadName) -> str:
        """File of an upload's intent, below `uploads_fd`."""
        return f"{name.run}.{name.upload_id}{_INTENT}"

    def upload_files(self) -> Iterator[tuple[str, UploadName | None, bool]]:
        """Every file among the uploads: its name, whose it is, whether it says what they are."""
        for file in names_in(self.uploads_fd):
            stem, dot, suffix = file.rpartition(".")
            run, _, upload_id = stem.partition(".")
            name = None
            if dot + suffix in (_DATA, _RECORD, _INTENT):
                try:
                    name = UploadName(RunId.parse(run), upload_id)
                except InvalidArgument:
                    name = None
            yield file, name, dot + suffix != _DATA

    def remove_uploads(self, run_id: RunId) -> None:
        """Remove every upload into a run."""
        for file, name, _ in self.upload_files():
            if name is not None and name.run == run_id:
                atomic.remove(self.uploads_fd, file)

    # Orphans

    def orphan(self, run_id: RunId, dir_fd: int, name: str) -> None:
        """Move a file no record knows out of its run folder; it may be the only copy."""
        orphans_fd = self._inner(_ORPHANS)
        try:
            atomic.move(dir_fd, name, orphans_fd, f"{run_id}.{secrets.token_hex(4)}.{name}")
        finally:
            os.close(orphans_fd)

    def remove_orphans(self) -> None:
        """Remove the orphans of runs that are deleted."""
        try:
            orphans_fd = os.open(_ORPHANS, _FOLDER, dir_fd=self.root_fd)
        except FileNotFoundError:
            return
        try:
            for name in names_in(orphans_fd):
                if not exists(self.root_fd, name.partition(".")[0]):
                    _remove_tree(orphans_fd, name)
        finally:
            os.close(orphans_fd)


def _make_root(root: Path) -> None:
    if root.is_dir():
        return
    root.mkdir(mode=_FOLDER_MODE)
    # A root that power loss takes away would take every acknowledged run with it.
    parent = open_folder(root.absolute().parent)
    try:
        atomic.sync_folder(parent)
    finally:
        os.close(parent)


def open_folder(path: Path) -> int:
    """Open a folder somebody named; links on the way there are theirs to follow."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_regular(dir_fd: int, name: str) -> int:
    """Open a regular file for reading. Raises OSError for links, folders and devices."""
    fd = os.open(name, _READ, dir_fd=dir_fd)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_regular(dir_fd: int, name: str, most: int = MAX_METADATA_BYTES) -> bytes:
    """Return the whole of a regular file. Raises OSError, EFBIG when it is larger than `most`."""
    fd = open_regular(dir_fd, name)
    try:
        size = os.fstat(fd).st_size
        if size > most:
            raise OSError(errno.EFBIG, "larger than it may be")
        parts = []
        while part := os.read(fd, size + 1):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def sync_regular(dir_fd: int, name: str) -> int:
    """Make the content of a regular file durable and return its size. Raises OSError."""
    fd = open_regular(dir_fd, name)
    try:
        atomic.sync_file(fd)
        return os.fstat(fd).st_size
    finally:
        os.close(fd)


def open_for_append(dir_fd: int, name: str, *, new: bool) -> int:
    """Open an upload's bytes at their end; `new` empties what a lost record left behind."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_APPEND
    return os.open(name, flags | (os.O_TRUNC if new else 0), _FILE_MODE, dir_fd=dir_fd)


def names_in(dir_fd: int) -> list[str]:
    """The names in a folder, sorted."""
    # Opened anew: two listings of one descriptor would share its position.
    fd = os.open(".", _FOLDER, dir_fd=dir_fd)
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def exists(dir_fd: int, name: str) -> bool:
    """Whether there is anything of that name, a dangling link included."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _remove_tree(dir_fd: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except IsADirectoryError:
        pass
    fd = os.open(name, _FOLDER, dir_fd=dir_fd)
    try:
        for inner in names_in(fd):
            _remove_tree(fd, inner)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=dir_fd)
