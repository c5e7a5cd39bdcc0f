"""Where everything lives below the root.

Only this module joins paths; `upload_names` and `orphans` name what lies in their folders.

    <root>/<run_id>/metadata.json, NN_type.ext     runs
    <root>/.<run_id>.new/                          a run that is being created
    <root>/.uploads/<run_id>.<upload_id>.data      bytes on their way
    <root>/.uploads/<run_id>.<upload_id>.json      what they will be
    <root>/.uploads/<run_id>.<upload_id>.intent    the entity they are about to become
    <root>/.index/runs.sqlite                      what lists are made from; never the truth
    <root>/.trash/<run_id>.<random>/               deleted, bytes about to go
    <root>/.orphans/<run_id>.<time>.<name>         files no record knows
    <root>/.imports/<random>/                      archives on their way in
    <root>/.store_id                               whose runs these are, for a tracker
    <root>/.tracker/executions.sqlite              the embedded tracker
    <root>/.reserve/spare-<n>                      room kept back for a full disk
    <root>/.tombstones/<run_id>                    empty: the run is deleted, since this file's time
    <root>/.favourites/<run_id>                    empty: somebody wants to keep the run
    <root>/.imported/<run_id>                      empty: the run came in by an import
    <root>/.claims/<run_id>.<claim>                empty: who drives an open run (`store.claims`)
    <root>/.scrub.json                             how far the scrubber is, and what it found

Where the tombstones are is a setting, so that a backup of the root need not bring old ones back.
See `services.recorder.store.files` for how it is opened.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.kit.errors import FailedPrecondition, InvalidArgument
from services.kit.ids import RunId
from services.recorder.ports import Stamp
from services.recorder.store import atomic
from services.recorder.store.files import (
    FOLDER,
    empty_folder,
    exists,
    files_in,
    folders_in,
    names_in,
    open_folder,
    read_regular,
    remove_tree,
)
from services.recorder.store.orphans import Orphans

METADATA = "metadata.json"
_INDEX = Path(".index", "runs.sqlite")
_TRACKER = Path(".tracker", "executions.sqlite")
_UPLOADS = ".uploads"
_TRASH = ".trash"
_STORE_ID = ".store_id"
_RESERVE = ".reserve"
_IMPORTS = ".imports"
_TOMBSTONES = ".tombstones"
_FAVOURITES = ".favourites"
_IMPORTED = ".imported"
_CLAIMS = ".claims"
SCRUB = ".scrub.json"
_STAGED = re.compile(r"\.[0-9a-f-]{36}\.new", re.ASCII)
# What people typed is nobody else's on a shared machine.
_FOLDER_MODE = 0o750


class Layout:
    """The opened root, locked for this process."""

    def __init__(self, root: Path, tombstones: Path | None = None) -> None:
        """Open the root, make it when its parent exists, and lock it.

        Tombstones are in the folder given, or below the root. Raises FailedPrecondition
        STORE_MISSING, STORE_LOCKED.
        """
        self.root = root
        self._naming = threading.Lock()
        _make_folder(root)
        self.root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(self.root_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise FailedPrecondition("STORE_LOCKED", f"another recorder uses {root}") from error
            self.uploads_fd = self._inner(_UPLOADS)
            self._trash_fd = self._inner(_TRASH)
            self.favourites_fd = self._inner(_FAVOURITES)
            self.imported_fd = self._inner(_IMPORTED)
            self.claims_fd = self._inner(_CLAIMS)
            if tombstones is None:
                self.tombstones_fd = self._inner(_TOMBSTONES)
            else:
                _make_folder(tombstones)
                self.tombstones_fd = open_folder(tombstones)
            # What is found there may be visible without being durable, and is answered from now on.
            atomic.sync_folder(self.favourites_fd)
            atomic.sync_folder(self.imported_fd)
            atomic.sync_folder(self.claims_fd)
            atomic.sync_folder(self.tombstones_fd)
            # Ids: a folder of such a name is no run, wherever it came from. Only files: a setting
            # that names a folder of runs by mistake must not delete them.
            self.deleted = set(files_in(self.tombstones_fd))
            self.orphans = Orphans(self.root_fd, self._is_there)
            atomic.sync_folder(self.root_fd)
        except BaseException:
            os.close(self.root_fd)
            raise

    def close(self) -> None:
        """Unlock."""
        for fd in (
            self.uploads_fd,
            self._trash_fd,
            self.favourites_fd,
            self.imported_fd,
            self.claims_fd,
            self.tombstones_fd,
            self.root_fd,
        ):
            os.close(fd)

    def _inner(self, name: str) -> int:
        try:
            os.mkdir(name, _FOLDER_MODE, dir_fd=self.root_fd)
        except FileExistsError:
            pass
        return os.open(name, FOLDER, dir_fd=self.root_fd)

    def store_id(self) -> str:
        """The id of this store, made when it is first asked for; it moves with the root."""
        with self._naming:
            try:
                return str(uuid.UUID(read_regular(self.root_fd, _STORE_ID).decode().strip()))
            except (FileNotFoundError, ValueError):
                made = str(uuid.uuid4())
                with atomic.anew(self.root_fd) as root:
                    atomic.replace_file(root, _STORE_ID, f"{made}\n".encode())
                return made

    # Runs

    def run_ids(self) -> list[RunId]:
        """Every folder whose name is a run id."""
        found = []
        for name in folders_in(self.root_fd):
            if name not in self.deleted:
                with contextlib.suppress(InvalidArgument):
                    found.append(RunId.parse(name))
        return found

    def has_run(self, run_id: RunId) -> bool:
        """Whether there is anything of that name that is not deleted."""
        return self._is_there(run_id.value)

    def _is_there(self, name: str) -> bool:
        return name not in self.deleted and exists(self.root_fd, name)

    def metadata_stamp(self, run_id: RunId) -> Stamp:
        """The stamp of a run's metadata.json. Raises OSError."""
        if run_id.value in self.deleted:
            raise FileNotFoundError(errno.ENOENT, "the run is deleted")
        # Asked of a hundred thousand at start, so without opening the folder: at worst a link
        # there leads to the stamp of a file that nobody will read.
        found = os.stat(f"{run_id}/{METADATA}", dir_fd=self.root_fd, follow_symlinks=False)
        # SQLite's numbers have a sign; some file systems use all 64 bits.
        return Stamp(found.st_ino & 2**63 - 1, found.st_ctime_ns, found.st_size)

    def stage_run(self, run_id: RunId) -> str:
        """Make an empty folder for a run to come, out of sight; return its name."""
        name = f".{run_id}.new"
        try:
            os.mkdir(name, _FOLDER_MODE, dir_fd=self.root_fd)
        except FileExistsError:  # left by a creation that failed twice over
            remove_tree(self.root_fd, name)
            os.mkdir(name, _FOLDER_MODE, dir_fd=self.root_fd)
        return name

    def remove_staged(self, name: str) -> None:
        """Remove such a folder; nothing happens when there is none."""
        if exists(self.root_fd, name):
            remove_tree(self.root_fd, name)

    def sweep_staged(self) -> None:
        """Remove what creations that were cut short left behind."""
        for name in names_in(self.root_fd):
            if _STAGED.fullmatch(name):
                remove_tree(self.root_fd, name)

    @contextmanager
    def run_folder(self, run_id: RunId) -> Iterator[int]:
        """The descriptor of a run's folder. Raises FileNotFoundError."""
        if run_id.value in self.deleted:
            raise FileNotFoundError(errno.ENOENT, "the run is deleted")
        with self.folder(run_id.value) as fd:
            yield fd

    @contextmanager
    def folder(self, name: str) -> Iterator[int]:
        """The descriptor of a folder in the root. Raises FileNotFoundError."""
        fd = os.open(name, FOLDER, dir_fd=self.root_fd)
        try:
            yield fd
        finally:
            os.close(fd)

    def trash_run(self, run_id: RunId) -> None:
        """Take a run's folder out of sight, durably; nothing happens when there is none."""
        with contextlib.suppress(FileNotFoundError), atomic.anew(self.root_fd) as root:
            trashed = f"{run_id}.{secrets.token_hex(4)}"
            atomic.move(root, run_id.value, self._trash_fd, trashed)
            atomic.sync_folder(root)

    def trash(self) -> dict[str, str]:
        """What lies in the trash: name, and the id of the run it was."""
        return {name: name.partition(".")[0] for name in names_in(self._trash_fd)}

    def empty_trash(self, run_id: RunId, *, keep_folder: bool) -> None:
        """Erase what lies in the trash of a run, perhaps except for the emptied folder."""
        for name, run in self.trash().items():
            if run != run_id.value:
                continue
            if keep_folder:
                empty_folder(self._trash_fd, name)
            else:
                remove_tree(self._trash_fd, name)

    def restored(self) -> list[RunId]:
        """Every run that is deleted and has a folder all the same."""
        return [
            RunId(name)
            for name in names_in(self.root_fd)
            if name in self.deleted and is_run_id(name)
        ]

    def favourites(self) -> list[RunId]:
        """Every run that is marked as one to keep."""
        return [RunId(name) for name in names_in(self.favourites_fd) if is_run_id(name)]

    def is_imported(self, run_id: RunId) -> bool:
        """Whether a run is marked as one that came in by an import."""
        return exists(self.imported_fd, run_id.value)

    def remove_empty_run(self, run_id: RunId) -> bool:
        """Remove a run's folder if nothing is in it."""
        try:
            os.rmdir(run_id.value, dir_fd=self.root_fd)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False
            raise
        return True

    def open_imports(self) -> int:
        """The descriptor of the folder of imports."""
        return self._inner(_IMPORTS)

    def open_reserve(self, *, make: bool) -> int | None:
        """The descriptor of the folder of spare files; None when there is none to be made."""
        if not make and not exists(self.root_fd, _RESERVE):
            return None
        return self._inner(_RESERVE)


def index_file(root: Path) -> Path:
    """Where the index of a root is."""
    return root / _INDEX


def tracker_file(root: Path) -> Path:
    """Where the embedded tracker of a root is."""
    return root / _TRACKER


def is_run_id(name: str) -> bool:
    """Whether a file is named after a run."""
    try:
        RunId.parse(name)
    except InvalidArgument:
        return False
    return True


def _make_folder(path: Path) -> None:
    try:
        if path.is_dir():
            return
        path.mkdir(mode=_FOLDER_MODE)
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as error:
        # Probably a volume that is not mounted: a new tree beside it would hide the runs.
        raise FailedPrecondition(
            "STORE_MISSING", f"{path} is not a folder, or its parent does not exist"
        ) from error
    # A root that power loss takes away would take every acknowledged run with it.
    parent = open_folder(path.absolute().parent)
    try:
        atomic.sync_folder(parent)
    finally:
        os.close(parent)
