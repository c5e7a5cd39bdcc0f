"""Previews of ComfyUI: binary frames of the websocket, made small before anybody gets them.

Layouts: 1 is a format and the picture, of whatever runs; 4 is the length of a JSON object, that
object and the picture, and comes to sockets that said they understand it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.kit.limited_child import LimitedProcessError, Limits
from services.kit.limited_process import LimitedProcesses
from services.kit.log import facts
from services.media.decoding.limits import MAX_PREVIEW_BYTES
from services.media.ports import Preview

log = logging.getLogger(__name__)

TASK = "services.media.decoding.preview:previewing"
LIMITS = Limits(
    memory_bytes=512 * 1024 * 1024,
    cpu_seconds=2,
    wall_seconds=4.0,
    answer_bytes=MAX_PREVIEW_BYTES,
    waiting=0,
)
# A preview has 512 pixels a side; what is larger by far is a whole output on its way.
MAX_FRAME_BYTES = 4 * 1024 * 1024
# Of all jobs together; each has two a second at most.
EVERY_SECONDS = 0.05
# After a picture that broke its process.
PAUSE_SECONDS = 5.0
_MAX_HEADER_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class PreviewFrame:
    """A picture as it came; `prompt_id` is None when the frame does not say whose it is."""

    prompt_id: str | None
    picture: memoryview


def parse_frame(frame: bytes) -> PreviewFrame | None:
    """Return the picture of a frame; None for other frames, and those of no known shape."""
    kind = int.from_bytes(frame[:4])
    size = int.from_bytes(frame[4:8])
    if len(frame) <= 8 or len(frame) > MAX_FRAME_BYTES:
        return None
    if kind == 1:
        return PreviewFrame(None, memoryview(frame)[8:])
    if kind != 4 or size > min(_MAX_HEADER_BYTES, len(frame) - 8):
        return None
    try:
        header = json.loads(frame[8 : 8 + size])
        prompt_id = header["prompt_id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return PreviewFrame(str(prompt_id), memoryview(frame)[8 + size :])


class PreviewMaker:
    """One limited process for all instances; what comes while it is at work is dropped.

    Args:
        now: seconds of a monotonic clock.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._processes = LimitedProcesses(TASK, LIMITS)
        self._now = now
        self._work: asyncio.Task[None] | None = None
        self._not_before = float("-inf")

    @property
    def is_free(self) -> bool:
        """Whether the next one may be made now."""
        return self._work is None and self._now() >= self._not_before

    def make(self, frame: PreviewFrame, show: Callable[[Preview], None]) -> None:
        """Call `show` in the loop with the small picture, if it is one; to be called when free."""
        self._not_before = self._now() + EVERY_SECONDS
        self._work = asyncio.create_task(self._make(frame, show), name="preview")
        self._work.add_done_callback(self._done)

    async def close(self) -> None:
        """End the picture under way, and the process."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        await self._processes.aclose()

    async def _make(self, frame: PreviewFrame, show: Callable[[Preview], None]) -> None:
        try:
            data = await self._processes.call(bytes(frame.picture))
        except LimitedProcessError as error:
            log.warning("no preview", extra=facts(why=error.why.value, place=error.place))
            # It may be what ComfyUI sends all the time, and a process costs a start.
            self._not_before = self._now() + PAUSE_SECONDS
            return
        if 0 < len(data) <= MAX_PREVIEW_BYTES:
            show(Preview("image/jpeg", data))

    def _done(self, work: asyncio.Task[None]) -> None:
        self._work = None
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("no preview", exc_info=error)
