"""Imports as the recorder answers them.

An archive comes in, is checked whole, then its runs are put among the others, one by one and each
in one step.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from services.kit.ids import RunId
from services.kit.log import facts
from services.recorder.archive.source import load_recorded
from services.recorder.archive.unpack import Archive, check_top, open_archive, stage_run
from services.recorder.archive.zip_reader import archive_invalid
from services.recorder.domain.archive import ArchivedRun
from services.recorder.ports import Store
from services.recorder.ports_bytes import StagedImport
from services.recorder.table import RunTable
from services.recorder.threads import Threads

log = logging.getLogger(__name__)

# Unless a setting says otherwise.
MAX_IMPORT_BYTES = 64 * 1024**3
MAX_IMPORTS = 2
RETRY_WHEN_BUSY_SECONDS = 5.0
STREAM_IDLE_SECONDS = 60.0
# Written at once; smaller pieces wait for one another.
_WRITE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Imported:
    """The runs of an archive: those that are new here, and those that were here before."""

    imported: tuple[RunId, ...]
    skipped: tuple[RunId, ...]


class Importing:
    """Takes archives in.

    Args:
        store: where runs go.
        table: the runs that are here.
        threads: where the disk is waited for.
        max_bytes: how large an archive may be, and how large what is in it.
    """

    def __init__(self, store: Store, table: RunTable, threads: Threads, max_bytes: int) -> None:
        self._store = store
        self._table = table
        self._threads = threads
        self._max_bytes = max_bytes
        self._running = 0

    async def take_in(self, chunks: AsyncIterator[bytes]) -> Imported:
        """Take in an archive, which ends with the stream.

        Nothing is visible before all of it was verified. Once the stream has ended the import goes
        on to its end even when the caller goes away. Raises InvalidArgument ARCHIVE_INVALID,
        ARCHIVE_TOO_LARGE; AlreadyExists RUN_DIFFERS; FailedPrecondition RUN_DELETED;
        ResourceExhausted TOO_MANY_IMPORTS; DeadlineExceeded UPLOAD_IDLE.
        """
        if self._running >= MAX_IMPORTS:
            raise ResourceExhausted(
                "TOO_MANY_IMPORTS",
                f"{MAX_IMPORTS} archives are being taken in",
                retry_after_seconds=RETRY_WHEN_BUSY_SECONDS,
            )
        self._running += 1
        course = _Course(self._store, self._threads)
        try:
            await course.receive(chunks, self._max_bytes)
            return await self._threads.unbroken(self._admit_all(course))
        finally:
            # After what is under way, even when nobody waits for it any more.
            await self._threads.unbroken(self._leave(course))

    async def _leave(self, course: _Course) -> None:
        try:
            await course.discard()
        except ArtlabError as error:
            # What was imported is in; the next start sweeps the rest.
            log.error("cannot remove a staged import", extra=facts(reason=error.reason))
        finally:
            self._running -= 1

    async def _admit_all(self, course: _Course) -> Imported:
        async with course.lock:
            staged = course.staged
            archive = await self._threads.run(open_archive, staged, self._max_bytes)
            try:
                # What does not fit is refused before anything becomes visible.
                new = [one for one in archive.runs if not await self._is_here(one)]
                await self._threads.run(_stage_all, archive, new, staged)
            finally:
                await self._threads.run(archive.zip.close)
            imported = [one.run_id for one in new if await self._admit(one, staged)]
        known = {one.run_id for one in archive.runs}.difference(imported)
        return Imported(
            tuple(imported), tuple(one.run_id for one in archive.runs if one.run_id in known)
        )

    async def _admit(self, archived: ArchivedRun, staged: StagedImport) -> bool:
        """Put a staged run among the others; False when it came there meanwhile."""
        run_id = archived.run_id
        async with self._table.locked(run_id, absent_ok=True) as held:
            if await self._is_here(archived):
                return False
            await self._threads.run(staged.admit, run_id)
            self._table.advance(held, await self._threads.run(self._store.load_run, run_id))
            return True

    async def _is_here(self, archived: ArchivedRun) -> bool:
        run_id = archived.run_id
        try:
            here = await self._threads.run(load_recorded, self._store, run_id)
        except NotFound:
            if self._store.is_deleted(run_id):
                raise FailedPrecondition("RUN_DELETED", f"{run_id} was deleted here") from None
            return False
        if here.checksum != archived.checksum:
            raise AlreadyExists("RUN_DIFFERS", f"{run_id} is here with another record")
        return True


class _Course:
    """One import: what it has staged, used by one thread at a time."""

    def __init__(self, store: Store, threads: Threads) -> None:
        self.lock = asyncio.Lock()
        self._store = store
        self._threads = threads
        self._staged: StagedImport | None = None

    @property
    def staged(self) -> StagedImport:
        """Where the archive is."""
        if self._staged is None:
            raise archive_invalid("there is no file")
        return self._staged

    async def receive(self, chunks: AsyncIterator[bytes], max_bytes: int) -> None:
        """Write the archive to its end."""
        waiting, size = bytearray(), 0
        while (chunk := await _next(chunks)) is not None:
            size += len(chunk)
            if size > max_bytes:
                raise InvalidArgument(
                    "ARCHIVE_TOO_LARGE", f"at most {max_bytes} bytes", field="data"
                )
            waiting += chunk
            if len(waiting) >= _WRITE_BYTES:
                await self._threads.unbroken(self._append(bytes(waiting)))
                waiting.clear()
        if waiting:
            await self._threads.unbroken(self._append(bytes(waiting)))

    async def _append(self, data: bytes) -> None:
        # Goes on when its caller is cancelled, and whoever discards waits for it.
        async with self.lock:
            if self._staged is None:
                self._staged = await self._threads.run(self._store.stage_import)
            await self._threads.run(self._staged.append, data)

    async def discard(self) -> None:
        """Remove what is staged."""
        async with self.lock:
            if self._staged is not None:
                await self._threads.run(self._staged.discard)


def _stage_all(archive: Archive, wanted: Sequence[ArchivedRun], staged: StagedImport) -> None:
    check_top(archive)
    for one in wanted:
        stage_run(archive, one, staged)


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    try:
        async with asyncio.timeout(STREAM_IDLE_SECONDS):
            return await anext(chunks, None)
    except TimeoutError:
        raise DeadlineExceeded(
            "UPLOAD_IDLE", f"no message for {STREAM_IDLE_SECONDS:.0f} s"
        ) from None
