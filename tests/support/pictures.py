"""Real PNGs of any size and filling, in memory and in pieces."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG."""
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def header(width: int, height: int) -> bytes:
    """What a PNG begins with."""
    sides = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", sides)


_HEAD = header(1, 1)
_TAIL = chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
# One red pixel.
PNG = _HEAD + _TAIL
# What a filling costs beyond itself.
AROUND_BYTES = len(PNG) + 12


def picture_of(filling: bytes) -> bytes:
    """A picture with this in a chunk that readers pass over; AROUND_BYTES longer."""
    return _HEAD + chunk(b"paDd", filling) + _TAIL


def picture(size: int, fill: int = 0) -> bytes:
    """A picture of exactly this size, from AROUND_BYTES on, or the plain one."""
    if size == len(PNG):
        return PNG
    if size < AROUND_BYTES:
        raise ValueError(f"no picture is that small: {size}")
    return picture_of(bytes([fill]) * (size - AROUND_BYTES))


def picture_pieces(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same around `size` bytes of filling that come in pieces."""
    yield _HEAD + struct.pack(">I", size) + b"paDd"
    checksum = zlib.crc32(b"paDd")
    for piece in pieces:
        checksum = zlib.crc32(piece, checksum)
        yield piece
    yield struct.pack(">I", checksum) + _TAIL
