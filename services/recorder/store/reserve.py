"""Room kept back, so that a run can end on a disk that is full.

`.reserve/` holds spare files whose bytes are really allocated. A write that ends something and
finds no room gives one of them up, which frees bytes and an inode, and begins anew. From then on
ordinary writes are refused at once, so that they do not eat what was freed, until a sweep has made
the reserve whole again.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from services.kit.errors import ResourceExhausted
from services.kit.log import facts
from services.recorder.domain.room import (
    SPARE_FILES,
    Room,
    Supply,
    may_open,
    spare_bytes,
    spares_to_make,
)
from services.recorder.store import atomic
from services.recorder.store.faults import is_full, storage_errors
from services.recorder.store.layout import Layout

log = logging.getLogger(__name__)

# Ordinary writes that are under way when room runs out fail or finish by themselves.
PATIENCE_SECONDS = 0.3
_FILE_MODE = 0o640
_FULL = "STORAGE_FULL"
_NAMES = tuple(f"spare-{number}" for number in range(1, SPARE_FILES + 1))

T = TypeVar("T")


class Reserve:
    """The spare files, and who may write while they are not all there. For use by threads."""

    def __init__(self, layout: Layout, reserve_bytes: int) -> None:
        """Keep back this many bytes; 0 keeps nothing."""
        self._root_fd = layout.root_fd
        self._layout = layout
        self._size = spare_bytes(reserve_bytes)
        self._folder = -1
        self._changed = threading.Condition()
        self._is_open = True
        self._ordinary_writes = 0
        # Whoever gives up spare files, or makes them. One end at a time needs the least room.
        self._spending = threading.Lock()
        self._trouble = ""

    def prepare(self) -> None:
        """Make the reserve, or what there is room for; without room, ends go on all the same."""
        try:
            with self._spending:
                self._check_old()
        except OSError as error:
            self._tell_trouble(error)
        self.refill()

    def close(self) -> None:
        """Let go of the folder; the files stay."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    @contextmanager
    def ordinary(self) -> Iterator[None]:
        """Write something new inside. Raises OSError ENOSPC at once while only ends may write."""
        with self._changed:
            if not self._is_open:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._ordinary_writes += 1
        try:
            yield
        finally:
            with self._changed:
                self._ordinary_writes -= 1
                if not self._ordinary_writes:
                    self._changed.notify_all()

    def end(self, write: Callable[[], T]) -> T:
        """Return what `write` returns, a write that ends something and may be begun anew.

        Where it answers STORAGE_FULL, which says that nothing happened, it gets a spare file's
        room, again and again until there is none left.
        """
        try:
            return write()
        except ResourceExhausted as error:
            if error.reason != _FULL or not self._size:
                raise
        with self._spending:
            self._shut()
            while True:
                try:
                    return write()
                except ResourceExhausted as error:
                    if error.reason != _FULL or not self._give_up():
                        raise

    def refill(self) -> None:
        """Make what is missing if there is room, and let ordinary writes go on once it is whole."""
        if not self._spending.acquire(blocking=False):
            return  # an end needs room just now
        try:
            missing = self._missing()
            for name in missing[: spares_to_make(len(missing), self._size, self._supply())]:
                self._make(name)
            self._trouble = ""
            self._set_open(may_open(len(self._missing()), self._supply()))
        except OSError as error:
            self._tell_trouble(error)
            # Not the size of the disk is in the way of a reserve, so nothing is gained by waiting.
            self._set_open(not is_full(error))
        finally:
            self._spending.release()

    def room(self) -> Room:
        """How much room there is now."""
        with storage_errors():
            supply = self._supply()
        return Room(supply.free_bytes, supply.total_bytes, not self._is_open or supply.is_short)

    def _supply(self) -> Supply:
        found = os.fstatvfs(self._root_fd)
        return Supply(
            free_bytes=found.f_bavail * found.f_frsize,
            total_bytes=found.f_blocks * found.f_frsize,
            free_files=found.f_favail if found.f_files else None,
        )

    def _shut(self) -> None:
        """Refuse ordinary writes, and wait a moment for those that have begun."""
        with self._changed:
            self._set_open(False)
            self._changed.wait_for(lambda: not self._ordinary_writes, PATIENCE_SECONDS)

    def _set_open(self, is_open: bool) -> None:
        with self._changed:
            if is_open != self._is_open:
                self._is_open = is_open
                if is_open:
                    log.info("there is room again: everything can be written")
                else:
                    log.warning("the disk is full: only ends, reads and deletions for now")

    def _give_up(self) -> bool:
        """Remove one spare file; whether there was one."""
        for name in _NAMES if self._folder >= 0 else ():
            try:
                os.unlink(name, dir_fd=self._folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._tell_trouble(error)
                continue
            log.warning("gave up a part of the reserve", extra=facts(size=self._size))
            return True
        return False

    def _open_folder(self) -> None:
        if self._folder < 0:
            found = self._layout.open_reserve(make=self._size > 0)
            self._folder = -1 if found is None else found

    def _missing(self) -> list[str]:
        """The spare files that are not there as they should be."""
        if not self._size:
            return []
        self._open_folder()
        return [name for name in _NAMES if not self._is_there(name)]

    def _is_there(self, name: str) -> bool:
        try:
            found = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == self._size

    def _check_old(self) -> None:
        """Allocate again what an earlier process left: a copy of a reserve may be all holes."""
        self._open_folder()
        for name in _NAMES if self._folder >= 0 else ():
            if not (self._size and self._is_there(name) and self._is_allocated(name)):
                atomic.remove(self._folder, name)

    def _is_allocated(self, name: str) -> bool:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=self._folder)
        try:
            os.posix_fallocate(fd, 0, self._size)
        except OSError as error:
            if not is_full(error):
                raise
            return False
        finally:
            os.close(fd)
        return True

    def _make(self, name: str) -> None:
        atomic.remove(self._folder, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, _FILE_MODE, dir_fd=self._folder)
        try:
            try:
                os.posix_fallocate(fd, 0, self._size)
                # Some file systems find out only now.
                atomic.sync_file(fd)
            finally:
                os.close(fd)
        except OSError:
            atomic.remove(self._folder, name)
            raise

    def _tell_trouble(self, error: OSError) -> None:
        trouble = errno.errorcode.get(error.errno or 0, "UNKNOWN")
        if trouble != self._trouble:  # not every second
            self._trouble = trouble
            log.warning("the reserve cannot be made", extra=facts(errno=trouble))
