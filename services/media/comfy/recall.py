"""Following a job where it was handed in, until it ends there or is called back from its queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from services.kit.errors import ArtlabError, Cancelled
from services.kit.log import facts
from services.media.comfy.course import Course
from services.media.comfy.history import parse_entry
from services.media.comfy.instance import Look
from services.media.comfy.seats import Seat
from services.media.ports import RenderProgress, Report

log = logging.getLogger(__name__)

# An instance that did not answer is asked again.
AGAIN_SECONDS = 0.5

T = TypeVar("T")


def seated(seat: Seat, report: Report) -> Report:
    """Pass reports on, and let the seat know when the job begins.

    Until ComfyUI was looked at, our own jobs there are what is certainly before it.
    """

    def tell(progress: RenderProgress) -> None:
        if progress.phase != "queued":
            seat.begin()
        elif progress.queue_position < seat.ahead:
            progress = replace(progress, queue_position=seat.ahead)
        report(progress)

    return tell


async def unless_recalled(
    seat: Seat, course: Course, work: Coroutine[Any, Any, T | None]
) -> T | None:
    """Return what the work returns; None when its job was taken out of the queue unbegun.

    Then it is certain that it does not run there. Raises what the work raises.
    """
    running = asyncio.create_task(work, name=f"course {course.prompt_id}")
    recall = asyncio.create_task(seat.recalled.wait(), name=f"recall {course.prompt_id}")
    try:
        await asyncio.wait({running, recall}, return_when=asyncio.FIRST_COMPLETED)
        asked = False
        while not running.done() and not seat.begun:
            asked = True
            if await _withdrawn(course):
                log.info("job called back", extra=facts(prompt_id=course.prompt_id))
                return None
            await asyncio.wait({running}, timeout=AGAIN_SECONDS)
        try:
            return await running
        except Cancelled:
            # It saw the job vanish before we heard that it did: nobody else has taken it out.
            if asked and not seat.begun:
                return None
            raise
    finally:
        for task in (running, recall):
            task.cancel()
        await asyncio.gather(running, recall, return_exceptions=True)


async def unless_taken_back(course: Course, look: Look) -> Mapping[str, Any] | None:
    """Run the course; None when the job was taken up here, and who began it has stopped it."""
    entry = await course.run(look)
    if course.adopted and parse_entry(entry).kind == "interrupted":
        log.info("job taken back", extra=facts(prompt_id=course.prompt_id))
        return None
    return entry


async def _withdrawn(course: Course) -> bool:
    try:
        return await course.withdraw()
    except ArtlabError as error:
        log.info("not called back", extra=facts(prompt_id=course.prompt_id, why=error.reason))
        return False
