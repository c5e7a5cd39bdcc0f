"""Stopping jobs at ComfyUI, in tasks of their own: who cancels us may do so twice."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from services.kit.errors import ArtlabError
from services.kit.ids import UploadName
from services.kit.log import facts
from services.media.comfy.course import Course
from services.media.comfy.instance import Instance
from services.media.comfy.journal import Journal

log = logging.getLogger(__name__)

STOP_SECONDS = 2.0
# An instance that cannot be asked is asked again for about two minutes: the job may run there yet.
AGAIN_SECONDS = 2.0
MAX_TRIES = 60


class Stopping:
    """The jobs that are being stopped; close it before the instances.

    Args:
        journal: what ComfyUI says it stopped is not waited for there.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._tasks: dict[asyncio.Task[bool], Course] = {}

    async def stop(self, course: Course) -> bool:
        """Stop a job; whether ComfyUI says within 2 s that it did. Goes on trying after that."""
        task = self.begin(course)
        await asyncio.wait({task}, timeout=STOP_SECONDS)
        return task.done() and not task.cancelled() and task.result()

    def begin(self, course: Course) -> asyncio.Task[bool]:
        """Stop a job whenever its instance can be asked."""
        task = asyncio.create_task(self._until_asked(course), name=f"stop {course.prompt_id}")
        self._tasks[task] = course
        task.add_done_callback(lambda done: self._tasks.pop(done, None))
        return task

    async def call_off(self, upload: UploadName, instance: Instance | None = None) -> None:
        """Stop the job of this upload no more, there or anywhere: somebody wants it again."""
        unwanted = [
            task
            for task, course in self._tasks.items()
            if course.upload == str(upload) and instance in (None, course.instance)
        ]
        await _cancelled(unwanted)

    async def close(self) -> None:
        """Give those under way 2 s, and end."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_SECONDS)
        await _cancelled(list(self._tasks))

    async def _until_asked(self, course: Course) -> bool:
        for _ in range(MAX_TRIES):
            stopped = await course.stop()
            if stopped:
                await self._write_down(course)
            if stopped is not None:
                return stopped
            await asyncio.sleep(AGAIN_SECONDS)
        return False

    async def _write_down(self, course: Course) -> None:
        try:
            known = await self._journal.get(course.upload)
            # It may be at another instance by now.
            if known is not None and known.url == course.instance.url:
                await self._journal.put(replace(known, stopped=True))
        except ArtlabError as error:
            # Then it is looked for there once more, in vain.
            log.warning("stop not written down", extra=facts(why=error.message))


async def _cancelled(tasks: list[asyncio.Task[bool]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
