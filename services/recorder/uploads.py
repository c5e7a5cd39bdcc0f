"""Uploads into runs: who writes which, how far it is, and the commit that ends it.

Small ones in one call, large ones in pieces: bytes, checks, commit. Whether an upload may
begin, end or go away is decided under its run's lock; bytes are written outside of it.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence

from services.kit.clock import Clock
from services.kit.errors import (
    ArtlabError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)
from services.kit.ids import RunId, UploadName
from services.kit.log import facts
from services.recorder.claims import Claims
from services.recorder.commits import Commits, Declared, SmallEntity, check_same
from services.recorder.domain.entity import Entity, EntityDraft
from services.recorder.domain.run import Position, Run
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import OpenedUpload, Store
from services.recorder.table import OpenRun, RunTable
from services.recorder.threads import Threads
from services.recorder.upload import Upload, UploadLimits, offset_mismatch

log = logging.getLogger(__name__)

# Above this, idle uploads are hashed again when they go on, instead of holding a descriptor.
MAX_OPEN_FILES = 256


class Uploads:
    """All unfinished uploads, and how they become entities."""

    def __init__(
        self,
        store: Store,
        table: RunTable,
        threads: Threads,
        clock: Clock,
        limits: UploadLimits,
        claims: Claims,
    ) -> None:
        self.limits = limits
        self._store = store
        self._table = table
        self._threads = threads
        self._clock = clock
        self._claims = claims
        self._commits = Commits(store, clock)
        self._open: dict[UploadName, Upload] = {}

    def adopt(self, uploads: Iterable[OpenedUpload]) -> None:
        """Take in what was unfinished at the last stop."""
        for one in uploads:
            self._open[one.record.name] = Upload(
                one.record, one.size_bytes, self._clock.monotonic()
            )

    async def progress(self, name: UploadName, epoch: int) -> tuple[int, Entity | None]:
        """Return durable bytes and, once complete, the entity.

        Raises NotFound RUN_NOT_FOUND, UPLOAD_NOT_FOUND; FailedPrecondition FENCED.
        """
        upload = await self._settled(name)
        run = await self._table.read(name.run)
        self._claims.check(run, epoch)
        entity = run.entity_of_upload(name.upload_id)
        if entity is not None:
            return entity.size_bytes, entity
        if upload is None or upload.is_discarded:
            raise NotFound("UPLOAD_NOT_FOUND", "no such upload")
        return upload.durable_size, None

    async def record(
        self,
        run_id: RunId,
        small: Sequence[SmallEntity],
        epoch: int,
        then: Position | None = None,
    ) -> list[Entity]:
        """Commit entities, all of them in one, and with the last where the run stands then.

        Those that are there already stay as they are. Raises AlreadyExists UPLOAD_COMPLETE, Aborted
        UPLOAD_BUSY, OutOfRange OFFSET_MISMATCH (somebody began it in pieces), FailedPrecondition
        RUN_FINAL, OUTPUT_FINAL or FENCED, and what `media_type_of` does.
        """
        for one in small:
            await self._settled(UploadName(run_id, one.upload_id))
        async with self._table.locked(run_id) as held:
            self._claims.check(held.current, epoch)
            return await self.record_held(held, small, epoch, then)

    async def record_held(
        self,
        held: OpenRun,
        small: Sequence[SmallEntity],
        epoch: int = 0,
        then: Position | None = None,
    ) -> list[Entity]:
        """The same for who holds the run's lock."""
        new: list[SmallEntity] = []
        for one in small:
            done = held.current.entity_of_upload(one.upload_id)
            if done is not None:
                said = Declared(hashlib.sha256(one.data).hexdigest(), len(one.data))
                check_same(done, said, one.draft)
                continue
            self._check_may_begin(held.current, one.draft)
            begun = self._open.get(UploadName(held.current.run_id, one.upload_id))
            if begun is not None:
                begun.check_free(epoch)
                if begun.durable_size:
                    raise offset_mismatch(begun.durable_size)
                await self._discard(begun)
            new.append(one)
        if new:
            # The position was recorded with the last one, and the run may have moved on since.
            then = then if new[-1] is small[-1] else None
            run = await self._threads.run(self._commits.record, held.current, new, then)
            self._table.advance(held, run)
        found = [held.current.entity_of_upload(one.upload_id) for one in small]
        return [one for one in found if one is not None]

    async def begin(
        self, name: UploadName, draft: EntityDraft | None, epoch: int
    ) -> Upload | Entity:
        """Return the upload, busy for this caller, or the entity it has become.

        Raises InvalidArgument ENTITY_REQUIRED (a new upload without a draft), Aborted
        UPLOAD_BUSY, AlreadyExists UPLOAD_DIFFERS, ResourceExhausted TOO_MANY_UPLOADS,
        FailedPrecondition RUN_FINAL, OUTPUT_FINAL or FENCED, NotFound RUN_NOT_FOUND.
        """
        await self._settled(name)
        async with self._table.locked(name.run) as held:
            self._claims.check(held.current, epoch)
            done = held.current.entity_of_upload(name.upload_id)
            if done is not None:
                return done
            upload = self._open.get(name)
            if upload is not None:
                upload.check_free(epoch)
            self._check_may_begin(held.current, draft)
            if upload is None:
                upload = await self._new(name, draft)
            elif upload.data is None:
                upload.data = await self._threads.run(self._store.reopen_upload, upload.record)
            if draft is not None:
                upload.describe(draft)
            upload.begin(epoch)
            return upload

    async def check_size(self, upload: Upload, size: int) -> None:
        """Refuse to grow beyond the limit: InvalidArgument MEDIA_TOO_LARGE, which discards all."""
        if size > self.limits.max_entity_bytes:
            await self.discard(upload.record.name)
            raise InvalidArgument(
                "MEDIA_TOO_LARGE", f"at most {self.limits.max_entity_bytes} bytes", field="data"
            )
        upload.used_at = self._clock.monotonic()

    def append(self, upload: Upload, chunks: Sequence[bytes]) -> None:
        """Write the next chunks. Blocking: called in a thread. Raises Aborted UPLOAD_DISCARDED."""
        upload.bytes_open().append(chunks)

    async def commit(self, upload: Upload, said: Declared, epoch: int) -> Entity:
        """Make the upload an entity.

        Raises FailedPrecondition FENCED, which keeps the upload for the next driver;
        InvalidArgument SIZE_MISMATCH, DIGEST_MISMATCH and what `media_type_of` does, each
        of which discards the upload; ResourceExhausted STORAGE_FULL, which keeps it unless its
        bytes could not be synced; Internal STORAGE_ERROR, which discards it.
        """
        async with self._table.locked(upload.record.name.run) as held:
            self._claims.check(held.current, epoch)
            data = upload.bytes_open()
            try:
                run, entity = await self._threads.run(
                    self._commits.commit, upload.record, data, said, held.current
                )
            except ResourceExhausted:
                if data.is_lost:
                    await self._discard(upload)
                    raise
                # The commit syncs first: all of it is durable, and the next writer begins there.
                upload.durable_size = data.content.size_bytes
                upload.data = None
                await self._threads.run(data.close)
                raise
            except ArtlabError:
                await self._discard(upload)
                raise
            self._forget(upload)
            self._table.advance(held, run)
            return entity

    async def leave(self, upload: Upload) -> int:
        """Make what was written durable, let others go on with it, return the durable size."""
        upload.settled.clear()
        data = upload.data
        try:
            if data is not None and not upload.is_discarded:
                upload.durable_size = await self._threads.run(
                    self._store.keep_upload, upload.record, data
                )
        except ArtlabError as error:
            # A failed sync leaves nothing to rely on.
            log.error("upload is lost", extra=facts(reason=error.reason))
            await self.discard(upload.record.name)
            raise
        finally:
            if data is not None and (upload.is_discarded or len(self._open) > MAX_OPEN_FILES):
                upload.data = None
                await self._threads.run(data.close)
            upload.used_at = self._clock.monotonic()
            upload.is_busy = False
            upload.settled.set()
        return upload.durable_size

    async def delete(self, name: UploadName, epoch: int) -> None:
        """Discard an unfinished upload, also under its writer; nothing happens without one.

        Raises FailedPrecondition UPLOAD_COMPLETE, FENCED.
        """
        await self._settled(name)
        async with self._table.locked(name.run) as held:
            self._claims.check(held.current, epoch)
            if held.current.entity_of_upload(name.upload_id) is not None:
                raise FailedPrecondition("UPLOAD_COMPLETE", "the upload is an entity already")
            if name in self._open:
                await self._discard(self._open[name])

    async def discard(self, name: UploadName) -> None:
        """Free an unfinished upload's space; nothing happens when there is none."""
        async with self._table.locked(name.run, absent_ok=True, damaged_ok=True):
            if name in self._open:
                await self._discard(self._open[name])

    def is_written_to(self, run_id: RunId) -> bool:
        """Whether somebody writes an upload of this run right now."""
        return any(one.is_busy for name, one in self._open.items() if name.run == run_id)

    async def discard_all(self, run_id: RunId, held: OpenRun) -> None:
        """Discard every upload of a run; the caller holds its lock."""
        if not held.lock.locked():
            raise RuntimeError("the run must be locked")
        for name in [name for name in self._open if name.run == run_id]:
            await self._discard(self._open[name])

    async def sweep(self) -> None:
        """Discard what nobody wrote to for longer than the limit."""
        oldest = self._clock.monotonic() - self.limits.ttl_seconds
        for name, upload in list(self._open.items()):
            if not upload.is_busy and upload.used_at <= oldest:
                log.info("upload expired", extra=facts(run=str(name.run)))
                await self.discard(name)

    async def close(self) -> None:
        """Let go of every descriptor."""
        for upload in self._open.values():
            if upload.data is not None:
                await self._threads.run(upload.data.close)

    async def _settled(self, name: UploadName) -> Upload | None:
        upload = self._open.get(name)
        if upload is not None:
            await upload.settled.wait()
        return self._open.get(name)

    def _check_may_begin(self, run: Run, draft: EntityDraft | None) -> None:
        run.check_open()
        if draft is not None:
            run.check_takes(draft)

    async def _new(self, name: UploadName, draft: EntityDraft | None) -> Upload:
        if draft is None:
            raise InvalidArgument(
                "ENTITY_REQUIRED", "the first message of an upload says what it is", field="entity"
            )
        if sum(1 for one in self._open if one.run == name.run) >= self.limits.uploads_per_run:
            raise ResourceExhausted(
                "TOO_MANY_UPLOADS",
                f"at most {self.limits.uploads_per_run} unfinished uploads a run",
            )
        record = UploadRecord(name, draft, self._clock.now())
        upload = Upload(record, 0, self._clock.monotonic())
        upload.data = await self._threads.run(self._store.begin_upload, record)
        self._open[name] = upload
        return upload

    async def _discard(self, upload: Upload) -> None:
        self._forget(upload)
        if not upload.is_busy and upload.data is not None:
            data, upload.data = upload.data, None
            await self._threads.run(data.close)
        await self._threads.run(self._store.discard_upload, upload.record.name)

    def _forget(self, upload: Upload) -> None:
        upload.discard()
        self._open.pop(upload.record.name, None)
