"""Making things durable. The only module that renames and syncs.

After a failed fsync the kernel may have dropped the pages and cleared the error, so a second one
would succeed without meaning anything: nothing here is ever tried twice on one descriptor.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

TEMPORARY = ".tmp"
_FILE_MODE = 0o640
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Commits that do so, and the threads they need beside their own.
_AT_THE_SAME_TIME = 2
_SYNC_THREADS = 2 * _AT_THE_SAME_TIME

File = tuple[str, bytes]


class UnsureError(OSError):
    """The change is visible but may not be durable."""


def write_all(fd: int, data: bytes) -> None:
    """Write every byte at the descriptor's position."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def sync_file(fd: int) -> None:
    """Make the content of a file durable."""
    os.fsync(fd)


def begin_sync(fd: int, start: int) -> None:
    """Let the disk begin with what was written from `start` on; nothing is durable by that."""
    # Linux writes what it is told to forget. What goes wrong is told by the sync to come.
    os.posix_fadvise(fd, start, 0, os.POSIX_FADV_DONTNEED)


def sync_folder(fd: int) -> None:
    """Make the names in a folder durable."""
    os.fsync(fd)


@contextlib.contextmanager
def anew(dir_fd: int) -> Iterator[int]:
    """A folder that others change too, opened once more: for one change and its sync.

    A descriptor tells of a failure once, to whoever syncs it first. Through one of his own
    everybody hears of what has failed since his change began.
    """
    fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def write_new(dir_fd: int, name: str, data: bytes, *, durable: bool) -> None:
    """Write a file that must not exist; remove what was written when it fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, _FILE_MODE, dir_fd=dir_fd)
    try:
        try:
            write_all(fd, data)
            if durable:
                sync_file(fd)
        finally:
            os.close(fd)
    except OSError:
        remove(dir_fd, name)
        raise


def write_chunks(dir_fd: int, name: str, chunks: Iterable[bytes]) -> None:
    """Write a file that must not exist, durably; what was written before an error stays."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, _FILE_MODE, dir_fd=dir_fd)
    try:
        for chunk in chunks:
            write_all(fd, chunk)
        sync_file(fd)
    finally:
        os.close(fd)


def replace_file(dir_fd: int, name: str, data: bytes) -> None:
    """Replace a file so that readers see the old or the new, durably.

    Raises OSError with the old file in place, or UnsureError with the new one in place.
    """
    put_file(dir_fd, name, data, durable=True)
    sync_change(dir_fd)


def put_file(dir_fd: int, name: str, data: bytes, *, durable: bool = False) -> None:
    """Replace a file so that readers see the old or the new; it survives a crash of ours only."""
    with contextlib.ExitStack() as undo:
        with _staged(dir_fd, name, data, undo) as fd:
            if durable:
                sync_file(fd)
        _put(dir_fd, name)
        undo.pop_all()


class Syncs:
    """Syncs several files at the same time, so that the disk takes them together."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="sync")
        self._turns = threading.Semaphore(_AT_THE_SAME_TIME)

    def sync(self, *fds: int) -> None:
        """Make files and folders durable. Raises OSError when any of them is not."""
        if not self._turns.acquire(blocking=False):
            # The disk has enough to take together, and more threads would only be in the way.
            for fd in fds:
                os.fsync(fd)
            return
        try:
            self._sync_at_once(*fds)
        finally:
            self._turns.release()

    def _sync_at_once(self, *fds: int) -> None:
        others = [self._threads.submit(os.fsync, fd) for fd in fds[1:]]
        try:
            os.fsync(fds[0])
        finally:
            # All of them: nobody may close a descriptor that is being synced.
            errors = [one.exception() for one in others]
        for error in errors:
            if error is not None:
                raise error

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


def replace_in_order(dir_fd: int, first: Sequence[File], last: File, syncs: Syncs) -> None:
    """Replace files durably, the last one not before the first ones are durable in their places.

    Everything but that order is left to the disk: all contents and the first names are synced at
    once. Raises OSError with none of the first and the last as it was, or UnsureError with all in
    place.
    """
    with contextlib.ExitStack() as undo:
        with contextlib.ExitStack() as opened:
            fds = []
            for name, data in first:
                fds.append(opened.enter_context(_staged(dir_fd, name, data, undo)))
            fds.append(opened.enter_context(_staged(dir_fd, *last, undo)))
            for name, _ in first:
                undo.callback(remove, dir_fd, name)
                _put(dir_fd, name)
            _sync_together(fds, dir_fd, syncs)
        _put(dir_fd, last[0])
        undo.pop_all()
    sync_change(dir_fd)


def fill_folder(dir_fd: int, files: Sequence[File], syncs: Syncs) -> None:
    """Write the files of a new folder that nobody sees yet, all durable with their names."""
    with contextlib.ExitStack() as opened:
        fds = []
        for name, data in files:
            fd = os.open(name, _NEW, _FILE_MODE, dir_fd=dir_fd)
            opened.callback(os.close, fd)
            write_all(fd, data)
            fds.append(fd)
        _sync_together(fds, dir_fd, syncs)


def _sync_together(fds: Sequence[int], dir_fd: int, syncs: Syncs) -> None:
    # All are under way before the first sync, which may then take the others along.
    for fd in fds:
        begin_sync(fd, 0)
    syncs.sync(*fds, dir_fd)


@contextlib.contextmanager
def _staged(dir_fd: int, name: str, data: bytes, undo: contextlib.ExitStack) -> Iterator[int]:
    """Write a file under its temporary name; yields its descriptor, not synced yet."""
    temporary = name + TEMPORARY
    undo.callback(remove, dir_fd, temporary)
    try:
        fd = os.open(temporary, _NEW, _FILE_MODE, dir_fd=dir_fd)
    except FileExistsError:  # left by a write that failed twice over
        remove(dir_fd, temporary)
        fd = os.open(temporary, _NEW, _FILE_MODE, dir_fd=dir_fd)
    try:
        write_all(fd, data)
        yield fd
    finally:
        os.close(fd)


def _put(dir_fd: int, name: str) -> None:
    os.rename(name + TEMPORARY, name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def move(from_fd: int, name: str, to_fd: int, new_name: str) -> None:
    """Rename between folders of one file system; durable once the folders are synced."""
    os.rename(name, new_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)


def mark(dir_fd: int, name: str) -> None:
    """Make an empty file, durably. Raises OSError, or UnsureError with the file in place."""
    with anew(dir_fd) as folder:
        # One that is there may be left by a sync that failed, so it is made again.
        remove(folder, name)
        write_new(folder, name, b"", durable=False)
        sync_change(folder)


def unmark(dir_fd: int, name: str) -> None:
    """Remove such a file, durably, also one whose removal could not be synced before.

    Raises as `mark`.
    """
    with anew(dir_fd) as folder:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            # A second sync would mean nothing without a second change.
            write_new(folder, name, b"", durable=False)
            remove(folder, name)
        sync_change(folder)


def remove(dir_fd: int, name: str) -> None:
    """Unlink a file; nothing happens when there is none."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=dir_fd)


def erase(dir_fd: int, name: str) -> None:
    """Unlink a file, its bytes too if somebody has it open; nothing happens when there is none.

    Whoever reads it meanwhile sees it end. A file with a second name elsewhere is only unlinked:
    that is somebody's copy.
    """
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(name, flags, dir_fd=dir_fd)
    except OSError:
        pass  # no regular file, or none of ours to write
    else:
        try:
            found = os.fstat(fd)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                os.ftruncate(fd, 0)
        finally:
            os.close(fd)
    remove(dir_fd, name)


def sync_change(dir_fd: int) -> None:
    """Make the names in a folder durable after a change. Raises UnsureError."""
    try:
        sync_folder(dir_fd)
    except OSError as error:
        raise UnsureError(error.errno, error.strerror) from error
