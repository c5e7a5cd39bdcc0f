"""How the camera moves and the drawing grows, in the manner of each visual language."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from services.media.backends.builtin.noise import Random


@dataclass(frozen=True, slots=True)
class Manner:
    """What kind of film it is; shares are parts of its length or of the frame's width."""

    # How long the drawing takes to grow; 0.5 of the film, for instance.
    growth: float = 0.42
    # Whether the stages melt into each other or are cut.
    cut: bool = False
    # From a finished picture back to where it began.
    backwards: bool = False
    zoom_from: float = 1.0
    zoom_to: float = 1.07
    pan: float = 0.018
    # How much further what is in front moves.
    parallax: float = 0.022
    sway: float = 0.014
    turn_degrees: float = 0.0
    shake: float = 0.0
    pulse: float = 0.0
    # A new position only every so many frames, as when paper is moved by hand.
    hold_frames: int = 1
    # Begins as a line drawing on tinted paper.
    sketch: bool = False
    # Loses something with each copy.
    copies: int = 0
    saturation_to: float = 1.0


MANNERS: Mapping[str, Manner] = {
    "landscape": Manner(),
    "bauhaus": Manner(growth=0.6, pan=0.0, parallax=0.03, sway=0.0, zoom_to=1.03, turn_degrees=2.2),
    "dada": Manner(growth=0.5, cut=True, pan=0.0, parallax=0.03, sway=0.0, zoom_to=1.0,
                   shake=0.012, turn_degrees=1.6, hold_frames=2),
    "renaissance": Manner(growth=0.6, sketch=True, zoom_from=1.09, zoom_to=1.0, pan=0.01,
                          parallax=0.012, sway=0.004),
    "overdrive": Manner(growth=0.25, zoom_to=1.1, parallax=0.04, sway=0.03, shake=0.008,
                        pulse=0.035, saturation_to=1.6),
    "stillepost": Manner(growth=0.2, copies=5, sway=0.006, pan=0.006, zoom_to=1.03),
    "theopposite": Manner(growth=0.6, backwards=True, zoom_from=1.08, zoom_to=1.0, pan=-0.018),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pose:
    """Where camera and things are in one frame; lengths in parts of the frame's width."""

    # How far the drawing has grown, 0 to 1.
    grown: float
    zoom: float
    x: float
    y: float
    near_x: float
    shear: float
    turn: float
    # 0 a drawing, 1 paint.
    painted: float
    copy: int
    saturation: float


class Motion:
    """The poses of all frames of one film. Pure: a pose depends on its frame only."""

    def __init__(self, manner: Manner, random: Random, frames: int, fps: int) -> None:
        self._manner, self._frames, self._fps = manner, frames, fps
        self._side = 1.0 if random.random() < 0.5 else -1.0
        self._tilt = float(random.uniform(-0.5, 0.5))
        self._phase = float(random.uniform(0, 2 * math.pi))
        self._jitter = random.uniform(-1, 1, (frames, 3))

    def pose(self, frame: int) -> Pose:
        """The pose of a frame, from 0."""
        m = self._manner
        t = frame / max(1, self._frames - 1)
        seconds = frame / self._fps
        held = frame - frame % m.hold_frames
        jitter = self._jitter[held] * m.shake
        if m.saturation_to > 1:
            jitter = jitter * (0.25 + t)
        smooth = t * t * (3 - 2 * t)
        wave = math.sin(2 * math.pi * seconds / 3.4 + self._phase)
        beat = abs(math.sin(math.pi * seconds * 2)) ** 6 * m.pulse
        grown = min(1.0, 0.12 + 0.88 * t / m.growth)
        if m.backwards:
            grown = 1.0 - 0.72 * max(0.0, (t - (1 - m.growth)) / m.growth)
        return Pose(
            grown=grown,
            zoom=m.zoom_from + (m.zoom_to - m.zoom_from) * smooth + beat,
            x=self._side * m.pan * (smooth - 0.5) * 2 + float(jitter[0]),
            y=self._tilt * m.pan * (smooth - 0.5) * 2 + float(jitter[1]),
            near_x=self._side * m.parallax * (smooth - 0.5) * 2 + float(jitter[2]) * 0.7,
            shear=m.sway * wave,
            turn=math.radians(m.turn_degrees)
            * (float(self._jitter[held][2]) if m.cut else self._side * (smooth - 0.5) * 2),
            painted=min(1.0, max(0.0, (t - 0.1) / (m.growth - 0.1))) if m.sketch else 1.0,
            copy=int(np.clip((t - m.growth) / (1 - m.growth) * m.copies, 0, max(0, m.copies - 1)))
            if m.copies
            else 0,
            saturation=1 + (m.saturation_to - 1) * smooth,
        )
