"""The outputs of one run: so many at once, each with an end of its own, also one that came late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from services.kit.errors import DeadlineExceeded, FailedPrecondition, Internal
from services.orchestrator.domain.run import Level, OutputOffer, RenderUpdate, RunError
from services.orchestrator.ports import MediaJob
from tests.fakes.peers import FakeSafety
from tests.support.driven_run import REQUEST, RUN, Driven, RecordingMedia, driven
from tests.support.pictures import picture_of

CHECKED: frozenset[Level] = frozenset({"kids", "youth"})
LATE = DeadlineExceeded("DEADLINE", "not done within 60 s")


def of(*names: str, **more: Any) -> dict[str, Any]:
    offers = tuple(OutputOffer(name, "image", available=True) for name in set(names))
    return {"request": replace(REQUEST, output_configs=names), "offers": offers, **more}


@dataclass
class SlowMedia(RecordingMedia):
    """Makes nothing before so many outputs are in work."""

    needed: int = 1
    in_work: int = 0
    most: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, job: MediaJob) -> AsyncGenerator[RenderUpdate, None]:
        self.in_work += 1
        self.most = max(self.most, self.in_work)
        try:
            if self.in_work >= self.needed:
                self.enough.set()
            await self.enough.wait()
            # The others get every chance to come in.
            for _ in range(20):
                await asyncio.sleep(0)
            async for update in super().generate(job):
                yield update
        finally:
            self.in_work -= 1


async def states(run: Driven) -> list[str]:
    return [one.state for one in (await run.recorder.get_run(RUN)).outputs]


async def test_as_many_outputs_are_made_at_once_as_may_be(tmp_path: Path) -> None:
    media = SlowMedia(needed=3)
    many = of("a", "b", "c", "a", "b", media=media, services={"outputs_at_once": 3})
    async with driven(tmp_path, **many) as run:
        await run.drive()
        assert await states(run) == ["succeeded"] * 5
    assert media.most == 3


async def test_all_runs_together_have_so_many_places(tmp_path: Path) -> None:
    media = SlowMedia(needed=2)
    services = {"outputs_at_once": 5, "output_places": asyncio.Semaphore(2)}
    async with driven(tmp_path, **of("a", "b", "c", "d", media=media, services=services)) as run:
        await run.drive()
        assert await states(run) == ["succeeded"] * 4
    assert media.most == 2


async def test_one_that_goes_badly_leaves_those_beside_it_alone(tmp_path: Path) -> None:
    media = SlowMedia(
        needed=4,
        failing={
            "b": Internal("COMFY_LOST", "gone"),
            "d": FailedPrecondition("OUTPUT_NOT_AVAILABLE", "no node"),
        },
        files={"c": (picture_of(b"verboten"),)},
    )
    fields = of("a", "b", "c", "d", media=media, services={"outputs_at_once": 4})
    async with driven(tmp_path, **fields, safety=FakeSafety(image_check_levels=CHECKED)) as run:
        await run.drive()
        assert await states(run) == ["succeeded", "failed", "blocked", "not_available"]
        assert (await run.recorder.get_run(RUN)).state == "partial"


async def test_to_stop_a_run_stops_every_job_it_has(tmp_path: Path) -> None:
    media = SlowMedia(needed=2, frozen=True)
    fields = of("a", "b", "c", media=media, services={"outputs_at_once": 2})
    async with driven(tmp_path, **fields) as run:
        pipeline = await run.pipeline()
        driving = asyncio.create_task(pipeline.drive())
        await media.enough.wait()
        driving.cancel()
        await asyncio.wait({driving})
        await pipeline.stop("cancelled", None)
        assert sorted(media.cancelled) == [1, 2]
        assert await states(run) == ["cancelled"] * 3


async def test_a_picture_that_came_late_is_taken_and_looked_at(tmp_path: Path) -> None:
    media = RecordingMedia(failing={"slow": LATE}, late={"slow": ()})
    media.files = {"slow": (picture_of(b"late"),)}
    safety = FakeSafety(image_check_levels=CHECKED)
    async with driven(tmp_path, **of("slow", "quick", media=media, safety=safety)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "succeeded"
        # Not before the other one was done.
        made = [one.output_index for one in recorded.entities if one.type == "output_image"]
        assert made == [2, 1]
        assert [job.output.index for job in media.adoptions] == [1]
        assert [purpose for purpose, *_ in safety.looked_at] == ["image", "image"]
        assert await run.warnings() == ["LATE_RESULT"]


async def test_a_late_picture_that_is_refused_is_blocked(tmp_path: Path) -> None:
    media = RecordingMedia(failing={"slow": LATE}, late={"slow": ()})
    media.files = {"slow": (picture_of(b"verboten"),)}
    safety = FakeSafety(image_check_levels=CHECKED)
    async with driven(tmp_path, **of("slow", media=media, safety=safety)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "blocked"
        assert [one.type for one in recorded.entities][-2:] == ["safety_image", "explanation"]


async def test_nothing_late_is_the_failure_it_was(tmp_path: Path) -> None:
    media = RecordingMedia(failing={"slow": LATE})
    async with driven(tmp_path, **of("slow", "quick", media=media)) as run:
        await run.drive()
        recorded = await run.recorder.get_run(RUN)
        assert recorded.state == "partial"
        error = recorded.outputs[0].error
        assert error is not None
        assert (error.reason, error.stage, error.retryable) == ("DEADLINE", 4, True)
        assert len(media.adoptions) == 1
        assert await run.warnings() == []


async def test_a_job_under_the_claim_of_its_driver_says_so_to_media(tmp_path: Path) -> None:
    async with driven(tmp_path) as run:
        await run.drive()
        assert [job.epoch for job in run.media.jobs] == [1]


@pytest.mark.parametrize("index", [1, 2])
async def test_an_output_that_had_its_end_is_left_alone(tmp_path: Path, index: int) -> None:
    async with driven(tmp_path, **of("a", "b")) as run:
        why = RunError("COMFY_LOST", "gone", 4, retryable=True)
        output = (await run.plan()).outputs[index - 1]
        await run.recorder.finalize_output(RUN, output, "failed", why)
        await run.drive()
        assert len(run.media.executions) == 1
        recorded = await run.recorder.get_run(RUN)
        assert recorded.outputs[index - 1].error == why
        assert recorded.state == "partial"
