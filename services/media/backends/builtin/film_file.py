"""Frames as an MP4 with H.264, the one film every browser plays."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import av
import numpy as np
from numpy.typing import NDArray

# A constant quality; visually without loss for drawn pictures.
QUALITY = "20"


def encode_mp4(
    frames: Iterable[NDArray[np.uint8]],
    width: int,
    height: int,
    fps: int,
    count: int,
    step: Callable[[float], None],
) -> bytes:
    """Return the frames, each of shape (height, width, 3), as MP4; sides must be even.

    Frames are taken one at a time; `step` is told the finished part of `count`.
    """
    out = io.BytesIO()
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": QUALITY, "preset": "veryfast", "tune": "animation"}
        # One film is one thread of work, as one picture is.
        stream.codec_context.thread_count = 1
        for number, pixels in enumerate(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            step((number + 1) / count)
        container.mux(stream.encode(None))
    return out.getvalue()
