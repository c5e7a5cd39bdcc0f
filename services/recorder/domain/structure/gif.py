"""GIF: a screen, then extensions and pictures in sub-blocks, then a trailer (GIF89a). Pure."""

from __future__ import annotations

from services.recorder.domain.structure.limits import check_pictures, check_size, malformed
from services.recorder.domain.structure.walker import Hop, Skip, Take, Walk

SIGNATURES = (b"GIF87a", b"GIF89a")
_EXTENSION, _PICTURE, _TRAILER = 0x21, 0x2C, 0x3B


def gif(max_pictures: int) -> Walk:
    """Walk over a GIF."""
    screen = yield Take(13)
    check_size(int.from_bytes(screen[6:8], "little"), int.from_bytes(screen[8:10], "little"))
    yield Skip(_table_bytes(screen[10]))
    pictures = 0
    while True:
        (kind,) = yield Take(1)
        if kind == _TRAILER:
            if not pictures:
                raise malformed("a GIF without a picture")
            return False
        if kind == _PICTURE:
            picture = yield Take(9)
            check_size(
                int.from_bytes(picture[4:6], "little"), int.from_bytes(picture[6:8], "little")
            )
            pictures += 1
            check_pictures(pictures, max_pictures)
            yield Skip(_table_bytes(picture[8]) + 1)
        elif kind == _EXTENSION:
            yield Skip(1)
        else:
            raise malformed("a GIF is made of blocks")
        yield Hop(1, _sub_block)
        yield Skip(1)


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _sub_block(data: bytes, at: int) -> int:
    size = data[at]
    return size + 1 if size else 0
