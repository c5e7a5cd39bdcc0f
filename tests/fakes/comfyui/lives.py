"""Lives of the ComfyUI backend, one after the other or side by side, over one journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kit.clock import SystemClock
from services.media.comfy import ComfyBackend, course
from services.media.comfy.journal import MemoryJournal
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.comfyui.jobs import MAX_MEDIA_BYTES


@asynccontextmanager
async def life(journal: MemoryJournal, *fakes: FakeComfyUI) -> AsyncIterator[ComfyBackend]:
    """One life of the backend; what it wrote down stays for the next."""
    urls = [fake.url for fake in fakes]
    backend = ComfyBackend(
        urls, max_media_bytes=MAX_MEDIA_BYTES, clock=SystemClock(), journal=journal
    )
    await backend.start()
    try:
        yield backend
    finally:
        await backend.close()


async def crash(task: asyncio.Task[object]) -> None:
    """End a job as a kill does: nothing is stopped at ComfyUI."""
    stop = course.Course.stop

    async def never(self: course.Course) -> bool:
        if self._sending is not None:
            # What was on its way stays so; only nobody waits for the answer.
            self._sending.cancel()
        return False

    course.Course.stop = never  # type: ignore[method-assign]
    try:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finally:
        course.Course.stop = stop  # type: ignore[method-assign]
