"""Files of strangers into small pictures, by way of a limited process."""

from __future__ import annotations

import json

from services.kit.errors import (
    ArtlabError,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    Unavailable,
)
from services.kit.limited_child import LimitedProcessError, Limits, Why
from services.kit.limited_process import LimitedProcesses
from services.safety.images.sampling import MAX_LOOKED_AT_BYTES
from services.safety.images.spool import Spool
from services.safety.ports import Look
from services.safety.process_errors import process_errors

LIMITS = Limits(
    # A picture of 64 megapixels several times over, while it is turned and scaled.
    memory_bytes=1536 * 1024 * 1024,
    cpu_seconds=20,
    wall_seconds=30.0,
    answer_bytes=MAX_LOOKED_AT_BYTES + 64 * 1024,
    at_once=2,
    # More than are taken in at once, whatever the setting.
    waiting=64,
    calls=200,
)
TASK = "services.safety.images.decoding:load"


class Decoder:
    """Decodes pictures and films. Close it with `aclose`."""

    def __init__(self, limits: Limits = LIMITS, task: str = TASK) -> None:
        self._processes = LimitedProcesses(task, limits)

    async def aclose(self) -> None:
        """End its processes."""
        await self._processes.aclose()

    async def decode(self, spool: Spool, media_type: str) -> list[Look]:
        """Return what is to be judged, at least one picture.

        Raises InvalidArgument MEDIA_MALFORMED, MEDIA_TOO_LARGE or MEDIA_KIND_MISMATCH for what is
        wrong with the bytes; DeadlineExceeded IMAGE_DECODE_TIMEOUT, Unavailable
        IMAGE_DECODER_LOST, ResourceExhausted SAFETY_BUSY and Internal when it could not be done.
        """
        async with spool.reading() as descriptor:
            with process_errors(_meaning):
                answer = await self._processes.call(media_type.encode(), [descriptor])
        return _looks(answer)


def _looks(answer: bytes) -> list[Look]:
    head, _, pixels = answer.partition(b"\n")
    looks: list[Look] = []
    start = 0
    for width, height in json.loads(head):
        end = start + width * height * 3
        looks.append(Look(width, height, pixels[start:end]))
        start = end
    # A decoder that was broken into could say anything; that it looked at nothing is not enough.
    if not looks or start != len(pixels) or any(look.width < 1 for look in looks):
        raise Internal("IMAGE_DECODER_PROTOCOL", "the decoder's answer is not whole")
    return looks


def _meaning(error: LimitedProcessError) -> ArtlabError:
    if error.why is Why.MEMORY:
        return InvalidArgument("MEDIA_TOO_LARGE", "takes too much memory", field="data")
    if error.why is Why.DEADLINE:
        return DeadlineExceeded("IMAGE_DECODE_TIMEOUT", "decoding took too long")
    if error.why is Why.KILLED:
        return Unavailable("IMAGE_DECODER_LOST", "the decoder was ended while it worked")
    return Internal("IMAGE_DECODER_PROTOCOL", f"the decoder failed: {error.place}")
