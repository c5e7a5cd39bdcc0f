"""Files that hold bytes while they are looked at. They have no name: nothing can be left behind."""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.kit.errors import Internal, ResourceExhausted

_ON_DISK = "/var/tmp"  # noqa: S108  # files there have no name
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Spool:
    """One such file; close it when done. For threads: writing may wait for the disk.

    Raises ResourceExhausted SPOOL_FULL, Internal SPOOL_FAILED.
    """

    def __init__(self, folder: Path | None) -> None:
        with _spool_errors(), tempfile.TemporaryFile(dir=folder or usual_folder()) as file:
            # The system forgets it with its last descriptor, also when this process is killed.
            self._handle = os.dup(file.fileno())
        # Also when the thread that has it ends without a word, as gRPC's do.
        self._closing = weakref.finalize(self, os.close, self._handle)

    @property
    def handle(self) -> int:
        """Its descriptor. Raises ValueError when it is closed: the number may be another's."""
        if not self._closing.alive:
            raise ValueError("the spool is closed")
        return self._handle

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Put data there; a gap before it reads as zeros and takes no room."""
        view = memoryview(data)
        with _spool_errors():
            while view:
                count = os.pwrite(self.handle, view, offset)
                view, offset = view[count:], offset + count

    def read(self, size: int, offset: int) -> bytes:
        """Return what is there; less at the end."""
        with _spool_errors():
            return os.pread(self.handle, size, offset)

    def close(self) -> None:
        """Give its room back."""
        self._closing()


def usual_folder() -> str | None:
    """Where files go when no setting says: a disk, or None for the system's own choice."""
    # What is in /tmp is in memory on many systems, and what is in /var/tmp nowhere.
    return _ON_DISK if os.access(_ON_DISK, os.W_OK) else None


@contextmanager
def _spool_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise ResourceExhausted(
                "SPOOL_FULL", "no room for the file while it is looked at", retry_after_seconds=5.0
            ) from error
        raise Internal(
            "SPOOL_FAILED",
            f"files cannot be kept where ARTLAB_MEDIA_SPOOL says: {error.strerror}",
        ) from error
