"""The system calls of the store over a disk that forgets, with a fault at a chosen call."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from services.recorder import verify
from services.recorder.store import (
    atomic,
    erasures,
    files,
    imports,
    layout,
    orphans,
    reserve,
    runs,
    uploads,
)
from tests.faults.power.disk import ROOT, Folder, LossyDisk

MODULES: tuple[ModuleType, ...] = (
    atomic,
    erasures,
    files,
    imports,
    layout,
    orphans,
    reserve,
    runs,
    uploads,
    verify,
)
_FIRST_FD = 1_000_000


class Killed(BaseException):
    """The process is gone."""


@dataclass(frozen=True)
class Fault:
    """What happens at the number-th change from now on: an error, or (errno 0) the end."""

    number: int
    errno: int = 0
    is_after: bool = False


@dataclass
class _Descriptor:
    node: int
    flags: int
    position: int = 0


class DiskCalls:
    """Stands where the store's modules have `os` and `fcntl`. Everything else is the real one."""

    def __init__(self, disk: LossyDisk, root: Path) -> None:
        self.disk = disk
        self.is_dead = False
        self.has_failed = False
        self._root = root
        self._fault: Fault | None = None
        self._count = 0
        self._descriptors: dict[int, _Descriptor] = {}
        self._next = _FIRST_FD
        self._mutex = threading.RLock()

    # Says a word and touches nothing.
    strerror = staticmethod(os.strerror)

    def __getattr__(self, name: str) -> Any:
        value = getattr(os, name)
        assert not callable(value) or isinstance(value, type), f"os.{name} has no twin yet"
        return value

    def arm(self, fault: Fault | None) -> None:
        """Count changes from now on; None disarms."""
        self._fault, self._count, self.has_failed = fault, 0, False

    @property
    def open_descriptors(self) -> int:
        """How many descriptors are open."""
        return len(self._descriptors)

    @contextmanager
    def _changing(self, broken_sync: int | None = None) -> Iterator[None]:
        """Around every call that changes the disk."""
        with self._mutex:
            self._alive()
            self._count += 1
            fault = self._fault if self._fault and self._fault.number == self._count else None
            self.has_failed |= fault is not None
            if fault is not None and fault.errno:
                if broken_sync is not None:
                    self.disk.fail_sync(broken_sync)
                raise OSError(fault.errno, os.strerror(fault.errno))
            if fault is not None and not fault.is_after:
                self.is_dead = True
                raise Killed
            yield
            if fault is not None:
                self.is_dead = True
                raise Killed

    def _alive(self) -> None:
        if self.is_dead:
            raise Killed

    def _of(self, fd: int) -> _Descriptor:
        if fd not in self._descriptors:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._descriptors[fd]

    def _parent(self, dir_fd: int | None) -> int:
        assert dir_fd is not None, "the store names everything relative to a folder"
        return self._of(dir_fd).node

    def open(
        self, path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None
    ) -> int:
        with self._mutex:
            self._alive()
            if dir_fd is None:
                assert Path(path) == self._root or Path(path).parent == self._root
                node = ROOT
                if Path(path) != self._root:
                    node = self.disk.lookup(ROOT, Path(path).name)
            else:
                node = self._opened(self._parent(dir_fd), str(path), flags)
            if flags & os.O_DIRECTORY:
                self.disk.folder(node)
            self._next += 1
            self._descriptors[self._next] = _Descriptor(node, flags)
            return self._next

    def _opened(self, parent: int, name: str, flags: int) -> int:
        try:
            node = self.disk.lookup(parent, name)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
            with self._changing():
                return self.disk.create(parent, name)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        if flags & os.O_TRUNC:
            with self._changing():
                self.disk.truncate(node, 0)
        return node

    def close(self, fd: int) -> None:
        with self._mutex:  # the kernel closes for the dead, too
            self._of(fd)
            del self._descriptors[fd]

    def write(self, fd: int, data: bytes | memoryview) -> int:
        with self._changing():
            opened = self._of(fd)
            file = self.disk.file(opened.node)
            at = len(file.data) if opened.flags & os.O_APPEND else opened.position
            opened.position = at + self.disk.write(opened.node, at, bytes(data))
            return len(data)

    def read(self, fd: int, size: int) -> bytes:
        with self._mutex:
            opened = self._of(fd)
            part = self.pread(fd, size, opened.position)
            opened.position += len(part)
            return part

    def pread(self, fd: int, size: int, at: int) -> bytes:
        with self._mutex:
            self._alive()
            return bytes(self.disk.file(self._of(fd).node).data[at : at + size])

    def fsync(self, fd: int) -> None:
        node = self._of(fd).node
        with self._changing(broken_sync=node):
            self.disk.sync(node)

    fdatasync = fsync

    def posix_fadvise(self, fd: int, start: int, size: int, advice: int) -> None:
        """Only advice: nothing becomes durable."""
        self._of(fd)

    def ftruncate(self, fd: int, size: int) -> None:
        with self._changing():
            self.disk.truncate(self._of(fd).node, size)

    def posix_fallocate(self, fd: int, at: int, size: int) -> None:
        with self._changing():
            node = self._of(fd).node
            if len(self.disk.file(node).data) < at + size:
                self.disk.truncate(node, at + size)

    def rename(self, name: str, new_name: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        with self._changing():
            self.disk.rename(self._parent(src_dir_fd), name, self._parent(dst_dir_fd), new_name)

    def unlink(self, name: str, *, dir_fd: int) -> None:
        with self._changing():
            self.disk.unlink(self._parent(dir_fd), name)

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        with self._changing():
            self.disk.rmdir(self._parent(dir_fd), name)

    def mkdir(self, name: str, mode: int = 0o777, *, dir_fd: int) -> None:
        with self._changing():
            self.disk.mkdir(self._parent(dir_fd), name)

    def fstatvfs(self, fd: int) -> SimpleNamespace:
        with self._mutex:
            self._of(fd)
            return SimpleNamespace(f_blocks=0, f_frsize=0, f_bavail=0, f_files=0, f_favail=0)

    def listdir(self, fd: int) -> list[str]:
        with self._mutex:
            self._alive()
            return list(self.disk.folder(self._of(fd).node).names)

    @contextmanager
    def scandir(self, fd: int) -> Iterator[list[SimpleNamespace]]:
        with self._mutex:
            self._alive()
            names = dict(self.disk.folder(self._of(fd).node).names)
        yield [
            SimpleNamespace(
                name=name,
                is_dir=partial(self._is_folder, node),
                is_file=partial(self._is_file, node),
            )
            for name, node in names.items()
        ]

    def _is_folder(self, node: int, *, follow_symlinks: bool) -> bool:
        return isinstance(self.disk.nodes[node], Folder)

    def _is_file(self, node: int, *, follow_symlinks: bool) -> bool:
        return not self._is_folder(node, follow_symlinks=follow_symlinks)

    def fstat(self, fd: int) -> SimpleNamespace:
        with self._mutex:
            self._alive()
            return self._stat(self._of(fd).node)

    def stat(self, name: str, *, dir_fd: int, follow_symlinks: bool = True) -> SimpleNamespace:
        with self._mutex:
            self._alive()
            node = self._parent(dir_fd)
            for part in name.split("/"):
                node = self.disk.lookup(node, part)
            return self._stat(node)

    def _stat(self, node: int) -> SimpleNamespace:
        found = self.disk.nodes[node]
        if isinstance(found, Folder):
            return SimpleNamespace(st_mode=stat.S_IFDIR, st_size=0)
        return SimpleNamespace(
            st_mode=stat.S_IFREG, st_size=len(found.data), st_nlink=1, st_ino=node, st_ctime_ns=0
        )


class Locks:
    """flock for one process at a time: the disk is nobody else's."""

    LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

    def flock(self, fd: int, how: int) -> None:
        """Nobody else is there."""


@contextmanager
def store_on(calls: DiskCalls) -> Iterator[None]:
    """Let the store do its system calls there."""
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            patch.setattr(module, "os", calls)
        patch.setattr(layout, "fcntl", Locks())
        yield
