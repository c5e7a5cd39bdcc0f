"""How a run is left by the process that drives it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

from services.kit.clock import SystemClock
from services.kit.errors import ArtlabError, FailedPrecondition, Internal
from services.orchestrator.claims import ClaimLost
from services.orchestrator.domain.run import FinalState, RunError
from services.orchestrator.input_images import InputImages
from services.orchestrator.life import Left, Life
from services.orchestrator.run_in_work import Parked

Driving = Callable[[], Awaitable[Parked | None]]


@dataclass
class Scripted:
    """A pipeline that does as it is told, and keeps how it was ended."""

    drives: Driving
    stops: list[tuple[FinalState, RunError | None]] = field(default_factory=list)
    stopping: Callable[[], Awaitable[None]] | None = None
    stage: int = 3
    input_images: InputImages = field(default_factory=lambda: cast(InputImages, None))

    async def drive(self) -> Parked | None:
        return await self.drives()

    async def stop(self, state: FinalState, error: RunError | None) -> None:
        self.stops.append((state, error))
        if self.stopping is not None:
            await self.stopping()

    def fault(self, error: ArtlabError) -> RunError:
        return RunError(error.reason, error.message, self.stage)


def _begun(pipeline: Scripted) -> tuple[Life, asyncio.Task[Left | Parked]]:
    life = Life(pipeline, SystemClock(), 30.0)
    task = asyncio.create_task(life.live())
    life.own(task)
    return life, task


async def _for_ever() -> Parked | None:
    await asyncio.Event().wait()
    return None


async def test_a_run_that_waits_for_a_person_is_parked() -> None:
    async def drive() -> Parked:
        return Parked(60.0)

    _, task = _begun(Scripted(drive))
    assert await task == Parked(60.0)


async def test_a_run_that_is_handed_over_is_not_ended() -> None:
    pipeline = Scripted(_for_ever)
    life, task = _begun(pipeline)
    await asyncio.sleep(0)
    life.hand_over()
    assert await task is Left.OPEN
    assert pipeline.stops == []


async def test_a_loss_in_one_of_several_branches_ends_no_run() -> None:
    async def lose() -> None:
        raise ClaimLost

    async def fail() -> None:
        raise Internal("BROKEN", "a fault of another branch at the same moment")

    async def drive() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(lose())
            group.create_task(fail())

    pipeline = Scripted(drive)
    _, task = _begun(pipeline)
    assert await task is Left.LOST
    assert pipeline.stops == []


async def test_a_run_lost_while_it_is_being_ended_is_left_at_once() -> None:
    ending = asyncio.Event()

    async def stopping() -> None:
        ending.set()
        await asyncio.Event().wait()

    pipeline = Scripted(_for_ever, stopping=stopping)
    life, task = _begun(pipeline)
    await asyncio.sleep(0)
    life.stop("cancelled", None)
    await ending.wait()
    life.hand_over()  # too late: it is being ended
    life.lose()
    assert await task is Left.LOST
    assert pipeline.stops == [("cancelled", None)]


async def test_a_loss_while_an_end_is_recorded_is_a_loss() -> None:
    async def stopping() -> None:
        raise ClaimLost

    async def drive() -> None:
        raise FailedPrecondition("BROKEN", "a fault")

    pipeline = Scripted(drive, stopping=stopping)
    _, task = _begun(pipeline)
    assert await task is Left.LOST
    assert [state for state, _ in pipeline.stops] == ["failed"]


async def test_nobody_cancels_what_comes_after_the_end() -> None:
    async def drive() -> None:
        return None

    life, task = _begun(Scripted(drive))
    assert await task is Left.FINAL
    life.lose()
    life.stop("cancelled", None)
    assert task.cancelling() == 0
