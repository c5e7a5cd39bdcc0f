"""An orchestrator that plays a script into a fake recorder, behind the real protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from artlab.common.v1 import common_pb2
from artlab.orchestrator.v1 import orchestrator_pb2, orchestrator_pb2_grpc
from artlab.recorder.v1 import run_pb2
from services.kit.errors import ArtlabError, NotFound
from services.kit.interceptors import Context
from services.kit.streams import read_rest
from tests.fakes.recorder import FINAL, FakeRecorder

Script = Callable[[FakeRecorder, str, orchestrator_pb2.StartRunRequest], Awaitable[None]]
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
        self._tasks: set[asyncio.Task[None]] = set()

    def forget(self) -> None:
        """Make it as if nothing had happened."""
        self.script, self.refusal = succeed, None
        self.requests.clear()
        self.pictures.clear()
        self.refuses_pictures = False

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
            self.recorder.create(run_id, *kinds, config_name=request.config_name)
            self.recorder.commit(run_id, "input", request.input_text.encode(), stage=0)
            task = asyncio.ensure_future(self.script(self.recorder, run_id, request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
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
