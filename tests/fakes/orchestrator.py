"""An orchestrator that plays a script into a fake recorder, behind the real protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.kit.errors import AlreadyExists, ArtlabError, NotFound, PermissionDenied, Unavailable
from services.kit.interceptors import Context
from services.kit.streams import read_rest
from tests.fakes.recorder import FINAL, FakeRecorder

Script = Callable[[FakeRecorder, str, orchestrator_pb2.StartRunRequest], Coroutine[Any, Any, None]]
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100


async def succeed(
    recorder: FakeRecorder, run_id: str, request: orchestrator_pb2.StartRunRequest
) -> None:
    """A run with everything in it, at once."""
    recorder.state(run_id, run_pb2.RUN_STATE_RUNNING)
    recorder.stage(run_id, 1, "translation_and_safety")
    recorder.commit(run_id, "translation", b"a flower", stage=1)
    recorder.commit(
        run_id,
        "safety",
        b'{"decision": "safe"}',
        media_type="application/json",
        suffix="json",
        stage=1,
    )
    recorder.stage(run_id, 2, "interception")
    recorder.commit(run_id, "interception", "Blüte ohne Wiese".encode(), stage=2)
    await finish(recorder, run_id)


async def ask(
    recorder: FakeRecorder, run_id: str, request: orchestrator_pb2.StartRunRequest
) -> None:
    """A run that waits for a person with the text it came to."""
    recorder.state(run_id, run_pb2.RUN_STATE_RUNNING)
    recorder.commit(run_id, "interception", "Blüte ohne Wiese".encode(), stage=2)
    await pause(recorder, run_id)


async def pause(
    recorder: FakeRecorder,
    run_id: str,
    output_index: int = 0,
    audience: run_pb2.Audience.ValueType = run_pb2.AUDIENCE_STUDENT,
) -> None:
    """Ask a person; for research it is a teacher's."""
    question = recorder.commit(
        run_id,
        "question",
        b'{"text": "Wiese"}',
        media_type="application/json",
        suffix="json",
        stage=3,
        output_index=output_index,
        audience=audience,
    )
    recorder.runs[run_id].run.open_questions.append(question)


async def finish(recorder: FakeRecorder, run_id: str) -> None:
    """What comes behind the text: a picture for each output, and the end."""
    for output in recorder.runs[run_id].run.outputs:
        recorder.stage(run_id, 3, "pre_output_safety", output.index)
        recorder.commit(
            run_id,
            "output_image",
            PNG,
            media_type="image/png",
            suffix="png",
            stage=4,
            output_index=output.index,
        )
        recorder.output(run_id, output.index, run_pb2.RUN_STATE_SUCCEEDED)
    recorder.state(run_id, run_pb2.RUN_STATE_SUCCEEDED)


class FakeOrchestrator(orchestrator_pb2_grpc.OrchestratorServiceServicer):
    """Creates the run, then plays the script; refuses with what it was told."""

    def __init__(self, recorder: FakeRecorder, script: Script = succeed) -> None:
        self.recorder = recorder
        self.script = script
        self.refusal: ArtlabError | None = None
        self.requests: list[orchestrator_pb2.StartRunRequest] = []
        self.pictures: dict[tuple[str, int], bytes] = {}
        self.refuses_pictures = False
        self.decisions: list[orchestrator_pb2.ResumeRunRequest] = []
        # What is told of every run's place; none: UNAVAILABLE.
        self.place: orchestrator_pb2.GetQueuePositionResponse | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Make it as if nothing had happened."""
        self.script, self.refusal = succeed, None
        self.requests.clear()
        self.pictures.clear()
        self.refuses_pictures = False
        self.decisions.clear()
        self.place = None

    async def StartRun(
        self, request: orchestrator_pb2.StartRunRequest, context: Context
    ) -> orchestrator_pb2.StartRunResponse:
        """Start a run; the same id again is the same run."""
        self.requests.append(request)
        if self.refusal is not None:
            raise self.refusal
        run_id = request.request_id
        if run_id not in self.recorder.runs:
            configs = list(request.output_configs) or ["builtin_image"]
            kinds = [(config, common_pb2.MEDIA_KIND_IMAGE) for config in configs]
            fields: dict[str, object] = {"config_name": request.config_name}
            if request.rerun.parent:
                fields |= {"parent": request.rerun.parent, "parent_sequence": 4}
            self.recorder.create(run_id, *kinds, **fields)
            self.recorder.commit(run_id, "input", request.input_text.encode(), stage=0)
            self._play(self.script(self.recorder, run_id, request))
        return orchestrator_pb2.StartRunResponse(run=self.recorder.runs[run_id].run)

    async def AddInputImage(
        self, requests: AsyncIterator[orchestrator_pb2.AddInputImageRequest], context: Context
    ) -> orchestrator_pb2.AddInputImageResponse:
        """Record a picture as it came; a refusal comes before any of it is used."""
        head = await anext(requests)
        if self.refusal is not None:
            await read_rest(requests)
            raise self.refusal
        data = head.data + b"".join([request.data async for request in requests])
        # The stream of a cancelled call ends like a whole one, and the cancellation comes after it.
        await asyncio.sleep(0.05)
        run_id = head.name.removeprefix("runs/")
        found = self.recorder.runs.get(run_id)
        if found is None:
            raise NotFound("RUN_NOT_FOUND", "there is no such run", field="name")
        self.pictures[run_id, head.index] = data
        if self.refuses_pictures:
            no = b'{"rule": "kids.nudity", "explanation": "Nein.", "suggestion": "Ein Hund."}'
            self.recorder.commit(run_id, "explanation", no, media_type="application/json", stage=1)
            why = run_pb2.RunError(reason="SAFETY_BLOCKED", message="kids.nudity", stage=1)
            self.recorder.state(run_id, run_pb2.RUN_STATE_BLOCKED, why)
            return orchestrator_pb2.AddInputImageResponse(run=found.run)
        sequence = self.recorder.commit(
            run_id, "input_image", data, media_type="image/png", suffix="png", stage=1
        )
        return orchestrator_pb2.AddInputImageResponse(
            run=found.run, entity=found.run.entities[sequence - 1]
        )

    async def CancelRun(
        self, request: orchestrator_pb2.CancelRunRequest, context: Context
    ) -> orchestrator_pb2.CancelRunResponse:
        """Make a run cancelled unless it was final."""
        found = self.recorder.runs.get(request.name.removeprefix("runs/"))
        if found is None:
            raise NotFound("RUN_NOT_FOUND", "there is no such run", field="name")
        if found.run.state not in FINAL:
            self.recorder.state(request.name.removeprefix("runs/"), run_pb2.RUN_STATE_CANCELLED)
        return orchestrator_pb2.CancelRunResponse(run=found.run)

    async def ResumeRun(
        self, request: orchestrator_pb2.ResumeRunRequest, context: Context
    ) -> orchestrator_pb2.ResumeRunResponse:
        """Record the decision and go on with the rest of the run; one for teachers needs one."""
        self.decisions.append(request)
        run_id = request.name.removeprefix("runs/")
        found = self.recorder.runs.get(run_id)
        if found is None:
            raise NotFound("RUN_NOT_FOUND", "there is no such run", field="name")
        run = found.run
        if request.question not in [e.sequence for e in run.entities if e.type == "question"]:
            raise NotFound("QUESTION_NOT_FOUND", "there is no such question", field="question")
        if request.question not in run.open_questions:
            earlier = next(d for d in self.decisions if d.question == request.question)
            if earlier != request:
                raise AlreadyExists("ALREADY_DECIDED", "it has another answer", field="question")
            return orchestrator_pb2.ResumeRunResponse(run=run)
        for_teachers = run.entities[request.question - 1].audience == run_pb2.AUDIENCE_RESEARCH
        if for_teachers and not request.is_teacher:
            raise PermissionDenied("DECISION_NOT_YOURS", "a teacher decides this")
        run.open_questions.remove(request.question)
        self.recorder.commit(
            run_id,
            "decision",
            request.text.encode() or b"{}",
            suffix="json",
            stage=3,
            metadata={"question": str(request.question)},
        )
        self._play(finish(self.recorder, run_id))
        return orchestrator_pb2.ResumeRunResponse(run=run)

    async def GetQueuePosition(
        self, request: orchestrator_pb2.GetQueuePositionRequest, context: Context
    ) -> orchestrator_pb2.GetQueuePositionResponse:
        """Tell what it was told to."""
        if request.name.removeprefix("runs/") not in self.recorder.runs:
            raise NotFound("RUN_NOT_FOUND", "there is no such run", field="name")
        if self.place is None:
            raise Unavailable("QUEUE_AWAY", "nobody knows")
        return self.place

    async def ListPipelines(
        self, request: orchestrator_pb2.ListPipelinesRequest, context: Context
    ) -> orchestrator_pb2.ListPipelinesResponse:
        """List two of them."""
        four = orchestrator_pb2.PipelineSummary(
            name="four_stages",
            title={"en": "Four stages", "de": "Vier Stufen"},
            description={"en": "From an idea to a picture."},
            steps=["translation_and_safety", "interception", "outputs"],
            mermaid="flowchart TD\n",
        )
        return orchestrator_pb2.ListPipelinesResponse(
            pipelines=[four, orchestrator_pb2.PipelineSummary(name="text_only")]
        )

    def _play(self, script: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(script)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
