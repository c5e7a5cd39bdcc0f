"""From a picture that grew to the frames of a film."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageChops, ImageEnhance, ImageFilter

from services.media.backends.builtin.canvas import Pixels
from services.media.backends.builtin.film.growth import Bytes, GrowingCanvas
from services.media.backends.builtin.film.motion import Manner, Motion, Pose
from services.media.backends.builtin.film.weather import Falling
from services.media.backends.builtin.noise import Random

# The picture is so much larger than the frame, for the camera to move in.
MARGIN = 1.14
_SEPIA = (238, 226, 204)
_INK = (74, 52, 36)


class Shots:
    """Makes one frame after the other, from the stages of a picture.

    Args:
        canvas: the finished drawing, `MARGIN` times as large as a frame.
        width, height: of a frame, in pixels.
    """

    def __init__(
        self, canvas: GrowingCanvas, width: int, height: int, manner: Manner, motion: Motion,
        weather: Falling | None, random: Random,
    ) -> None:  # fmt: skip
        self._size = (width, height)
        self._manner, self._motion, self._weather = manner, motion, weather
        self._random = random
        ground, whole = canvas.grown()
        self._ground = ground
        self._front = whole
        self._known: dict[int, tuple[Image.Image, Image.Image]] = {}
        multiply, add = canvas.lens()
        self._lens = (_middle(multiply, width, height), _middle(add, width, height) * 255)
        self._line = _line_drawing(whole[-1]) if manner.sketch else None

    def frames(self, count: int) -> Iterator[Bytes]:
        """All frames in order, shape (height, width, 3)."""
        for number in range(count):
            yield self._frame(number, self._motion.pose(number))

    def _frame(self, number: int, pose: Pose) -> Bytes:
        image, mask = self._layers(pose)
        picture = self._moved(image, pose, 0.0, 0.0)
        if mask is not None:
            front, alpha = mask
            moved = self._moved(front, pose, pose.near_x, pose.shear)
            picture.paste(moved, (0, 0), self._moved(alpha, pose, pose.near_x, pose.shear))
        if pose.saturation != 1:
            picture = ImageEnhance.Color(picture).enhance(pose.saturation)
        if pose.copy:
            picture = self._copied(picture, pose.copy)
        pixels = np.asarray(picture, dtype=np.float32)
        pixels = pixels * self._lens[0] + self._lens[1]
        if self._weather is not None:
            self._weather.fall(pixels, number)
        frame: Bytes = np.clip(pixels + np.float32(0.5), 0, 255).astype(np.uint8)
        return frame

    def _layers(self, pose: Pose) -> tuple[Image.Image, tuple[Image.Image, Image.Image] | None]:
        """What is behind, and what stands in front of it with its mask."""
        stages = len(self._ground) + len(self._front)
        place = pose.grown * (stages - 1)
        index, part = int(place), place - int(place)
        if self._manner.cut:
            part = 0.0
        count = len(self._ground)
        if index < count - 1:
            behind = _mixed(self._ground[index], self._ground[index + 1], part)
            return self._painted(Image.fromarray(behind), pose), None
        back = Image.fromarray(self._ground[-1])
        first = index - count
        now = self._stage(first) if first >= 0 else None
        then = self._stage(min(first + 1, len(self._front) - 1))
        if now is None:
            front, alpha = then[0], then[1].point(lambda level: int(level * part))
        elif part:
            front = Image.blend(now[0], then[0], part)
            alpha = Image.blend(now[1], then[1], part)
        else:
            front, alpha = now
        return self._painted(back, pose), (self._painted(front, pose), alpha)

    def _stage(self, index: int) -> tuple[Image.Image, Image.Image]:
        if index not in self._known:
            # Two neighbours are mixed; the others will not be asked for again.
            self._known = {near: one for near, one in self._known.items() if abs(near - index) < 2}
            image = Image.fromarray(self._front[index])
            apart = ImageChops.difference(image, Image.fromarray(self._ground[-1]))
            most = ImageChops.lighter(
                ImageChops.lighter(apart.getchannel(0), apart.getchannel(1)), apart.getchannel(2)
            )
            mask = most.point(lambda level: min(255, max(0, (level - 5) * 14)))
            self._known[index] = (image, mask.filter(ImageFilter.GaussianBlur(0.8)))
        return self._known[index]

    def _painted(self, image: Image.Image, pose: Pose) -> Image.Image:
        if self._line is None or pose.painted >= 1:
            return image
        return Image.blend(self._line, image, pose.painted**1.5)

    def _moved(self, image: Image.Image, pose: Pose, near_x: float, shear: float) -> Image.Image:
        """The camera's view of a layer; what sways is fast at its foot."""
        w, h = self._size
        scale = 1 / pose.zoom
        cos, sin = math.cos(pose.turn) * scale, math.sin(pose.turn) * scale
        shift_x = (pose.x + near_x) * w
        cx, cy = image.width / 2 + shift_x, image.height / 2 + pose.y * w
        # From the frame to the picture; the shear grows from the lower edge upwards.
        lean = shear * w / h
        a, b = cos, -sin + lean * scale
        c = cx - a * w / 2 - b * h / 2 - lean * h / 2 * scale
        d, e = sin, cos
        f = cy - d * w / 2 - e * h / 2
        return image.transform(
            self._size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BICUBIC
        )

    def _copied(self, picture: Image.Image, copy: int) -> Image.Image:
        """A copy of a copy: smaller, softer, harder in its tones, with dust."""
        w, h = self._size
        small = picture.resize((max(8, round(w / (1 + 0.42 * copy))),
                                max(8, round(h / (1 + 0.42 * copy)))))  # fmt: skip
        soft = small.resize((w, h), Image.Resampling.BICUBIC).rotate(0.35 * copy * (-1) ** copy)
        hard = ImageEnhance.Contrast(soft).enhance(1 + 0.13 * copy)
        pale = ImageEnhance.Color(hard).enhance(max(0.1, 1 - 0.2 * copy))
        noise = self._random.normal(0, 5.0 * copy, (h, w, 1)).astype(np.float32)
        dusty = np.asarray(pale, dtype=np.float32) + noise
        return Image.fromarray(np.clip(dusty, 0, 255).astype(np.uint8))


def _mixed(one: Bytes, other: Bytes, part: float) -> Bytes:
    if not part:
        return one
    mixed = Image.blend(Image.fromarray(one), Image.fromarray(other), part)
    return np.asarray(mixed, dtype=np.uint8)


def _middle(field: Pixels, width: int, height: int) -> Pixels:
    """The lens does not move with the picture: its field, shrunk to the frame."""
    planes = [
        np.asarray(Image.fromarray(field[..., side]).resize((width, height)), dtype=np.float32)
        for side in range(3)
    ]
    return np.stack(planes, axis=-1)


def _line_drawing(finished: Bytes) -> Image.Image:
    """The picture's lines in ink on tinted paper."""
    grey = Image.fromarray(finished).convert("L")
    soft = grey.filter(ImageFilter.GaussianBlur(1.1))
    wide = grey.filter(ImageFilter.GaussianBlur(3.2))
    lines = (np.asarray(wide, dtype=np.float32) - np.asarray(soft, dtype=np.float32)) * 0.12
    ink = np.clip(lines, 0, 1)[..., None]
    paper = np.array(_SEPIA, dtype=np.float32) + (np.asarray(soft)[..., None] - 128.0) * 0.12
    drawn = paper + (np.array(_INK, dtype=np.float32) - paper) * ink
    return Image.fromarray(np.clip(drawn, 0, 255).astype(np.uint8))
