"""Asks limited processes about files, in the words of this service."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Self

from services.kit.errors import ArtlabError, ResourceExhausted
from services.kit.limited_child import LimitedProcessError, Limits, Why
from services.kit.limited_process import LimitedProcesses
from services.kit.log import facts
from services.media.decoding.limits import malformed, too_large

log = logging.getLogger(__name__)

TASK = "services.media.decoding.task:decoding"
MAX_SIDE_PIXELS = 2048
DECODE_SECONDS = 20
# Four bytes for each pixel of a prepared picture, and a little: no PNG of it is larger.
_MAX_ANSWER_BYTES = MAX_SIDE_PIXELS * MAX_SIDE_PIXELS * 4 + 1024 * 1024
# What 64 megapixels need several times over while they are turned and scaled.
_MEMORY_BYTES = 1536 * 1024 * 1024


class Decoder:
    """At most `at_once` processes that decode what comes from outside; `waiting` more may wait."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._processes = LimitedProcesses(
            TASK,
            Limits(
                memory_bytes=_MEMORY_BYTES,
                cpu_seconds=DECODE_SECONDS,
                wall_seconds=DECODE_SECONDS,
                answer_bytes=_MAX_ANSWER_BYTES,
                at_once=at_once,
                waiting=waiting,
            ),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the processes."""
        await self._processes.aclose()

    async def load(self) -> None:
        """Have a process ready before the first file."""
        await self._processes.load()

    async def image(self, file: int, media_type: str, *, may_move: bool) -> dict[str, object]:
        """Decode a picture, one that moves to its end; see `images.inspect_image`.

        Raises InvalidArgument MEDIA_MALFORMED, MEDIA_TOO_LARGE, MEDIA_KIND_MISMATCH and
        MEDIA_TYPE_NOT_ALLOWED, ResourceExhausted MEDIA_BUSY; so do the others.
        """
        job = {"task": "image", "media_type": media_type, "may_move": may_move}
        return (await self._ask(job, file))[0]

    async def stream(
        self, file: int, media_type: str, *, is_video: bool, is_whole: bool
    ) -> dict[str, object]:
        """Look into a sound or a video; see `streams.inspect_stream`."""
        job = {
            "task": "stream",
            "media_type": media_type,
            "is_video": is_video,
            "is_whole": is_whole,
        }
        return (await self._ask(job, file))[0]

    async def prepare(self, file: int) -> tuple[dict[str, object], bytes]:
        """Encode a person's picture anew; see `images.prepare_image`."""
        return await self._ask({"task": "prepare", "side": MAX_SIDE_PIXELS}, file)

    async def _ask(self, job: Mapping[str, object], file: int) -> tuple[dict[str, object], bytes]:
        try:
            answer = await self._processes.call(json.dumps(job).encode(), [file])
        except LimitedProcessError as error:
            log.warning(
                "a file was not decoded",
                extra=facts(task=str(job["task"]), why=error.why.value, place=error.place),
            )
            raise _meaning(error.why) from error
        head, _, rest = answer.partition(b"\n")
        return json.loads(head), rest


def _meaning(why: Why) -> ArtlabError:
    match why:
        case Why.BUSY:
            return ResourceExhausted(
                "MEDIA_BUSY", "too many files wait to be looked at", retry_after_seconds=5.0
            )
        case Why.DEADLINE:
            return too_large(f"to decode it takes longer than {DECODE_SECONDS} seconds")
        case Why.MEMORY:
            return too_large("to decode it takes more memory than one file may take")
    # Whatever a file does to its decoder, it is not one that is shown to people.
    return malformed("its decoder broke down")
