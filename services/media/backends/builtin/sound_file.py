"""A stereo sound as an MP3: what every browser plays and the recorder knows by its frames."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np

from services.media.backends.builtin.sound.signal import RATE_HERTZ, Wave

BITS_A_SECOND = 192_000
_BLOCK = 1152 * 64


def encode_mp3(wave: Wave, step: Callable[[float], None]) -> bytes:
    """Return the sound, shape (n, 2), as MP3; `step` is told the encoded part."""
    out = io.BytesIO()
    with av.open(out, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=RATE_HERTZ)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = BITS_A_SECOND
        stream.layout = "stereo"
        stream.format = "s16p"
        # Rounded with a cap: a wrapped sample is a crack.
        whole = np.clip(np.rint(wave * 32767), -32768, 32767).astype(np.int16)
        for at in range(0, len(whole), _BLOCK):
            part = np.ascontiguousarray(whole[at : at + _BLOCK].T)
            frame = av.AudioFrame.from_ndarray(part, format="s16p", layout="stereo")
            frame.sample_rate = RATE_HERTZ
            frame.pts = at
            container.mux(stream.encode(frame))
            step(at / len(whole))
        container.mux(stream.encode(None))
    return out.getvalue()
