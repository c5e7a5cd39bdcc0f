"""The pictures one run waits for: made fit, checked and recorded as they are brought.

A picture that a check refuses is not recorded, whatever the policy says of pictures that were made.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from services.kit.deadline import no_deadline
from services.kit.errors import (
    AlreadyExists,
    ArtlabError,
    DeadlineExceeded,
)
from services.kit.log import facts
from services.kit.streams import pieces
from services.orchestrator.claims import ClaimLost
from services.orchestrator.domain.run import PreparedImage, RecordedEntity, Verdict
from services.orchestrator.ending import run_taken
from services.orchestrator.image_identity import differs, digest_of, not_expected, require_same
from services.orchestrator.inherited_images import pictures_of
from services.orchestrator.journal import Began
from services.orchestrator.rerun import COPIED_FROM
from services.orchestrator.run_in_work import Blocked, RunInWork

log = logging.getLogger(__name__)

# How many prepared pictures of all runs may be in memory at once, 20 MiB each at most.
MAX_IN_MEMORY = 4


class InputImages:
    """What one run gets to see.

    Args:
        run: the run.
        places: held while a prepared picture is in memory; shared by all runs.
    """

    def __init__(self, run: RunInWork, places: asyncio.Semaphore) -> None:
        self._run = run
        self._places = places
        self._wanted = run.plan.request.input_images
        self._locks = [asyncio.Lock() for _ in range(self._wanted)]
        # By index: the digest of what was sent, and the sequence it has.
        self._there: dict[int, tuple[str, int]] = {}
        self._find()
        self._settling: dict[int, asyncio.Task[None]] = {}
        self._blocked: Blocked | None = None
        self._closed = not self._wanted
        self._changed = asyncio.Event()

    @property
    def is_refused(self) -> bool:
        """Whether a check has said no, so that the run ends."""
        return self._blocked is not None

    async def found(self) -> Sequence[int] | None:
        """Return the sequences when all pictures are recorded, None when some are missing.

        Raises Blocked for a recorded no.
        """
        await self._find_refusal()
        if self._blocked is not None:
            await self._close()
            raise self._blocked
        return self._sequences() if len(self._there) == self._wanted else None

    async def all_there(self) -> Sequence[int]:
        """Wait for all pictures; return their sequences, in the order of their indices.

        Raises Blocked when a check refused one, DeadlineExceeded INPUT_IMAGE_MISSING.
        """
        if not self._wanted:
            return ()
        try:
            await self._run.journal.stage(1, "input_images")
            await self._take_over()
            async with asyncio.timeout(self._run.services.input_image_seconds):
                while len(self._there) < self._wanted and self._blocked is None:
                    await self._wait_a_little()
        except TimeoutError:
            raise DeadlineExceeded(
                "INPUT_IMAGE_MISSING",
                f"{len(self._there)} of {self._wanted} input images came in time",
            ) from None
        finally:
            await self._close()
        if self._blocked is not None:
            raise self._blocked
        return self._sequences()

    def _sequences(self) -> Sequence[int]:
        return [self._there[index][1] for index in sorted(self._there)]

    async def _take_over(self) -> None:
        # From the run this one goes on from, and looked at again under the level in force here.
        run, lineage = self._run, self._run.plan.lineage
        wanted = [one for one in lineage.images if one.index not in self._there] if lineage else []
        if lineage is None or not wanted:
            return
        pictures = await pictures_of(run, lineage.parent)
        for copied in wanted:
            async with self._places:
                source, image = await pictures.read(copied.sequence)
                name = lineage.source("input_image", index=copied.index)
                await self._check_and_record(copied.index, source, image, {COPIED_FROM: name})
            if self._blocked is not None:
                return

    async def _wait_a_little(self) -> None:
        self._changed.clear()
        waiting = asyncio.ensure_future(self._changed.wait())
        try:
            await asyncio.wait({waiting}, timeout=self._run.services.input_image_look_seconds)
        finally:
            waiting.cancel()
        if not self._changed.is_set():
            await self._look()

    async def _look(self) -> None:
        # A picture may be brought to another process than the one that drives the run.
        run = self._run
        try:
            recorded = await run.services.recorder.get_run(run.plan.run_id)
            for entity in recorded.entities:
                run.record.add(entity)
            self._find()
            await self._find_refusal()
        except ArtlabError as error:
            log.info("could not look for input images", extra=facts(reason=error.reason))

    def _find(self) -> None:
        for entity in self._run.record.all("input_image"):
            index = entity.metadata.get("index", "")
            if index.isdecimal():
                known = entity.metadata.get("source_sha256", ""), entity.sequence
                self._there.setdefault(int(index), known)

    async def _find_refusal(self) -> None:
        for evidence in self._run.record.all("safety_image", stage=1):
            no = await self._refusal(evidence)
            if no is not None:
                self._blocked = self._blocked or Blocked(1, no)

    async def _refusal(self, evidence: RecordedEntity) -> Verdict | None:
        no = await self._run.record.refusal(evidence)
        if no is not None:
            index = evidence.metadata.get("index", "")
            source = evidence.metadata.get("source_sha256", "")
            await self._run.journal.explain(
                _evidence_upload(index, source),
                no,
                stage=1,
                metadata=evidence.metadata,
                attempt=evidence.attempt,
            )
        return no

    async def take(self, index: int, chunks: AsyncIterator[bytes]) -> None:
        """Take one picture; it goes on when its sender goes away after the last byte.

        Returns once it is recorded, or refused by a check. Raises FailedPrecondition
        INPUT_IMAGE_NOT_EXPECTED, AlreadyExists INPUT_IMAGE_DIFFERS, Unavailable RUN_TAKEN, what
        preparing and checking raise; the run then goes on waiting.
        """
        if index > self._wanted:
            raise not_expected()
        async with self._locks[index - 1]:
            if index in self._settling:
                await asyncio.wait({self._settling[index]})
            if index in self._there:
                require_same(self._there[index][0], await digest_of(chunks))
                return
            if self._closed:
                raise not_expected()
            await self._settle(index, chunks)

    async def _settle(self, index: int, chunks: AsyncIterator[bytes]) -> None:
        digest = hashlib.sha256()
        with ExitStack() as held:

            async def passed_on() -> AsyncIterator[bytes]:
                async for chunk in chunks:
                    digest.update(chunk)
                    yield chunk
                # The prepared picture comes after this, and then it needs its place.
                await self._places.acquire()
                held.callback(self._places.release)

            image = await self._run.services.media.prepare_image(passed_on())
            if self._closed:
                raise not_expected()
            with no_deadline():
                task = asyncio.create_task(
                    self._check_and_record(index, digest.hexdigest(), image),
                    name=f"input image {index}",
                )
            self._settling[index] = task
            task.add_done_callback(partial(self._settled, index, held.pop_all()))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if not task.cancelled():
                    raise
                # The run has ended meanwhile.
                raise not_expected() from None
            except ClaimLost:
                # Who sends a picture drives nothing: it is to be sent again, to whoever does.
                raise run_taken() from None

    def _settled(self, index: int, held: ExitStack, task: asyncio.Task[None]) -> None:
        held.close()
        del self._settling[index]
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its sender may be gone.
            reason = error.reason if isinstance(error, ArtlabError) else "INTERNAL"
            log.info("input image not taken", extra=facts(reason=reason, index=index))

    async def _check_and_record(
        self,
        index: int,
        source: str,
        image: PreparedImage,
        more: Mapping[str, str] | None = None,
    ) -> None:
        run, began = self._run, self._run.journal.begin()
        metadata = {"index": str(index), "source_sha256": source}
        if run.plan.checks_images:
            no = await self._judge(index, source, image, began)
            if no is not None:
                self._blocked = self._blocked or Blocked(1, no)
                return
        sizes = {"width": str(image.width), "height": str(image.height)}
        try:
            entity = await run.journal.input_image(
                f"input-image-{index}", image, began, {**metadata, **sizes, **(more or {})}
            )
        except AlreadyExists as error:
            if error.reason != "UPLOAD_COMPLETE":
                raise
            # Brought to another process meanwhile.
            raise differs() from error
        self._there[index] = source, entity.sequence

    async def _judge(
        self, index: int, source: str, image: PreparedImage, began: Began
    ) -> Verdict | None:
        run, metadata = self._run, {"index": str(index), "source_sha256": source}
        for evidence in run.record.all("safety_image", stage=1):
            if evidence.metadata == metadata:
                # Its bytes were lost before they were recorded.
                return await self._refusal(evidence)

        async def read() -> AsyncIterator[bytes]:
            for piece in pieces(image.data):
                yield piece

        found = await run.image_verdict("input_image", image.media_type, read)
        await run.journal.verdicts(
            _evidence_upload(str(index), source),
            "safety_image",
            [found.verdict],
            began,
            stage=1,
            metadata=metadata,
        )
        return None if found.verdict.safe else found.verdict

    async def _close(self) -> None:
        self._closed = True
        begun = list(self._settling.values())
        for task in begun:
            task.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


def _evidence_upload(index: str, source: str) -> str:
    # Another picture may be brought in the place of one that was never recorded.
    return f"input-image-{index}-{source[:16]}-safety"
