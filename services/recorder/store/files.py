"""Opening what lies in a folder.

Everything is opened relative to a folder's descriptor and without following links, so that
nothing that was put into a run folder can lead out of it.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from services.recorder.store import atomic

MAX_METADATA_BYTES = 256 * 1024 * 1024
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A FIFO would block a plain open for ever.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# What people typed is nobody else's on a shared machine.
_FILE_MODE = 0o640


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


def read_regular(
    dir_fd: int, name: str, most: int = MAX_METADATA_BYTES, *, fresh: bool = False
) -> bytes:
    """Return the whole of a regular file; `fresh` asks the medium.

    Raises OSError, EFBIG when it is larger than `most`.
    """
    fd = open_regular(dir_fd, name)
    try:
        if fresh:
            forget_cached(fd)
        size = os.fstat(fd).st_size
        if size > most:
            raise OSError(errno.EFBIG, "larger than it may be")
        parts = []
        while part := os.read(fd, size + 1):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def forget_cached(fd: int) -> None:
    """Let the memory's copy of a file go, where the system can: the next read asks the medium."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


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
    fd = os.open(".", FOLDER, dir_fd=dir_fd)
    try:
        return sorted(os.listdir(fd))
    finally:
        os.close(fd)


def folders_in(dir_fd: int) -> list[str]:
    """The names of the folders in a folder, sorted; links to folders are none."""
    fd = os.open(".", FOLDER, dir_fd=dir_fd)
    try:
        # Most file systems tell the kind with the name, without a call for each.
        with os.scandir(fd) as entries:
            return sorted(one.name for one in entries if one.is_dir(follow_symlinks=False))
    finally:
        os.close(fd)


def files_in(dir_fd: int) -> list[str]:
    """The names of the regular files in a folder, sorted; links to files are none."""
    fd = os.open(".", FOLDER, dir_fd=dir_fd)
    try:
        with os.scandir(fd) as entries:
            return sorted(one.name for one in entries if one.is_file(follow_symlinks=False))
    finally:
        os.close(fd)


def exists(dir_fd: int, name: str) -> bool:
    """Whether there is anything of that name, a dangling link included."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def remove_tree(dir_fd: int, name: str) -> None:
    """Erase a file, or a folder with everything in it."""
    try:
        atomic.erase(dir_fd, name)
        return
    except IsADirectoryError:
        pass
    empty_folder(dir_fd, name)
    os.rmdir(name, dir_fd=dir_fd)


def empty_folder(dir_fd: int, name: str) -> None:
    """Erase everything in a folder."""
    fd = os.open(name, FOLDER, dir_fd=dir_fd)
    try:
        for inner in names_in(fd):
            remove_tree(fd, inner)
    finally:
        os.close(fd)
