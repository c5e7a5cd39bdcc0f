"""One stream of chunks into one upload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

from services.kit.errors import Aborted, DeadlineExceeded, InvalidArgument, ResourceExhausted
from services.kit.ids import UploadName
from services.recorder.commits import Declared, check_same
from services.recorder.domain.claim import fenced
from services.recorder.domain.entity import Entity, EntityDraft
from services.recorder.inflow import Inflow
from services.recorder.threads import Threads
from services.recorder.upload import Upload, offset_mismatch, upload_discarded
from services.recorder.uploads import Uploads

# A writer that stays silent for longer is cut off, and its upload is free for the next one.
STREAM_IDLE_SECONDS = 60.0
MAX_KEEPALIVES = 10_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message of the stream; `name` is None where it is not repeated."""

    name: UploadName | None
    offset: int
    finish: bool
    said: Declared | None
    draft: EntityDraft | None
    data: bytes
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class Written:
    """What is durable when the stream ends."""

    committed_size: int
    entity: Entity | None


class Writing:
    """Takes streams in."""

    def __init__(self, uploads: Uploads, threads: Threads) -> None:
        self._uploads = uploads
        self._threads = threads

    async def write(self, chunks: AsyncIterator[Chunk]) -> Written:
        """Write one stream to its end.

        Nothing is committed before the stream ends, so that data after `finish` can be refused.
        Raises InvalidArgument NAME_REQUIRED, UPLOAD_NAME_CHANGED, DATA_AFTER_FINISH; OutOfRange
        OFFSET_MISMATCH; DeadlineExceeded UPLOAD_IDLE; and what `Uploads` raises.
        """
        first = await _next(chunks)
        if first is None or first.name is None:
            raise InvalidArgument("NAME_REQUIRED", "the first message names it", field="upload")
        begun = await self._begin(first.name, first.draft, first.epoch)
        if isinstance(begun, Entity):
            return await _repeat(begun, first, chunks)
        stream = _Stream(self._uploads, self._threads, begun)
        finished: Entity | None = None
        size = 0
        try:
            chunk: Chunk | None = first
            while chunk is not None:
                await stream.take(chunk)
                chunk = await stream.next(chunks)
            await stream.settle()
            if stream.said is not None:
                finished = await stream.commit(stream.said)
        finally:
            size = await self._threads.unbroken(self._leave(stream))
        return Written(size if finished is None else finished.size_bytes, finished)

    async def _begin(
        self, name: UploadName, draft: EntityDraft | None, epoch: int
    ) -> Upload | Entity:
        task = self._threads.start(self._uploads.begin(name, draft, epoch))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # The upload may become busy for a caller that is gone.
            self._threads.start(self._let_go(task))
            raise

    async def _let_go(self, task: asyncio.Task[Upload | Entity]) -> None:
        begun = await task
        if isinstance(begun, Upload):
            await self._uploads.leave(begun)

    async def _leave(self, stream: _Stream) -> int:
        await stream.drain()
        return await self._uploads.leave(stream.upload)


class _Stream:
    def __init__(self, uploads: Uploads, threads: Threads, upload: Upload) -> None:
        self.upload = upload
        self.said: Declared | None = None
        self._uploads = uploads
        self._threads = threads
        self._position = 0 if upload.data is None else upload.data.content.size_bytes
        self._is_first = True
        self._keepalives = 0
        self._inflow = Inflow(threads, partial(uploads.append, upload))
        self._committing: asyncio.Task[Entity] | None = None

    async def take(self, chunk: Chunk) -> None:
        if chunk.name not in (None, self.upload.record.name):
            raise InvalidArgument(
                "UPLOAD_NAME_CHANGED", "one stream writes one upload", field="upload"
            )
        if self.said is not None:
            raise InvalidArgument(
                "DATA_AFTER_FINISH", "nothing may follow a message with finish", field="finish"
            )
        is_keepalive = not (chunk.data or chunk.finish or self._is_first)
        if chunk.offset != self._position and not is_keepalive:
            raise offset_mismatch(self._position)
        if chunk.draft is not None and not self._is_first:
            self.upload.describe(chunk.draft)
        if is_keepalive:
            self._keepalives += 1
            if self._keepalives > MAX_KEEPALIVES:
                raise ResourceExhausted("TOO_MANY_KEEPALIVES", "send data instead")
        self._is_first = False
        # The newest counts: the writer's work may have passed to another driver meanwhile.
        self.upload.epoch = max(self.upload.epoch, chunk.epoch)
        if chunk.data:
            self._position += len(chunk.data)
            await self._uploads.check_size(self.upload, self._position)
            await self._inflow.put(chunk.data)
        self.said = chunk.said if chunk.finish else None

    async def next(self, chunks: AsyncIterator[Chunk]) -> Chunk | None:
        """The next chunk, None at the end.

        Raises Aborted UPLOAD_DISCARDED as soon as the upload is gone, or why it went.
        """
        try:
            return await _next(chunks, self.upload)
        except Aborted:
            await self.settle()
            raise

    async def settle(self) -> None:
        """Wait until all that has arrived is written, and raise what went wrong with it."""
        await self._inflow.settle()

    async def commit(self, said: Declared) -> Entity:
        """Make everything an entity; it goes on to its end even when the writer goes away."""
        commit = self._uploads.commit(self.upload, said, self.upload.epoch)
        self._committing = self._threads.start(commit)
        return await asyncio.shield(self._committing)

    async def drain(self) -> None:
        """Wait for what is under way; its error was or will be told by somebody else."""
        await self._inflow.drain()
        if self._committing is not None:
            await asyncio.wait({self._committing})


async def _repeat(entity: Entity, first: Chunk, chunks: AsyncIterator[Chunk]) -> Written:
    # The answer to the first time was lost. The bytes are not needed again, only what they are.
    chunk: Chunk | None = first
    draft = first.draft
    while chunk is not None:
        if chunk.finish and chunk.said is not None:
            check_same(entity, chunk.said, draft)
        chunk = await _next(chunks)
    return Written(entity.size_bytes, entity)


async def _next(chunks: AsyncIterator[Chunk], upload: Upload | None = None) -> Chunk | None:
    try:
        async with asyncio.timeout(STREAM_IDLE_SECONDS) as wait:
            if upload is None:
                return await anext(chunks, None)
            with upload.waiting(wait):
                return await anext(chunks, None)
    except TimeoutError:
        if upload is not None and upload.is_discarded:
            raise upload_discarded() from None
        if upload is not None and upload.is_fenced:
            raise fenced() from None
        raise DeadlineExceeded(
            "UPLOAD_IDLE", f"no message for {STREAM_IDLE_SECONDS:.0f} s"
        ) from None
