"""A supervisor among fake peers, and runs that go through it."""

from __future__ import annotations

from dataclasses import dataclass

from services.kit.ids import RunId
from services.orchestrator.domain.plan import RunRequest
from services.orchestrator.domain.run import Recipe
from services.orchestrator.run_in_work import Services
from services.orchestrator.supervisor import Supervisor
from tests.fakes.peers import FakeInterception, FakeMedia, FakeRecorder, FakeSafety
from tests.support.eventually import eventually
from tests.support.supervised import supervise

RUN = RunId("528e5af9-59b3-4551-b101-27e13dd6e43e")
REQUEST = RunRequest(RUN, "dada", "Eine Blume", "anonymous")
DADA = Recipe("dada", 1, True, True, False, (), "image")


@dataclass
class Stage:
    """A supervisor among fake peers."""

    recorder: FakeRecorder
    safety: FakeSafety
    interception: FakeInterception
    media: FakeMedia
    supervisor: Supervisor

    async def run(self, request: RunRequest = REQUEST) -> str:
        """Start a run and wait for its final state."""
        await self.supervisor.start(request)
        return await self.final(request.run_id)

    async def final(self, run_id: RunId = RUN) -> str:
        """Wait for the final state of a run that was started."""
        await eventually(lambda: self.recorder.runs[run_id].is_final)
        return self.recorder.state(run_id)


def stage_with(
    recipe: Recipe, *, max_runs: int = 4, limit: float = 30.0, max_open: int = 100
) -> Stage:
    """Return a supervisor that knows one recipe."""
    recorder, safety, media = FakeRecorder(), FakeSafety(), FakeMedia()
    interception = FakeInterception(recipe)
    services = Services(recorder, safety, interception, media)
    supervisor = supervise(
        services, max_runs=max_runs, run_limit_seconds=limit, max_open_runs=max_open
    )
    return Stage(recorder, safety, interception, media, supervisor)
