"""Pictures on disk: small real ones, and real ones of any size that cost no memory to make."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_STORED_BYTES = 65535
_WIDTH = 4096


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _header(width: int, height: int, depth: int = 8) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0))


def write_picture(path: Path, width: int, height: int, seed: int, text: str) -> None:
    """Write a PNG of stripes; colours follow the seed, the prompt is in it as with ComfyUI."""
    rows = bytearray()
    for row in range(height):
        stripe = (seed + row // 8 * 0x2F6B35) & 0xFFFFFF
        rows += b"\0" + stripe.to_bytes(3, "big") * width
    metadata = b"prompt\0" + text.encode("latin-1", "backslashreplace")
    path.write_bytes(
        _SIGNATURE
        + _header(width, height)
        + _chunk(b"tEXt", metadata)
        + _chunk(b"IDAT", zlib.compress(bytes(rows), 1))
        + _chunk(b"IEND", b"")
    )


def write_large_picture(path: Path, size: int, seed: int) -> None:
    """Write a PNG of exactly `size` bytes (from 100 000), uncompressed, row after row."""
    # Two bytes a colour, so that the largest is not more pixels than anybody takes.
    row = b"\0" + seed.to_bytes(8, "big")[-6:] * _WIDTH
    # Each block of a stored deflate stream adds 5 bytes, each IDAT 12; the rest is padding.
    share = len(row) + 5 * (len(row) // _STORED_BYTES + 1) + 12
    height = max(1, (size - 1000) // share)
    with path.open("wb") as file:
        file.write(_SIGNATURE + _header(_WIDTH, height, 16))
        for part in _deflated(itertools.repeat(row, height), height):
            file.write(_chunk(b"IDAT", part))
        padding = size - file.tell() - 12 - 12
        # An ancillary private chunk, which readers skip.
        file.write(_chunk(b"paDd", bytes(padding)))
        file.write(_chunk(b"IEND", b""))


def _deflated(rows: Iterator[bytes], count: int) -> Iterator[bytes]:
    checksum = 1
    for number, row in enumerate(rows, 1):
        checksum = zlib.adler32(row, checksum)
        last = number == count
        part = b"\x78\x01" if number == 1 else b""
        part += struct.pack("<BHH", last, len(row), len(row) ^ 0xFFFF) + row
        yield part + (struct.pack(">I", checksum) if last else b"")
