"""Previews of ComfyUI: binary frames of the websocket, made small before anybody gets them.

Layouts: 1 is a format and the picture, of whatever runs; 4 is the length of a JSON object, that
object and the picture, and comes to sockets that said they understand it.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image

from services.kit.log import facts
from services.media.ports import Preview

log = logging.getLogger(__name__)

MAX_PREVIEW_BYTES = 64 * 1024
# A preview has 512 pixels a side; what is larger by far is a whole output on its way.
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_PIXELS = 2048 * 2048
SIDES = (384, 256, 128)
QUALITY = 75
_MAX_HEADER_BYTES = 16 * 1024
_FORMATS = ("JPEG", "PNG", "WEBP")


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


def small(picture: memoryview) -> Preview | None:
    """Return it as a small JPEG without metadata; None when it is no picture, or too many pixels.

    To be called in a thread: it decodes.
    """
    try:
        with Image.open(io.BytesIO(picture), formats=_FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                return None
            opened.draft("RGB", (SIDES[0], SIDES[0]))
            decoded = opened.convert("RGB")
    # Pillow raises whatever its decoders do; the picture is a stranger's.
    except Exception as error:
        log.debug("no preview", extra=facts(why=type(error).__name__))
        return None
    for side in SIDES:
        decoded.thumbnail((side, side))
        file = io.BytesIO()
        decoded.save(file, "JPEG", quality=QUALITY)
        if file.tell() <= MAX_PREVIEW_BYTES:
            return Preview("image/jpeg", file.getvalue())
    return None


class PreviewMaker:
    """One thread for one websocket; what comes while it is at work is dropped."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="comfy-preview")
        self._busy = False

    def make(self, frame: PreviewFrame, show: Callable[[Preview], None]) -> None:
        """Call `show` in the loop with the small picture, if it is one."""
        if self._busy:
            return
        self._busy = True
        work = asyncio.get_running_loop().run_in_executor(self._thread, small, frame.picture)

        def done(made: asyncio.Future[Preview | None]) -> None:
            self._busy = False
            if not made.cancelled() and made.exception() is None:
                preview = made.result()
                if preview is not None:
                    show(preview)

        work.add_done_callback(done)

    async def close(self) -> None:
        """Wait for the picture under way."""
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)
