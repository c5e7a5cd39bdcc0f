"""An orchestrator behind gRPC, with a real recorder and peers in memory, as people meet it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import grpc.aio

from artlab.orchestrator.v1 import orchestrator_pb2 as pb
from artlab.orchestrator.v1 import orchestrator_pb2_grpc
from artlab.recorder.v1 import recorder_pb2_grpc
from services.kit.clock import ManualClock, SystemClock
from services.kit.ids import RunId
from services.orchestrator.clients.recorder import RecorderClient
from services.orchestrator.decisions import Decisions
from services.orchestrator.domain.run import (
    OutputOffer,
    Recipe,
    RecordedEntity,
    RecordedRun,
    RenderUpdate,
)
from services.orchestrator.engine.definition import Definition, parse_definition
from services.orchestrator.ports import MediaJob
from services.orchestrator.position import Positions
from services.orchestrator.queue.view import QueueView
from services.orchestrator.run_in_work import Services
from services.orchestrator.servicer import OrchestratorServicer
from services.orchestrator.supervisor import Supervisor
from services.recorder.servicer import CAPS, register
from tests.fakes.peers import FakeInterception, FakeMedia, FakeSafety
from tests.integration.recorder.harness import World
from tests.support.driven_run import RecordingMedia
from tests.support.eventually import eventually
from tests.support.pipelines import FOUR_STAGES
from tests.support.servers import channel_to
from tests.support.supervised import supervise

if TYPE_CHECKING:
    Stub = orchestrator_pb2_grpc.OrchestratorServiceAsyncStub

DADA = Recipe("dada", 1, True, True, False, (), "image")
OFFERS = (
    OutputOffer("one", "image", available=True, parameters=("width",)),
    OutputOffer("two", "image", available=True),
    OutputOffer("morph", "image", available=True, image_slots=("init",)),
)


def asking(kind: str, who: str, seconds: float, on_timeout: str) -> Definition:
    """The four stages with a question before the outputs, always asked."""
    document = json.loads(FOUR_STAGES.document)
    document["name"] = "asking"
    [question] = [step for step in document["steps"] if step["type"] == "question"]
    question["config"] = {"kind": kind, "who": who, "seconds": seconds, "on_timeout": on_timeout}
    paths = document["flow"]["paths"]
    document["flow"]["paths"] = [
        {"from_step": path["from_step"], "to_step": path["to_step"]}
        for path in paths
        if (path["from_step"], path["to_step"]) != ("interception", "outputs")
    ]
    return parse_definition(document, "asking")


def asking_of_each(who: str, *, when_made: bool = False) -> Definition:
    """The four stages with a question about each output: before it is made, or is shown."""
    document = json.loads(FOUR_STAGES.document)
    document["name"] = "asking_of_each"
    [each] = [step for step in document["steps"] if step["type"] == "for_each_output"]
    steps = each["config"]["body"]["steps"]
    text = {"text": "{{ steps.pre_output_safety.output.text }}"}
    after = "media_generation" if when_made else "pre_output_safety"
    steps.insert(
        [step["id"] for step in steps].index(after) + 1,
        {
            "id": "ask_teacher",
            "type": "question",
            "config": {"kind": "approve", "who": who, "seconds": 600, "on_timeout": "reject"},
            "inputs": {} if when_made else text,
        },
    )
    return parse_definition(document, "asking_of_each")


@dataclass
class MediaOfMany(RecordingMedia):
    """Makes the outputs of several runs, each once."""

    begun: dict[tuple[RunId, int], asyncio.Task[None]] = field(default_factory=dict)
    # While it is closed nothing is made.
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        async for update in FakeMedia.generate(self, job):
            yield update
        await self.gate.wait()
        if not job.adopt_only:
            key = job.run_id, job.output.index
            if key not in self.begun:
                self.begun[key] = asyncio.create_task(self._record(job))
            await asyncio.shield(self.begun[key])


@dataclass
class Orchestrator:
    """One of them: its own claims, its own server."""

    supervisor: Supervisor
    stub: Stub

    async def leave(self) -> None:
        """Drive nothing more. A parked run is nobody's, so that none is handed over."""
        await self.supervisor.drain()


@dataclass
class PeopleWorld:
    """A recorder that stays, and orchestrators that come and go."""

    world: World
    channel: grpc.aio.Channel
    recorder: RecorderClient
    stack: AsyncExitStack
    safety: FakeSafety = field(default_factory=FakeSafety)
    interception: FakeInterception = field(default_factory=lambda: FakeInterception(DADA))
    media: MediaOfMany = field(default_factory=MediaOfMany)
    pipelines: dict[str, Definition] = field(default_factory=lambda: {"four_stages": FOUR_STAGES})
    outputs_at_once: int = 1
    stub: Stub = field(init=False)
    first: Orchestrator = field(init=False)

    async def orchestrator(self) -> Orchestrator:
        """Start one more; it is drained at the end."""
        self.media.recorder, self.media.offers = self.recorder, OFFERS
        services = Services(
            self.recorder,
            self.safety,
            self.interception,
            self.media,
            outputs_at_once=self.outputs_at_once,
        )
        supervisor = supervise(services, pipelines=self.pipelines)
        self.stack.push_async_callback(supervisor.drain)
        clock, view = SystemClock(), QueueView(self.recorder, SystemClock())
        servicer = OrchestratorServicer(
            supervisor,
            recorder_pb2_grpc.RecorderServiceStub(self.channel),
            decisions=Decisions(self.recorder, supervisor.wake, clock),
            pipelines=self.pipelines,
            positions=Positions(self.recorder, view, clock, 4),
        )

        def serve(server: grpc.aio.Server) -> None:
            orchestrator_pb2_grpc.add_OrchestratorServiceServicer_to_server(servicer, server)

        channel = await self.stack.enter_async_context(channel_to("orchestrator", serve))
        return Orchestrator(supervisor, orchestrator_pb2_grpc.OrchestratorServiceStub(channel))

    async def start(self, **fields: Any) -> RunId:
        """Start a run of anna's."""
        run_id = RunId.new()
        values: dict[str, Any] = {"request_id": str(run_id), "user_id": "anna"}
        if "rerun" not in fields:
            values |= {"config_name": "dada", "input_text": "Eine Blume", "output_configs": ["one"]}
        await self.stub.StartRun(pb.StartRunRequest(**(values | fields)), timeout=10)
        return run_id

    async def rerun(self, parent: RunId, from_stage: int, text: str = "", **fields: Any) -> RunId:
        """Go on from a run."""
        rerun = pb.Rerun(parent=parent.name, from_stage=from_stage, text=text)
        return await self.start(rerun=rerun, **fields)

    async def run(self, run_id: RunId) -> RecordedRun:
        """A run as recorded."""
        return await self.recorder.get_run(run_id, with_plan=True)

    async def ended(self, run_id: RunId) -> RecordedRun:
        """Wait for the end of a run."""
        await eventually(lambda: self._is(run_id, lambda run: run.is_final), 20.0, "the end")
        return await self.run(run_id)

    async def asked(self, run_id: RunId) -> int:
        """Wait until a run waits for a person; return the question."""
        await eventually(
            lambda: self._is(run_id, lambda run: bool(run.open_questions)), 20.0, "a question"
        )
        return (await self.run(run_id)).open_questions[0]

    async def _is(self, run_id: RunId, condition: Any) -> bool:
        return bool(condition(await self.recorder.get_run(run_id)))

    async def answer(
        self,
        run_id: RunId,
        question: int,
        decision: pb.Decision.ValueType,
        text: str = "",
        *,
        user_id: str = "anna",
        is_teacher: bool = False,
        stub: Stub | None = None,
    ) -> pb.ResumeRunResponse:
        """Answer a question."""
        request = pb.ResumeRunRequest(
            name=run_id.name,
            question=question,
            decision=decision,
            text=text,
            user_id=user_id,
            is_teacher=is_teacher,
        )
        return await (stub or self.stub).ResumeRun(request, timeout=10)

    async def entities(self, run_id: RunId, entity_type: str) -> list[RecordedEntity]:
        """Entities of a type, in order."""
        return [one for one in (await self.run(run_id)).entities if one.type == entity_type]

    async def text(self, run_id: RunId, entity: RecordedEntity) -> str:
        """The text of an entity."""
        chunks = [chunk async for chunk in self.recorder.read(run_id, entity.sequence)]
        return b"".join(chunks).decode()

    async def document(self, run_id: RunId, entity_type: str) -> dict[str, Any]:
        """The only entity of a type, as JSON."""
        [entity] = await self.entities(run_id, entity_type)
        return cast("dict[str, Any]", json.loads(await self.text(run_id, entity)))

    def prompts(self, run_id: RunId) -> Mapping[int, str]:
        """What the renderer was given, by output."""
        return {job.output.index: job.prompt for job in self.media.jobs if job.run_id == run_id}


@asynccontextmanager
async def people_world(path: Path, **fields: Any) -> AsyncIterator[PeopleWorld]:
    """Yield a world with one orchestrator; it is served until the block ends."""
    # Claims and delays pass in real time.
    world = World("disk", path / "runs", clock=cast("ManualClock", SystemClock()))
    await world.start()
    try:
        async with AsyncExitStack() as stack:
            channel = await stack.enter_async_context(
                channel_to("recorder", lambda server: register(world.recorder, server), caps=CAPS)
            )
            made = PeopleWorld(world, channel, RecorderClient(channel), stack, **fields)
            made.first = await made.orchestrator()
            made.stub = made.first.stub
            yield made
    finally:
        await world.stop()
