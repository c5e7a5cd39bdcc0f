"""PNG: signature, chunks of length, type, data and CRC, from IHDR to IEND (W3C PNG, 3rd edition).

Pure.
"""

from __future__ import annotations

import struct
import zlib

from services.recorder.domain.structure.limits import check_pictures, check_size, malformed
from services.recorder.domain.structure.walker import Skip, Take, Walk

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MAX_CHUNK_BYTES = 2**31 - 1


def png(max_pictures: int) -> Walk:
    """Walk over a PNG; an animated one has an fcTL for each of its pictures."""
    yield Take(len(SIGNATURE))
    header = yield Take(25)
    if header[:8] != b"\x00\x00\x00\x0dIHDR" or zlib.crc32(header[4:21]) != _number(header[21:]):
        raise malformed("a PNG begins with its header")
    check_size(_number(header[8:12]), _number(header[12:16]))
    pictures, has_data = 0, False
    while True:
        head = yield Take(8)
        length, kind = _number(head[:4]), head[4:]
        if length > _MAX_CHUNK_BYTES or not kind.isalpha():
            raise malformed("a PNG is made of chunks")
        if kind == b"IHDR":
            raise malformed("a PNG has one header")
        yield Skip(length + 4)
        has_data = has_data or kind == b"IDAT"
        if kind == b"fcTL":
            pictures += 1
            check_pictures(pictures, max_pictures)
        if kind == b"IEND":
            if not has_data or length:
                raise malformed("a PNG without a picture")
            return False


def _number(data: bytes) -> int:
    number: int = struct.unpack(">I", data)[0]
    return number
