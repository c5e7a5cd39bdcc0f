"""The bytes of a picture or film on their way in: on the disk, bounded, without a name.

A file without a name is gone with its last descriptor, whatever ends the call or the process.
"""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO

from services.kit.errors import Internal, InvalidArgument, ResourceExhausted
from services.safety.images.media_types import HEAD_BYTES
from services.safety.process_errors import BUSY_RETRY_SECONDS

MAX_MESSAGE_BYTES = 256 * 1024
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class Spool:
    """One file that grows up to its limit, then is read."""

    def __init__(self, file: IO[bytes], max_bytes: int) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self.size_bytes = 0

    async def append(self, data: bytes) -> None:
        """Write more bytes at the end.

        Raises InvalidArgument MEDIA_TOO_LARGE as soon as it is known, ResourceExhausted SPOOL_FULL
        when the disk is.
        """
        self.size_bytes += len(data)
        if self.size_bytes > self._max_bytes:
            raise InvalidArgument(
                "MEDIA_TOO_LARGE", f"at most {self._max_bytes} bytes", field="data"
            )
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, data))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # The file is closed next, and not under the hands of a thread.
            await asyncio.wait([writing])
            raise
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise _full() from error

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[int]:
        """A descriptor for reading from the start, which cannot change the file."""
        descriptor = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    def head(self) -> bytes:
        """The first bytes, enough to tell the type."""
        return os.pread(self._file.fileno(), HEAD_BYTES, 0)


class Spools:
    """Makes the files.

    Args:
        folder: where; empty means the system's own for such files.
        at_once: how many there may be at a time.
        waiting: how many more calls may wait for one; their bytes wait at the sender.
    """

    def __init__(self, folder: str, at_once: int, waiting: int) -> None:
        self._folder = folder
        self._places = asyncio.Semaphore(at_once)
        self._waiting = waiting
        self._line = 0

    @asynccontextmanager
    async def new(self, max_bytes: int) -> AsyncIterator[Spool]:
        """An empty one, gone at the end of the block.

        Raises ResourceExhausted SAFETY_BUSY when too many wait, SPOOL_FULL when the disk is full,
        Internal SPOOL_FAILED when no file can be made for another reason.
        """
        if self._places.locked() and self._line >= self._waiting:
            raise ResourceExhausted(
                "SAFETY_BUSY", "too many pictures at once", retry_after_seconds=BUSY_RETRY_SECONDS
            )
        self._line += 1
        try:
            await self._places.acquire()
        finally:
            self._line -= 1
        try:
            with self._file() as file:
                yield Spool(file, max_bytes)
        finally:
            self._places.release()

    def check(self) -> None:
        """Make a file and forget it, to know before the first picture whether that can be done.

        Raises like `new`.
        """
        self._file().close()

    def _file(self) -> IO[bytes]:
        try:
            return tempfile.TemporaryFile(buffering=0, dir=self._folder or None)
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise _full() from error
            raise Internal(
                "SPOOL_FAILED",
                f"no file can be made where ARTLAB_SAFETY_SPOOL_DIR says: {error.strerror}",
            ) from error


def _full() -> ResourceExhausted:
    return ResourceExhausted(
        "SPOOL_FULL",
        "no room for the bytes; ARTLAB_SAFETY_SPOOL_DIR says where they go",
        retry_after_seconds=BUSY_RETRY_SECONDS,
    )
