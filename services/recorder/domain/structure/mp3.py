"""MP3: frames one behind the other, tags around them (ISO 11172-3, 13818-3; ID3). Pure."""

from __future__ import annotations

from collections.abc import Mapping

from services.recorder.domain.structure.limits import check_seconds, malformed
from services.recorder.domain.structure.walker import Hop, Skip, Take, Walk

ID3 = b"ID3"
_HERTZ = (44_100, 48_000, 32_000)
_KBITS_1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
# Version bits of the header: what the rate is divided by, samples of a frame, rates in kbit/s.
_VERSIONS = {3: (1, 1152, _KBITS_1), 2: (2, 576, _KBITS_2), 0: (4, 576, _KBITS_2)}


def _frames() -> Mapping[int, tuple[int, float]]:
    # By the second and third byte of a header: length in bytes, duration in seconds. Layer III.
    found = {}
    for version, (divisor, samples, rates) in _VERSIONS.items():
        for rate_index, hertz in enumerate(_HERTZ):
            for kbit_index, kbits in enumerate(rates, start=1):
                for padding in (0, 1):
                    hertz_used = hertz // divisor
                    length = samples // 8 * kbits * 1000 // hertz_used + padding
                    third = kbit_index << 4 | rate_index << 2 | padding << 1
                    for protection in (0, 1):
                        second = 0xE0 | version << 3 | 1 << 1 | protection
                        for private in (0, 1):
                            key = second << 8 | third | private
                            found[key] = (length, samples / hertz_used)
    return found


_FRAMES = _frames()
HEADERS = frozenset(key >> 8 for key in _FRAMES)


class _Frames:
    """Counts the seconds of the frames it is led over."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def length(self, data: bytes, at: int) -> int:
        frame = _FRAMES.get(data[at + 1] << 8 | data[at + 2]) if data[at] == 0xFF else None
        if frame is None:
            return 0
        self.seconds += frame[1]
        check_seconds(self.seconds)
        return frame[0]


def mp3() -> Walk:
    """Walk over an MP3 with its tags."""
    frames = _Frames()
    while True:
        yield Hop(4, frames.length, or_end=True)
        tag = yield Take(3, or_end=frames.seconds > 0)
        if not tag:
            return False
        if tag == ID3:
            head = yield Take(7)
            size = 0
            for byte in head[3:]:
                if byte & 0x80:
                    raise malformed("a tag that says no length")
                size = size << 7 | byte
            # With a footer where it says so.
            yield Skip(size + (10 if head[2] & 0x10 else 0))
        elif tag == b"TAG" and frames.seconds:
            yield Skip(125)
        elif tag == b"APE" and frames.seconds:
            yield from _ape()
        else:
            raise malformed("an MP3 is made of frames")


def _ape() -> Walk:
    head = yield Take(29)
    if head[:5] != b"TAGEX":
        raise malformed("an MP3 is made of frames")
    # A header says how long the rest is, with the footer; a footer alone ends the tag.
    if head[20] & 0x20 or head[23] & 0x20:
        yield Skip(int.from_bytes(head[9:13], "little"))
    return False
