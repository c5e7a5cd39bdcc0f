"""RIFF: WebP pictures (RFC 9649) and WAV sounds; chunks within a size that is said first. Pure."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from services.recorder.domain.structure.limits import (
    check_pictures,
    check_seconds,
    check_size,
    malformed,
)
from services.recorder.domain.structure.walker import Skip, Step, Take, Walk

_VP8_START = b"\x9d\x01\x2a"
_VP8L_SIGNATURE = 0x2F
_SMALLEST_FORMAT_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The head of a chunk: its bytes without and with padding, and what is left behind it."""

    kind: bytes
    size: int
    padded: int
    left: int


def webp(max_pictures: int) -> Walk:
    """Walk over a WebP, still or animated."""
    left = yield from _begin()
    pictures = 0
    while left:
        chunk = yield from _next(left)
        kind, left = chunk.kind, chunk.left
        if kind == b"ANMF":
            check_size(*_canvas((yield from _part(chunk, 16))[6:12]))
        elif kind == b"VP8X":
            check_size(*_canvas((yield from _part(chunk, 10))[4:10]))
        elif kind == b"VP8 ":
            check_size(*_lossy((yield from _part(chunk, 10))))
        elif kind == b"VP8L":
            check_size(*_lossless((yield from _part(chunk, 5))))
        else:
            yield Skip(chunk.padded)
            continue
        if kind != b"VP8X":
            pictures += 1
            check_pictures(pictures, max_pictures)
    if not pictures:
        raise malformed("a WebP without a picture")
    return False


def wav() -> Walk:
    """Walk over a WAV."""
    left = yield from _begin()
    bytes_per_second = 0
    has_data = False
    while left:
        chunk = yield from _next(left)
        left = chunk.left
        if chunk.kind == b"fmt ":
            told = yield from _part(chunk, _SMALLEST_FORMAT_BYTES)
            bytes_per_second = int.from_bytes(told[8:12], "little")
            continue
        if chunk.kind == b"data":
            if not bytes_per_second:
                raise malformed("a WAV says what it holds before it does")
            check_seconds(chunk.size / bytes_per_second)
            has_data = True
        yield Skip(chunk.padded)
    if not has_data:
        raise malformed("a WAV without a sound")
    return False


def _begin() -> Generator[Step, bytes, int]:
    start = yield Take(12)
    size = int.from_bytes(start[4:8], "little")
    if size < 4:
        raise malformed("it does not say how long it is")
    return size - 4


def _next(left: int) -> Generator[Step, bytes, _Chunk]:
    if left < 8:
        raise malformed("it is made of chunks")
    head = yield Take(8)
    size = int.from_bytes(head[4:], "little")
    if size > left - 8:
        raise malformed("a chunk is longer than all of it")
    # Some writers leave out the last padding byte.
    padded = min(size + size % 2, left - 8)
    return _Chunk(head[:4], size, padded, left - 8 - padded)


def _part(chunk: _Chunk, wanted: int) -> Generator[Step, bytes, bytes]:
    if chunk.size < wanted:
        raise malformed("a chunk is too short")
    told = yield Take(wanted)
    yield Skip(chunk.padded - wanted)
    return told


def _canvas(told: bytes) -> tuple[int, int]:
    return int.from_bytes(told[:3], "little") + 1, int.from_bytes(told[3:], "little") + 1


def _lossy(told: bytes) -> tuple[int, int]:
    if told[3:6] != _VP8_START:
        raise malformed("a WebP's picture begins with a key frame")
    sides = int.from_bytes(told[6:8], "little"), int.from_bytes(told[8:10], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def _lossless(told: bytes) -> tuple[int, int]:
    if told[0] != _VP8L_SIGNATURE:
        raise malformed("a WebP's picture begins with its size")
    bits = int.from_bytes(told[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
