"""JPEG: segments from SOI over a frame header to scans and EOI (ITU-T T.81, annex B). Pure."""

from __future__ import annotations

import re

from services.recorder.domain.structure.limits import check_size, malformed
from services.recorder.domain.structure.walker import Find, Skip, Take, Walk

SIGNATURE = b"\xff\xd8\xff"
_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
# All frame headers; C4, C8 and CC are other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Within a scan, FF is followed by 00, a restart or another FF.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


def jpeg(*, may_go_on: bool) -> Walk:
    """Walk over a JPEG; cameras put further pictures behind the end where it `may_go_on`."""
    yield Take(2)
    has_frame = False
    while True:
        first, marker = yield Take(2)
        while first == 0xFF and marker == 0xFF:  # fill bytes
            (marker,) = yield Take(1)
        if first != 0xFF or marker in (0x00, _SOI):
            raise malformed("a JPEG is made of segments")
        if marker == _EOI:
            if not has_frame:
                raise malformed("a JPEG without a picture")
            return may_go_on
        length = int.from_bytes((yield Take(2)))
        if length < 2:
            raise malformed("a JPEG is made of segments")
        if marker in _FRAMES:
            if length < 8:
                raise malformed("a JPEG's frame says how large it is")
            frame = yield Take(6)
            check_size(int.from_bytes(frame[3:5]), int.from_bytes(frame[1:3]))
            has_frame = True
            length -= 6
        yield Skip(length - 2)
        if marker == _SOS:
            if not has_frame:
                raise malformed("a JPEG's scan follows its frame")
            yield Find(_MARKER)
