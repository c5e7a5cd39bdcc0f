"""A run that is driven among fake peers and a real recorder, and whose driver can be killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from artlab.recorder.v1 import recorder_pb2, run_pb2
from services.kit.clock import ManualClock, SystemClock
from services.kit.errors import ArtlabError
from services.kit.ids import RunId
from services.orchestrator.claims import Claim
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.domain.outcome import End
from services.orchestrator.domain.plan import Plan, PlannedOutput, RunRequest, make_plan
from services.orchestrator.domain.plan_document import plan_document
from services.orchestrator.domain.run import (
    EntityDraft,
    FinalState,
    OutputCatalogue,
    OutputOffer,
    PreparedImage,
    Recipe,
    RecordedEntity,
    RecordedRun,
    RenderUpdate,
    RenderWarning,
    RunError,
)
from services.orchestrator.hints import HintSender
from services.orchestrator.input_images import InputImages
from services.orchestrator.pipeline import Pipeline
from services.orchestrator.ports import MediaJob, Position
from services.orchestrator.run_in_work import Parked, RunInWork, Services
from services.recorder.servicer import CAPS, register
from tests.fakes.peers import FakeInterception, FakeMedia, FakeSafety
from tests.integration.recorder.harness import World
from tests.support.pictures import picture_of
from tests.support.pipelines import PIPELINES
from tests.support.servers import channel_to

T = TypeVar("T")

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
REQUEST = RunRequest(RUN, "dada", "Eine Blume", "anna")
DADA = Recipe("dada", 1, True, True, False, (), "image")
SCRIPT = b"function setup() { createCanvas(640, 640); }"


class Killed(BaseException):
    """The driver's process is gone."""


@dataclass
class Fuse:
    """Goes off after so many writes, 0 for never; counts them.

    Attributes:
        kills: whether the process is gone then, as by SIGKILL; else it is asked to hand over, and
            whatever it does on its way out is done.
    """

    after: int = 0
    kills: bool = True
    writes: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def burn(self, write: Awaitable[T]) -> T:
        """Do a write; its caller may not get to know that it was done."""
        if self.kills and self.gone.is_set():
            asyncio.ensure_future(write).cancel()
            raise Killed
        done = await write
        self.writes += 1
        if self.writes == self.after:
            self.gone.set()
        if self.kills and self.gone.is_set():
            raise Killed
        return done


class FusedRecorder(RecorderClient):
    """A client whose process may die between the recorder's answer and its caller."""

    fuse = Fuse()

    async def set_progress(
        self, run_id: RunId, stage: int, step: str, output_index: int = 0
    ) -> None:
        await self.fuse.burn(super().set_progress(run_id, stage, step, output_index))

    async def record(
        self, run_id: RunId, draft: EntityDraft, then: Position | None = None
    ) -> RecordedEntity:
        return await self.fuse.burn(super().record(run_id, draft, then))

    async def record_all(
        self, run_id: RunId, drafts: Sequence[EntityDraft], then: Position | None = None
    ) -> list[RecordedEntity]:
        recording = super().record_all(run_id, drafts, then)
        # One alone goes by `record`.
        return await (recording if len(drafts) == 1 else self.fuse.burn(recording))

    async def erase(self, run_id: RunId, sequence: int, reason: str) -> None:
        await self.fuse.burn(super().erase(run_id, sequence, reason))

    async def warn(self, run_id: RunId, output_index: int, warning: RenderWarning) -> None:
        await self.fuse.burn(super().warn(run_id, output_index, warning))

    async def finalize_output(
        self, run_id: RunId, output: PlannedOutput, state: FinalState, error: RunError | None
    ) -> FinalState:
        return await self.fuse.burn(super().finalize_output(run_id, output, state, error))

    async def finalize_run(
        self,
        run_id: RunId,
        state: FinalState,
        error: RunError | None,
        outputs: Sequence[tuple[PlannedOutput, End]] = (),
    ) -> RecordedRun:
        return await self.fuse.burn(super().finalize_run(run_id, state, error, outputs))


@dataclass
class RecordingMedia(FakeMedia):
    """Records what it makes, once however often it is asked, as the media service does."""

    recorder: RecorderClient | None = None
    # Files by config; those of others are one picture.
    files: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    executions: list[int] = field(default_factory=list)
    # By output; they go on when whoever asked is gone, and who asks again joins.
    works: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        async for update in super().generate(job):
            yield update
        index = job.output.index
        if not job.adopt_only:
            if index not in self.works:
                self.works[index] = asyncio.create_task(self._record(job))
            await asyncio.shield(self.works[index])
        elif job.output.config in self.late:
            await self._record(job)

    async def prepare_image(self, chunks: AsyncIterator[bytes]) -> PreparedImage:
        return PreparedImage("image/png", 1, 1, b"".join([chunk async for chunk in chunks]))

    async def _record(self, job: MediaJob) -> None:
        assert self.recorder is not None
        index, output = job.output.index, job.output
        self.executions.append(index)
        files = self.files.get(output.config, (picture_of(output.config.encode()),))
        for number, data in enumerate(files):
            await self.recorder.record(
                job.run_id,
                EntityDraft(
                    upload_id=f"output-{index}" + (f"-{number}" if number else ""),
                    type=f"output_{output.kind}",
                    data=data,
                    stage=4,
                    audience="student",
                    started=datetime.now(UTC),
                    duration=timedelta(0),
                    output_index=index,
                    metadata={"files": str(len(files))} if len(files) > 1 else {},
                ),
            )


@dataclass
class Driven:
    """One run, its record and its peers.

    Attributes:
        recorder: a client that is not fused, for the test itself.
    """

    world: World
    recorder: RecorderClient
    fused: FusedRecorder
    request: RunRequest = REQUEST
    recipe: Recipe = DADA
    offers: tuple[OutputOffer, ...] = (OutputOffer("builtin_image", "image", available=True),)
    safety: FakeSafety = field(default_factory=FakeSafety)
    media: RecordingMedia = field(default_factory=RecordingMedia)
    services: Mapping[str, Any] = field(default_factory=dict)
    pipelines: Mapping[str, Any] = field(default_factory=lambda: PIPELINES)
    pictures: tuple[bytes, ...] = ()
    interception: FakeInterception = field(init=False)
    drivers: int = 0

    def __post_init__(self) -> None:
        self.interception = FakeInterception(self.recipe)
        self.media.recorder, self.media.offers = self.recorder, self.offers

    async def plan(self) -> Plan:
        """The plan of the run."""
        catalogue = OutputCatalogue(
            {offer.name: offer for offer in self.offers},
            {(offer.kind, "eco"): (offer.name,) for offer in self.offers},
        )
        policy = await self.safety.policy()
        return make_plan(self.request, self.recipe, catalogue, policy, self.pipelines)

    async def create(self) -> None:
        """Create the run and record what was typed."""
        plan = await self.plan()
        until = datetime.now(UTC) + timedelta(minutes=10)
        await self.recorder.create_run(plan, plan_document(plan), until)
        for name, text in (("input", plan.request.input_text), ("context", plan.request.context)):
            if text:
                await self.recorder.record(
                    RUN,
                    EntityDraft(
                        upload_id=name,
                        type=name,
                        data=text.encode(),
                        stage=0,
                        audience="student",
                        started=datetime.now(UTC),
                        duration=timedelta(0),
                    ),
                )

    async def drive(self, fuse: Fuse | None = None) -> Parked | None:
        """Drive it from where it stands, as a process that has just claimed it.

        Raises Killed when the fuse goes off.
        """
        self.fused.fuse = fuse or Fuse()
        pipeline = await self.pipeline()
        driving = asyncio.create_task(pipeline.drive())
        bringing = asyncio.create_task(self._bring(pipeline.input_images))
        dying = asyncio.create_task(self.fused.fuse.gone.wait())
        try:
            await asyncio.wait({driving, dying}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (driving, bringing, dying):
                task.cancel()
            await asyncio.wait({driving, bringing, dying})
        if driving.cancelled() or isinstance(driving.exception(), Killed):
            raise Killed
        return driving.result()

    async def pipeline(self) -> Pipeline:
        """The pipeline of a process that has just claimed the run."""
        self.drivers += 1
        claim = Claim(f"driver-{self.drivers}", 5.0)
        answer = await self.recorder.claim(RUN, claim, force=True)
        run = await self.run_in_work(self.fused.under(answer.epoch), answer.epoch)
        return Pipeline(run, InputImages(run, asyncio.Semaphore(4)))

    async def run_in_work(self, recorder: RecorderClient, epoch: int = 0) -> RunInWork:
        """The run as a driver has it, with the record as it stands."""
        services = Services(
            recorder,
            self.safety,
            self.interception,
            self.media,
            patience_seconds=0.0,
            recorder_patience_seconds=0.0,
            **self.services,
        )
        recorded = await recorder.get_run(RUN)
        hints = HintSender(RUN, recorder)
        return RunInWork(await self.plan(), services, hints, SystemClock(), recorded, epoch)

    async def _bring(self, images: InputImages) -> None:
        for index, data in enumerate(self.pictures, start=1):

            async def sent(data: bytes = data) -> AsyncIterator[bytes]:
                yield data

            try:
                await images.take(index, sent())
            except ArtlabError:
                return  # refused, or the run does not wait any more

    async def folder(self) -> dict[str, Any]:
        """What the run's folder says, without times."""
        run = await self.recorder.get_run(RUN)
        return {
            "state": run.state,
            "error": run.error,
            "outputs": [(one.index, one.state, one.error) for one in run.outputs],
            "entities": [await self._told(one) for one in run.entities],
        }

    async def warnings(self) -> list[str]:
        """Reasons of the run's warnings, in order."""
        return [one["payload"]["reason"] for one in await self.events() if one["kind"] == "warning"]

    async def events(self) -> list[dict[str, Any]]:
        """What the record tells, in order."""
        request = recorder_pb2.GetRunRequest(
            name=RUN.name, audience=run_pb2.AUDIENCE_RESEARCH, include_document=True
        )
        answer = await self.world.call("GetRun", request)
        found: list[dict[str, Any]] = json.loads(answer.document)["events"]
        return found

    async def _told(self, entity: RecordedEntity) -> tuple[Any, ...]:
        data: Any = None
        if not entity.erased:
            chunks = [chunk async for chunk in self.recorder.read(RUN, entity.sequence)]
            data = b"".join(chunks)
            data = data.decode() if len(data) < 10_000 and b"\0" not in data else entity.sha256
        return (
            entity.type,
            entity.stage,
            entity.output_index,
            entity.pass_number,
            tuple(sorted(entity.metadata.items())),
            entity.models,
            data,
        )


@asynccontextmanager
async def driven(path: Path, **fields: Any) -> AsyncIterator[Driven]:
    """Yield a run that is created and not driven yet; the recorder keeps it in memory."""
    world = World("memory", path, clock=ManualClock(datetime.now(UTC)))
    await world.start()
    try:
        async with channel_to(
            "recorder", lambda server: register(world.recorder, server), caps=CAPS
        ) as channel:
            made = Driven(world, RecorderClient(channel), FusedRecorder(channel), **fields)
            await made.create()
            yield made
            await asyncio.gather(*made.media.works.values())
    finally:
        await world.stop()
