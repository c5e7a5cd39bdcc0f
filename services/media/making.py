"""One job's work, from a request to what is recorded: choose, render, record."""

from __future__ import annotations

import asyncio
import logging
import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.kit.clock import Clock
from services.kit.errors import AlreadyExists, DataLoss, FailedPrecondition, NotFound
from services.kit.ids import UploadName
from services.kit.log import facts
from services.media.claim import Claim, is_fenced
from services.media.domain.output_config import OutputConfig
from services.media.domain.render_digest import render_digest
from services.media.domain.request import (
    FILES,
    MAX_FILES,
    RENDER_DIGEST,
    REQUEST_DIGEST,
    EntityDraft,
    Recorded,
    Result,
    entity_metadata,
    upload_of_file,
)
from services.media.fallback import FallbackChains
from services.media.ports import Backend, Product, RenderJob, RenderProgress
from services.media.recording import Recording
from services.media.work import Work

log = logging.getLogger(__name__)

# Durations of the last jobs of a config, for its typical duration.
REMEMBERED_JOBS = 21


@dataclass(frozen=True, slots=True)
class Availability:
    """An output config, and whether it can run here now: by itself, or by what takes over."""

    config: OutputConfig
    reason: str | None
    typical_seconds: float | None
    # The config of its chain that would run now; empty when that is itself, or none can.
    runs_as: str = ""


class Making:
    """Makes outputs.

    Args:
        configs: every output config by name.
        backends: by name.
    """

    def __init__(
        self,
        configs: Mapping[str, OutputConfig],
        backends: Mapping[str, Backend],
        recording: Recording,
        clock: Clock,
    ) -> None:
        self._configs, self._backends = configs, backends
        self._chains = FallbackChains(configs, backends)
        self._recording, self._clock = recording, clock
        self._durations: dict[str, deque[float]] = {}

    def config(self, name: str) -> OutputConfig:
        """Return a config. Raises NotFound CONFIG_NOT_FOUND."""
        if name not in self._configs:
            raise NotFound("CONFIG_NOT_FOUND", "no such output config", field="output_config")
        return self._configs[name]

    async def availability(self) -> list[Availability]:
        """Every config, by name, with why it cannot run, if so."""
        names = sorted(self._configs)
        found = await asyncio.gather(*(self._chains.able(self._configs[name]) for name in names))
        return [self._available(name, *one) for name, one in zip(names, found, strict=True)]

    async def make(self, work: Work) -> Result:
        """Return what is recorded under this name, made if need be and may be.

        Raises AlreadyExists JOB_DIFFERS, FailedPrecondition FENCED, OUTPUT_NOT_AVAILABLE and
        OUTPUT_REMOTE, NotFound LATE_RESULT_NOT_FOUND (when nothing may be made), and what the
        backend and the recorder raise.
        """
        request, board = work.request, work.board
        config = self.config(request.output_config)
        found = await self._found(work)
        if found and None not in found:
            return Result(tuple(one for one in found if one is not None))
        values = config.values(request.parameters)
        config.check_images(request.input_images)
        render = RenderJob(
            upload=request.upload,
            output_index=request.output_index,
            config=config,
            prompt=request.prompt,
            seed=request.drawn_seed(),
            recipe=request.recipe,
            values=values,
            user_id=request.user_id,
            images=await self._recording.earlier.images(request.input_images),
            standing=work,
            local_only=request.local_only,
        )
        board.report(RenderProgress("queued"))
        if request.allow_reuse and request.user_id and not found and not request.adopt_only:
            result = await self._reused(render, work)
            if result is not None:
                return result
            found = await self._found(work)
        started_at, began = self._clock.now(), self._clock.monotonic()
        if request.adopt_only:
            done = await self._chains.adopt(render, request.parameters)
        else:
            done = await self._chains.render(render, request.parameters, board.report)
        seconds = self._clock.monotonic() - began
        drafts = _drafts(done.job, done.product, work.digest, started_at, seconds)
        result = await self._record(work, done.product, drafts, found)
        if request.adopt_only:
            # How long that took says nothing about the config.
            return result
        used = done.job.config.name
        self._durations.setdefault(used, deque(maxlen=REMEMBERED_JOBS)).append(seconds)
        return result

    async def confirm(self, upload: UploadName, claim: Claim) -> None:
        """Raise FailedPrecondition FENCED when another driver is known to have the run."""
        await self._recording.confirm(upload, claim)

    async def stop(self, upload: UploadName) -> bool:
        """Stop what this process is not at work on itself; whether that stopped it."""
        return await self._chains.stop(upload)

    async def _reused(self, render: RenderJob, work: Work) -> Result | None:
        """Record what was made for this person in exactly this way before; None if nothing is."""
        started_at, kind = self._clock.now(), f"output_{render.config.kind}"
        product = await self._recording.earlier.render(render.user_id, _digest_of(render), kind)
        if product is None:
            return None
        drafts = _drafts(render, product, work.digest, started_at, 0.0)
        try:
            return await self._record(work, product, drafts, [])
        except (DataLoss, NotFound, FailedPrecondition) as error:
            if is_fenced(error):
                raise
            # Erased, deleted or damaged meanwhile; if the run itself is over, that is told again.
            log.warning("not reused after all", extra=facts(reason=error.reason))
            return None

    async def _found(self, work: Work) -> list[Recorded | None]:
        """What is recorded of an output, file after file; empty when nothing is."""
        upload = work.request.upload
        first = await self._recording.find(upload, work.claim)
        if first is None:
            return []
        if first.request_digest != work.digest:
            raise differs()
        found: list[Recorded | None] = [first]
        for number in range(2, first.files + 1):
            found.append(await self._recording.find(upload_of_file(upload, number), work.claim))
        return found

    async def _record(
        self,
        work: Work,
        product: Product,
        drafts: Sequence[EntityDraft],
        found: Sequence[Recorded | None],
    ) -> Result:
        """Write the files that are not there yet, one after the other: they stay in order."""
        products = (product, *product.others)
        if found and len(found) != len(products):
            raise DataLoss("PRODUCT_CHANGED", "the output has not as many files as it had")
        sizes = [one.size_bytes for one in products]
        known = [size for size in sizes if size is not None]
        total = sum(known) if len(known) == len(sizes) else None
        files: list[Recorded] = []
        sent = largest = 0
        for number, (file, draft) in enumerate(zip(products, drafts, strict=True), 1):
            one = found[number - 1] if found else None
            if one is None:

                def counted(size: int, before: int = sent) -> None:
                    nonlocal largest
                    largest = before + size
                    work.board.recording(largest, total)

                work.board.recording(sent, total)
                name = upload_of_file(work.request.upload, number)
                one = await self._recording.write(
                    name, work.claim, file, draft, counted, lambda: work.is_wanted
                )
            sent = max(largest, sent + (file.size_bytes or 0))
            files.append(one)
            if len(files) < len(products):
                _go_on()
        work.board.recorded()
        return Result(tuple(files))

    def _available(self, name: str, able: OutputConfig | None, reason: str | None) -> Availability:
        config = self._configs[name]
        if able is None:
            return Availability(config, reason, self._typical(name))
        runs_as = "" if able is config else able.name
        return Availability(config, None, self._typical(able.name), runs_as)

    def _typical(self, name: str) -> float | None:
        durations = self._durations.get(name)
        return statistics.median(durations) if durations else None


def _go_on() -> None:
    # A file that was taken in is kept although the job was cancelled meanwhile; the next is not.
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def differs() -> AlreadyExists:
    """What is said of a name that was used for another request."""
    return AlreadyExists("JOB_DIFFERS", "the upload name was used for another request")


def _drafts(
    render: RenderJob, product: Product, digest: str, started_at: datetime, seconds: float
) -> list[EntityDraft]:
    """What the recorder is told of each file. Raises FailedPrecondition MEDIA_TOO_LARGE."""
    products = (product, *product.others)
    if len(products) > MAX_FILES:
        raise FailedPrecondition("MEDIA_TOO_LARGE", f"an output may have {MAX_FILES} files")
    return [
        EntityDraft(
            type=f"output_{render.config.kind}",
            output_index=render.output_index,
            started_at=started_at,
            duration=timedelta(seconds=seconds),
            attempt=product.attempt,
            backend=one.backend,
            model=one.model,
            metadata=_metadata(digest, render, one, len(products)),
        )
        for one in products
    ]


def _digest_of(render: RenderJob) -> str:
    return render_digest(
        render.config,
        prompt=render.prompt,
        seed=render.seed,
        recipe=render.recipe,
        values=render.values,
        images={slot: image.sha256 for slot, image in render.images.items()},
    )


def _metadata(digest: str, render: RenderJob, product: Product, files: int) -> dict[str, str]:
    own = {
        "seed": str(render.seed),
        "output_config": render.config.name,
        REQUEST_DIGEST: digest,
        RENDER_DIGEST: _digest_of(render),
    }
    if render.recipe:
        own["recipe"] = render.recipe
    if files > 1:
        own[FILES] = str(files)
    # Only ours tells how many files are to be looked for.
    reported = {key: value for key, value in product.metadata.items() if key != FILES}
    return entity_metadata(render.values, reported, own)
