"""The recorder: everything that can be asked of runs, above any store."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, TypeVar

from services.kit.clock import Clock
from services.kit.errors import ArtlabError
from services.kit.ids import EntityName, RunId, UploadName
from services.kit.log import facts
from services.recorder.archive.exporting import Exporting, Wish
from services.recorder.archive.importing import MAX_IMPORT_BYTES, Imported, Importing
from services.recorder.care import Care, CareLimits
from services.recorder.claiming import Claiming
from services.recorder.claims import Claims
from services.recorder.commits import SmallEntity
from services.recorder.domain.claim import Claimant
from services.recorder.domain.entity import Entity, EntityDraft
from services.recorder.domain.events import Progress, RunWarning
from services.recorder.domain.filter import Filter
from services.recorder.domain.outcome import Output, OutputEnd, RunError
from services.recorder.domain.plan import Plan
from services.recorder.domain.room import Room
from services.recorder.domain.run import Position, Run
from services.recorder.domain.stats import RunStats
from services.recorder.domain.vocabulary import Audience, RunState
from services.recorder.domain.warning import with_warning
from services.recorder.index.port import Index
from services.recorder.library import Library, Page
from services.recorder.lifecycle import Lifecycle
from services.recorder.ports import Follower, Store
from services.recorder.reading import Reading
from services.recorder.rendered import Rendered
from services.recorder.table import RunTable
from services.recorder.threads import Threads
from services.recorder.upload import UploadLimits
from services.recorder.uploads import Uploads
from services.recorder.watch import Update, Watching
from services.recorder.watcher import Hint
from services.recorder.writing import Chunk, Writing, Written

log = logging.getLogger(__name__)

T = TypeVar("T")


class Recorder:
    """One store, opened. Changes go on to their end even when their caller goes away."""

    def __init__(
        self,
        store: Store,
        index: Index,
        clock: Clock,
        limits: UploadLimits,
        run_limit_seconds: float,
        followers: Sequence[Follower] = (),
        *,
        max_import_bytes: int = MAX_IMPORT_BYTES,
        care: CareLimits | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._threads = Threads()
        self._library = Library(store, index)
        self._claims = Claims(clock)
        self._table = RunTable(store, self._threads, [self._claims, self._library, *followers])
        self.claiming = Claiming(store, self._table, self._threads, clock, self._claims)
        self._uploads = Uploads(store, self._table, self._threads, clock, limits, self._claims)
        self._lifecycle = Lifecycle(
            store,
            self._table,
            self._uploads,
            self._threads,
            clock,
            timedelta(seconds=run_limit_seconds),
            self._claims,
            self.claiming,
        )
        self._writing = Writing(self._uploads, self._threads)
        self._reading = Reading(store, self._table, self._threads)
        self._rendered = Rendered(store, self._library, self._threads, self.get_run)
        self._watching = Watching(self._table, self._claims)
        self._exporting = Exporting(store, self._table, self._threads, self._library)
        self._importing = Importing(store, self._table, self._threads, max_import_bytes)
        self.care = Care(
            store,
            self._table,
            self._threads,
            self._library,
            clock,
            care or CareLimits(),
            self._delete,
        )

    async def open(self) -> None:
        """Recover and take in what there is. Raises FailedPrecondition STORE_*."""
        contents = await self._threads.run(self._store.open, self._library)
        await self._threads.run(self._library.complete, contents.run_ids)
        self._table.adopt(contents.open_runs)
        self._claims.adopt(contents.open_runs, contents.claims)
        self._uploads.adopt(contents.uploads)
        self._library.start()
        await self.care.open(contents.damaged)
        log.info(
            "store is open",
            extra=facts(
                runs=len(contents.run_ids),
                open_runs=len(contents.open_runs),
                damaged=len(contents.damaged),
                uploads=len(contents.uploads),
            ),
        )

    async def close(self) -> None:
        """Finish what has begun and let go of the store."""
        await self._threads.settle()
        await self._uploads.close()
        await self._library.close()
        await self._threads.run(self._store.close)
        self._threads.close()

    # Runs

    async def create_run(
        self,
        run_id: RunId,
        plan: Plan,
        by: Claimant | None = None,
        small: Sequence[SmallEntity] = (),
    ) -> tuple[Run, int]:
        """Return the run of that id, made now or by the same request before, and the epoch.

        That is 0 when nobody claims it, or somebody else has it. It is made with its first
        entities; one that is open and lacks some of them gets them. Raises AlreadyExists
        REQUEST_ID_REUSED, UPLOAD_COMPLETE, InvalidArgument INVALID_DEADLINE, FailedPrecondition
        RUN_DELETED.
        """
        return await self._lifecycle.create(run_id, plan, by, small)

    async def get_run(self, run_id: RunId) -> Run:
        """Return a run. Raises NotFound RUN_NOT_FOUND, DataLoss METADATA_CORRUPT."""
        with self.care.suspecting(run_id):
            return await self._table.read(run_id)

    async def store_id(self) -> str:
        """Return the id of the store, the same for its whole life."""
        return await self._threads.run(self._store.store_id)

    async def run_ids(self) -> list[RunId]:
        """Return every run there is now, damaged ones included, in any order."""
        return await self._threads.run(self._store.run_ids)

    async def read_document(self, run_id: RunId) -> bytes:
        """Return metadata.json byte for byte. Raises as `get_run`."""
        with self.care.suspecting(run_id):
            return await self._threads.run(self._store.read_document, run_id)

    async def list_runs(self, wanted: Filter, audience: Audience, token: str, size: int) -> Page:
        """See `Library.page`."""
        return await self._library.page(wanted, audience, token, size)

    async def run_stats(self, wanted: Filter, audience: Audience) -> RunStats:
        """See `Library.stats`."""
        return await self._library.stats(wanted, audience)

    async def find_render(self, user_id: str, digest: str) -> tuple[RunId, Sequence[Entity]]:
        """See `Rendered.find`."""
        return await self._rendered.find(user_id, digest)

    async def delete_run(self, run_id: RunId) -> None:
        """Put a run out of sight for ever and remove its bytes; nothing happens without one."""
        await self._delete(run_id)

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int, epoch: int = 0
    ) -> Progress:
        """Record where the run stands. Raises FailedPrecondition RUN_FINAL, FENCED."""

        def move(run: Run) -> Run:
            return run.at(stage, step, output_index, self._clock.now())

        return (await self._lifecycle.change(run_id, move, epoch)).progress

    async def record_warning(self, run_id: RunId, warning: RunWarning, epoch: int = 0) -> None:
        """See `domain.warning.with_warning`."""

        def warn(run: Run) -> Run:
            return with_warning(run, warning, self._clock.now())

        await self._lifecycle.change(run_id, warn, epoch)

    async def finalize_output(self, run_id: RunId, end: OutputEnd, epoch: int = 0) -> Output:
        """Make an output final and return it as recorded, which may be from an earlier call.

        Raises NotFound OUTPUT_NOT_FOUND, FailedPrecondition OUTPUT_HAS_NO_ENTITY, FENCED.
        """

        def make_final(run: Run) -> Run:
            return run.with_final_output(end.index, end.state, end.error, self._clock.now())

        run = await self._lifecycle.change(run_id, make_final, epoch, is_end=True)
        return run.outputs[end.index - 1]

    async def finalize_run(
        self,
        run_id: RunId,
        state: RunState,
        error: RunError | None,
        epoch: int = 0,
        outputs: Sequence[OutputEnd] = (),
    ) -> Run:
        """Make outputs and then a run final; return it as recorded, perhaps by an earlier call.

        Unfinished uploads are discarded, except that a run does not succeed (wholly or in part)
        while somebody writes one: FailedPrecondition UPLOADS_OPEN. Raises FailedPrecondition
        OUTPUTS_DISAGREE, OUTPUT_HAS_NO_ENTITY and FENCED too; then nothing has changed.
        """
        return await self._lifecycle.finalize(run_id, state, error, epoch, outputs)

    # Entities

    async def record_entity(
        self, name: UploadName, draft: EntityDraft, data: bytes, epoch: int = 0
    ) -> Entity:
        """See `Uploads.record`; a single one."""
        small = SmallEntity(name.upload_id, draft, data)
        (entity,) = await self.record_entities(name.run, [small], epoch)
        return entity

    async def record_entities(
        self,
        run_id: RunId,
        small: Sequence[SmallEntity],
        epoch: int = 0,
        then: Position | None = None,
    ) -> list[Entity]:
        """See `Uploads.record`."""
        return await self._unbroken(self._uploads.record(run_id, small, epoch, then))

    async def write_entity(self, chunks: AsyncIterator[Chunk]) -> Written:
        """See `Writing.write`."""
        return await self._writing.write(chunks)

    async def get_upload(self, name: UploadName, epoch: int = 0) -> tuple[int, Entity | None]:
        """See `Uploads.progress`."""
        return await self._uploads.progress(name, epoch)

    async def delete_upload(self, name: UploadName, epoch: int = 0) -> None:
        """See `Uploads.delete`."""
        await self._unbroken(self._uploads.delete(name, epoch))

    async def read_entity(
        self, name: EntityName, offset: int, limit: int, audience: Audience
    ) -> AsyncGenerator[bytes, None]:
        """See `Reading.read`."""
        with self.care.suspecting(name.run):
            async with aclosing(self._reading.read(name, offset, limit, audience)) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def erase_entity(self, name: EntityName, reason: str, epoch: int = 0) -> Entity:
        """Remove the bytes of an entity for ever and return what the record says of it.

        Raises NotFound ENTITY_NOT_FOUND, FailedPrecondition RUN_FINAL, FENCED; Internal
        STORAGE_ERROR when nobody can read them any more and they may still be on the disk: ask
        again.
        """
        return await self._lifecycle.erase(name, reason, epoch)

    # Watching

    def watch(self, run_id: RunId, after_seq: int) -> AsyncGenerator[Update, None]:
        """See `Watching.watch`."""
        return self._watching.watch(run_id, after_seq)

    async def publish_hints(self, run_id: RunId, hints: Sequence[Hint], epoch: int = 0) -> None:
        """See `Watching.publish`."""
        await self._watching.publish(run_id, hints, epoch)

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return self._watching.count

    async def room(self) -> Room:
        """Return how much room the store has. Raises Internal STORAGE_ERROR."""
        return await self._threads.run(self._store.room)

    async def drain(self) -> None:
        """End every watch with DRAINING."""
        await self._watching.drain()

    # Files of runs

    def export_runs(self, wish: Wish) -> AsyncGenerator[bytes, None]:
        """See `Exporting.export`."""
        return self._exporting.export(wish)

    async def import_runs(self, chunks: AsyncIterator[bytes]) -> Imported:
        """See `Importing.take_in`."""
        return await self._importing.take_in(chunks)

    # What happens by itself

    async def sweep(self) -> None:
        """End runs past their deadline, discard idle uploads, remove what deletions left."""
        await self._lifecycle.end_overdue()
        try:
            await self._uploads.sweep()
        except ArtlabError as problem:
            log.error("cannot sweep uploads", extra=facts(reason=problem.reason))
        await self._unbroken(self._threads.run(self._store.sweep))

    async def _delete(
        self, run_id: RunId, is_kept: Callable[[RunId], bool] = lambda _: False
    ) -> None:
        async def delete() -> None:
            if await self._lifecycle.delete(run_id, is_kept):
                self.care.forget(run_id)

        await self._unbroken(delete())

    async def _unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        return await self._threads.unbroken(work)
