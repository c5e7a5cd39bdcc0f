"""Real pictures, sounds and films, encoded by the libraries that decode them."""

from __future__ import annotations

import io
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from PIL import Image


def image(form: str, width: int = 64, height: int = 48, frames: int = 1, **options: Any) -> bytes:
    """Pictures of noise, so that each is another and none compresses to nothing."""
    random = np.random.default_rng(width)
    made = [
        Image.fromarray(random.integers(0, 255, (height, width, 3), dtype=np.uint8))
        for _ in range(frames)
    ]
    target = io.BytesIO()
    if frames > 1:
        options |= {"save_all": True, "append_images": made[1:], "duration": 100}
    made[0].save(target, form, **options)
    return target.getvalue()


def film(
    form: str = "mp4",
    codec: str = "mpeg4",
    frames: int = 30,
    fps: int = 15,
    *,
    sound: bool = False,
    cover: bool = False,
    **options: str,
) -> bytes:
    """A film of noise, 64 by 48; a cover is a picture that players show for the file."""
    random = np.random.default_rng(7)
    with (
        # To put its table at the start, the file is read again.
        tempfile.NamedTemporaryFile() as file,
        av.open(file.name, "w", format=form, options=options) as container,
    ):
        stream: Any = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=44_100, layout="stereo") if sound else None
        picture = _with_cover(container) if cover else None
        for _ in range(frames):
            noise = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
        if picture is not None:
            _show(container, picture)
        if audio is not None:
            _sing(container, audio, 44_100, 2, frames / fps)
        container.close()
        return Path(file.name).read_bytes()


def sound(
    form: str,
    codec: str,
    seconds: float = 2.0,
    hertz: int = 48_000,
    channels: int = 2,
    *,
    cover: bool = False,
) -> bytes:
    """A tone."""
    target = io.BytesIO()
    with av.open(target, "w", format=form) as container:
        layout = {1: "mono", 2: "stereo"}[channels]
        stream: Any = container.add_stream(codec, rate=hertz, layout=layout)
        picture = _with_cover(container) if cover else None
        if picture is not None:
            _show(container, picture)
        _sing(container, stream, hertz, channels, seconds)
    return target.getvalue()


def _with_cover(container: Any) -> Any:
    stream = container.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    stream.disposition = Disposition.attached_pic
    return stream


def _show(container: Any, stream: Any) -> None:
    pixels = np.full((48, 64, 3), 200, dtype=np.uint8)
    container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
    container.mux(stream.encode(None))


def _sing(container: Any, stream: Any, hertz: int, channels: int, seconds: float) -> None:
    layout = stream.layout.name
    resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=hertz)
    step = 1024
    for at in range(0, int(seconds * hertz), step):
        wave = np.sin(np.arange(at, at + step) * 440 * 2 * np.pi / hertz)
        data = (np.tile(wave, (channels, 1)) * 20_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(data, format="s16p", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = hertz, at, Fraction(1, hertz)
        for ready in resampler.resample(frame):
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))
