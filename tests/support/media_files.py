"""Small files of every format that is recorded, built by hand: right, and wrong in one thing."""

from __future__ import annotations

import struct
import zlib
from itertools import repeat

from tests.support.pictures import chunk, header

# What is behind the head of a PNG of one pixel.
PNG_DATA = chunk(b"IDAT", zlib.compress(b"\0\xff\0\0"))
PNG_END = chunk(b"IEND", b"")


def png(width: int = 1, height: int = 1, *more: bytes) -> bytes:
    """A PNG that says it has this size, with further chunks before its data."""
    return header(width, height) + b"".join(more) + PNG_DATA + PNG_END


def apng(frames: int) -> bytes:
    """A PNG that moves, its acTL far behind the start where nobody sniffs."""
    control = struct.pack(">IIIIIHHBB", 0, 1, 1, 0, 0, 1, 1, 0, 0)
    filling = chunk(b"paDd", bytes(20_000))
    return png(1, 1, filling, chunk(b"acTL", bytes(8)), chunk(b"fcTL", control) * frames)


def jpeg(width: int = 1, height: int = 1, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG by its segments; its scan is not one that can be decoded."""
    frame = struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0)
    parts = [(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), *segments, (0xC0, frame)]
    head = b"".join(_segment(marker, data) for marker, data in parts)
    scan = _segment(0xDA, b"\1\1\0\0\x3f\0") + b"\x12\xff\x00\x34\xff\xd0\x56"
    return b"\xff\xd8" + head + scan + b"\xff\xd9"


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def gif(width: int = 1, height: int = 1, pictures: int = 1) -> bytes:
    """A GIF."""
    size = struct.pack("<HH", width, height)
    comment = b"\x21\xfe\x03abc\x00"
    picture = b"\x2c" + bytes(4) + size + b"\x00\x02\x02\x44\x01\x00"
    return b"GIF89a" + size + b"\x80\0\0" + bytes(6) + comment + picture * pictures + b"\x3b"


def riff(kind: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A RIFF file."""
    parts = [
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in chunks
    ]
    body = kind + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp(width: int = 1, height: int = 1) -> bytes:
    """A lossy WebP."""
    return riff(b"WEBP", (b"VP8 ", lossy(width, height)))


def lossy(width: int, height: int) -> bytes:
    """The start of a WebP's lossy picture."""
    return b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", width, height) + bytes(5)


def animated_webp(pictures: int, width: int = 1, height: int = 1) -> bytes:
    """A WebP that moves."""
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + canvas + bytes(4)
    inner = b"VP8 " + struct.pack("<I", 16) + lossy(width, height) + b"\0"
    frames = repeat((b"ANMF", frame + inner), pictures)
    return riff(b"WEBP", (b"VP8X", b"\x02\0\0\0" + canvas), (b"ANIM", bytes(6)), *frames)


def wav(seconds: float = 0.1, bytes_per_second: int = 8000, *, padding: bool = True) -> bytes:
    """A WAV of silence."""
    form = struct.pack("<HHIIHH", 1, 1, bytes_per_second, bytes_per_second, 1, 8)
    made = riff(b"WAVE", (b"fmt ", form), (b"data", bytes(int(seconds * bytes_per_second))))
    return made if padding else made[:-1]


def ogg(streams: int = 1, pages: int = 3) -> bytes:
    """An Ogg file: the first page of every stream, then further pages of the first."""
    starts = b"".join(_page(2, serial) for serial in range(streams))
    return starts + b"".join(_page(0, 0) for _ in range(pages))


def _page(flags: int, serial: int) -> bytes:
    return struct.pack("<4sBBqIIIB", b"OggS", 0, flags, 0, serial, 0, 0, 2) + b"\x03\x02" + b"hallo"


def mp3(frames: int = 10, *, before: bytes = b"", after: bytes = b"") -> bytes:
    """An MP3: MPEG 1 layer III, 128 kbit/s, 44.1 kHz, 417 bytes a frame."""
    return before + (b"\xff\xfb\x90\x64" + bytes(413)) * frames + after


def id3(size: int) -> bytes:
    """A tag before an MP3."""
    parts = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + parts + bytes(size)


def slow_mp3(seconds: int) -> bytes:
    """An MP3 at 8 kbit/s: MPEG 2.5 layer III, 8 kHz, 72 bytes for 72 ms."""
    return (b"\xff\xe3\x18\xc4" + bytes(68)) * (seconds * 1000 // 72 + 1)


def flac(samples: int = 44_100, hertz: int = 44_100) -> bytes:
    """A FLAC up to its first frame."""
    told = (hertz << 44 | 1 << 41 | 15 << 36 | samples).to_bytes(8)
    return (
        b"fLaC\x00\x00\x00\x22" + bytes(10) + told + bytes(16) + b"\x81\0\0\3abc\xff\xf8" + bytes(9)
    )


def box(kind: bytes, data: bytes) -> bytes:
    """One box of an MP4."""
    return struct.pack(">I", len(data) + 8) + kind + data


def reference(*, flags: int = 1, url: bytes = b"") -> bytes:
    """Where a track's bytes are: by its flag, here."""
    return box(b"url ", struct.pack(">I", flags) + url)


def mp4(
    *,
    width: int = 64,
    height: int = 64,
    seconds: int = 1,
    entry: bytes | None = None,
    brand: bytes = b"isom",
) -> bytes:
    """An MP4 of one track without pictures."""
    film = struct.pack(">IIIII", 0, 0, 0, 1000, seconds * 1000) + bytes(80)
    track = bytes(76) + struct.pack(">II", width << 16, height << 16)
    told = struct.pack(">II", 0, 1) + (reference() if entry is None else entry)
    media = box(b"mdia", box(b"minf", box(b"dinf", box(b"dref", told)) + box(b"stbl", b"")))
    tracks = box(b"trak", box(b"tkhd", track) + media)
    start = box(b"ftyp", brand + bytes(4) + b"isomiso2avc1mp41")
    return start + box(b"moov", box(b"mvhd", film) + tracks) + box(b"mdat", b"bytes")
