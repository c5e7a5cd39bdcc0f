"""Jobs of the built-in renderer, and what its products hold when they are decoded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from services.kit.ids import RunId, UploadName
from services.media.backends.builtin.making import MAKERS
from services.media.domain.output_config import OutputConfig
from services.media.ports import RenderJob
from services.recorder.domain.structure.formats import Structure
from services.recorder.domain.vocabulary import EntityType


def builtin_job(kind: str, prompt: str = "Eine Blume auf der Wiese", **changes: Any) -> RenderJob:
    """A job of a built-in config of this kind."""
    config = OutputConfig(f"builtin_{kind}", kind, "builtin", {"en": "x"}, {})  # type: ignore[arg-type]
    values: dict[str, Any] = {
        "upload": UploadName(RunId.new(), "output-1"),
        "output_index": 1,
        "config": config,
        "prompt": prompt,
        "seed": 7,
        "recipe": "",
        "values": {},
    }
    return RenderJob(**(values | changes))


def make(job: RenderJob) -> tuple[bytes, dict[str, str]]:
    """What the built-in renderer makes of it, in this thread."""
    return MAKERS[job.config.kind](job, lambda _: None)


def check_as_the_recorder(kind: str, data: bytes) -> None:
    """Raise what the recorder would."""
    structure = Structure(EntityType(f"output_{kind}"))
    structure.add(data)
    structure.check()


@dataclass(frozen=True)
class Heard:
    """A decoded sound; shape (channels, samples), -1 to 1."""

    wave: NDArray[np.float32]
    rate: int

    @property
    def seconds(self) -> float:
        return float(self.wave.shape[1]) / self.rate

    def rms(self, start: float, end: float) -> float:
        """How loud it is between two times."""
        part = self.wave[:, int(start * self.rate) : int(end * self.rate)]
        return float(np.sqrt(np.mean(part**2)))


def hear(data: bytes) -> Heard:
    """Decode a sound."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray() for frame in container.decode(stream)]
        return Heard(np.concatenate(frames, axis=1).astype(np.float32), stream.rate)


def see(data: bytes) -> tuple[NDArray[np.uint8], float]:
    """Decode a film: its frames, shape (n, height, width, 3), and frames a second."""
    with av.open(io.BytesIO(data), "r") as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return np.stack(frames), float(stream.average_rate or 0)
