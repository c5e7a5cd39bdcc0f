"""The built-in judge of pictures: a small detector of body parts, on this machine, offline."""

from __future__ import annotations

import math
import struct
from importlib.metadata import PackageNotFoundError, version

from services.kit.errors import ArtlabError, DeadlineExceeded, Unavailable
from services.kit.limited_child import LimitedProcessError, Limits, Why
from services.kit.limited_process import LimitedProcesses
from services.safety.domain.detector_labels import DETECTOR_LABELS
from services.safety.domain.image_policy import Sighting
from services.safety.domain.levels import Level
from services.safety.domain.verdict import ModelUsed
from services.safety.ports import ImageOpinion, Look
from services.safety.process_errors import process_errors

NAME = "nudenet"
TASK = "services.safety.judge.nudenet_task:load"
LIMITS = Limits(
    memory_bytes=1024 * 1024 * 1024,
    cpu_seconds=20,
    wall_seconds=15.0,
    answer_bytes=64 * 1024,
    # Every look of every picture that is taken in at once.
    waiting=10_000,
    calls=10_000,
)
_SIZE = struct.Struct(">II")
_SCORES = struct.Struct(f">{len(DETECTOR_LABELS)}f")


class NudenetJudge:
    """Sees exposed and covered body parts and faces, and nothing else. Close it with `aclose`."""

    name = NAME
    remote = False

    def __init__(self, limits: Limits = LIMITS, task: str = TASK) -> None:
        self._processes = LimitedProcesses(task, limits)
        try:
            found = version(NAME)
        except PackageNotFoundError:
            # `load` says so to whoever started us; until then there is no verdict.
            found = "missing"
        self.version = f"{NAME}:{found}"
        self._used = ModelUsed(backend="builtin", model=self.version)

    async def load(self) -> None:
        """Load the weights. Raises Unavailable IMAGE_JUDGE_UNAVAILABLE."""
        with process_errors(_meaning):
            await self._processes.load()

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        """Return the scores of all labels.

        Raises Unavailable IMAGE_JUDGE_UNAVAILABLE or IMAGE_JUDGE_PROTOCOL, DeadlineExceeded
        IMAGE_JUDGE_TIMEOUT, ResourceExhausted SAFETY_BUSY.
        """
        with process_errors(_meaning):
            answer = await self._processes.call(_SIZE.pack(look.width, look.height) + look.rgb)
        return ImageOpinion(sightings_of(answer), self._used)

    async def aclose(self) -> None:
        """End its process."""
        await self._processes.aclose()


def sightings_of(answer: bytes) -> tuple[Sighting, ...]:
    """The detector's answer by label. Raises Unavailable IMAGE_JUDGE_PROTOCOL for odd scores."""
    if len(answer) != _SCORES.size:
        raise _odd("the detector answered with another number of classes")
    scores = _SCORES.unpack(answer)
    # Comparing with NaN is always false: it would pass every limit.
    if not all(math.isfinite(score) and 0.0 <= score <= 1.0 for score in scores):
        raise _odd("the detector's scores are none")
    return tuple(
        Sighting(NAME, label, score) for label, score in zip(DETECTOR_LABELS, scores, strict=True)
    )


def _odd(why: str) -> Unavailable:
    return Unavailable("IMAGE_JUDGE_PROTOCOL", why)


def _meaning(error: LimitedProcessError) -> ArtlabError:
    if error.why is Why.DEADLINE:
        return DeadlineExceeded("IMAGE_JUDGE_TIMEOUT", "the detector took too long")
    place = f" ({error.place})" if error.place else ""
    return Unavailable("IMAGE_JUDGE_UNAVAILABLE", f"the detector is {error.why}{place}")
