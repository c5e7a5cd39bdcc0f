"""Pictures and films to check, drawn here, and a checker with judges of one's choice."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import numpy as np
from av.video.stream import VideoStream
from PIL import Image, ImageDraw

from services.safety.domain.image_policy import Sighting
from services.safety.domain.levels import Level
from services.safety.domain.verdict import ModelUsed
from services.safety.images.checker import ByteLimits, ImageChecker
from services.safety.images.decoder import Decoder
from services.safety.images.spool import Spools
from services.safety.ports import ImageJudge, ImageOpinion, Look
from tests.unit.safety.support import safety

MAGENTA = (255, 0, 255)
LIMITS = ByteLimits(picture_bytes=1 << 20, film_bytes=4 << 20)


class MagentaJudge:
    """Takes the detector's place: a picture that is all magenta is what it must not be."""

    name = "nudenet"
    version = "magenta:1"
    remote = False

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.closed = False

    async def load(self) -> None:
        """Nothing to load."""

    async def judge(self, look: Look, level: Level) -> ImageOpinion:
        self.looks.append(look)
        pixels = np.frombuffer(look.rgb, np.uint8).reshape(-1, 3).astype(int)
        far = np.abs(pixels - MAGENTA).max()
        score = 1.0 if far < 40 else 0.0
        sighting = Sighting(self.name, "FEMALE_GENITALIA_EXPOSED", score)
        return ImageOpinion((sighting,), ModelUsed("test", self.version))

    async def aclose(self) -> None:
        self.closed = True


@asynccontextmanager
async def image_checker(
    *judges: ImageJudge,
    level: Level = Level.YOUTH,
    decoder: Decoder | None = None,
    spools: Spools | None = None,
    limits: ByteLimits = LIMITS,
) -> AsyncIterator[ImageChecker]:
    """A checker over the real policy; without judges the magenta one judges."""
    decoder = decoder or Decoder()
    checker = ImageChecker(
        safety(),
        judges or (MagentaJudge(),),
        level,
        decoder,
        spools or Spools("", 4, 0),
        limits,
    )
    try:
        yield checker
    finally:
        await decoder.aclose()
        for judge in checker.judges:
            await judge.aclose()


def meadow(size: tuple[int, int] = (96, 64), shift: int = 0) -> Image.Image:
    """A sky, a meadow and a sun."""
    picture = Image.new("RGB", size, (150, 200, 250))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, size[1] // 2, *size), fill=(60, 160, 70))
    draw.ellipse((10 + shift, 8, 30 + shift, 28), fill=(250, 220, 60))
    return picture


def magenta(size: tuple[int, int] = (96, 64)) -> Image.Image:
    """What the judge of these tests says no to."""
    return Image.new("RGB", size, MAGENTA)


def encoded(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def moving(pictures: Sequence[Image.Image], kind: str = "GIF") -> bytes:
    """An animation of these pictures, as GIF, WEBP or PNG."""
    first, *rest = pictures
    return encoded(first, kind, save_all=True, append_images=rest, duration=40, loop=0)


def film(
    pictures: Sequence[Image.Image], *, container: str = "mp4", codec: str = "libx264"
) -> bytes:
    """A film of these pictures, all after the first built on the one before."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, 25)
        stream.codec_context.gop_size = 250
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def one_bad_frame(count: int, bad: int) -> list[Image.Image]:
    """So many pictures of a sun that moves, one of them replaced."""
    return [magenta() if number == bad else meadow(shift=number % 40) for number in range(count)]


async def pieces_of(data: bytes, size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """The bytes as they come over a wire."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
