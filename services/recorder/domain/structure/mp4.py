"""MP4: boxes in boxes (ISO 14496-12). Nothing in them may lie in another file. Pure."""

from __future__ import annotations

from collections.abc import Generator

from services.recorder.domain.structure.limits import check_seconds, check_size, malformed
from services.recorder.domain.structure.walker import Skip, Step, Take, Walk

# The way to where a track says where its bytes are.
_OPENED = frozenset({b"moov", b"trak", b"mdia", b"minf", b"dinf"})
# QuickTime's films elsewhere, and its packed header that hides what it refers to.
_REFUSED = frozenset({b"rmra", b"rmda", b"cmov"})
_MAX_REFERENCES = 1000
_MAX_DEPTH = 8
_SELF_CONTAINED = 1

_Steps = Generator[Step, bytes, None]


def mp4() -> Walk:
    """Walk over an MP4 or M4A."""
    seen: set[bytes] = set()
    while head := (yield Take(8, or_end=bool(seen))):
        size, kind = int.from_bytes(head[:4]), head[4:]
        if kind == b"ftyp" and not seen and size < 16:
            raise malformed("an MP4 says first what it is")
        seen.add(kind)
        if size == 0:
            if kind != b"mdat" or b"moov" not in seen:
                raise malformed("only the sound and the picture may go on to the end")
            return True
        yield from _box(kind, (yield from _payload_bytes(size, None)), 1)
    if b"moov" not in seen:
        raise malformed("an MP4 without a track")
    return False


def _boxes(left: int, depth: int) -> _Steps:
    if depth > _MAX_DEPTH:
        raise malformed("boxes in boxes in boxes")
    while left:
        if left < 8:
            raise malformed("an MP4 is made of boxes")
        head = yield Take(8)
        size, kind = int.from_bytes(head[:4]), head[4:]
        payload = yield from _payload_bytes(size, left)
        yield from _box(kind, payload, depth)
        left -= payload + (16 if size == 1 else 8)


def _payload_bytes(size: int, left: int | None) -> Generator[Step, bytes, int]:
    head = 8
    if size == 1:
        size, head = int.from_bytes((yield Take(8))), 16
    if size < head or (left is not None and size > left):
        raise malformed("an MP4 is made of boxes")
    return size - head


def _box(kind: bytes, size: int, depth: int) -> _Steps:
    if kind in _REFUSED:
        raise malformed("an MP4 that refers to something outside of it")
    if kind in _OPENED:
        yield from _boxes(size, depth + 1)
    elif kind == b"dref":
        yield from _references(size)
    elif kind == b"mvhd":
        told = yield from _part(size, 20, 32)
        rate, length = (told[12:16], told[16:20]) if told[0] == 0 else (told[20:24], told[24:32])
        # All ones: nobody knew.
        if length.strip(b"\xff"):
            check_seconds(int.from_bytes(length) / max(1, int.from_bytes(rate)))
    elif kind == b"tkhd":
        told = yield from _part(size, 84, 96)
        width, height = (int.from_bytes(told[at : at + 2]) for at in (-8, -4))
        if width or height:
            check_size(max(1, width), max(1, height))
    else:
        yield Skip(size)


def _part(size: int, short: int, long: int) -> Generator[Step, bytes, bytes]:
    # Version 1 of these boxes has wider numbers.
    first = (yield Take(1)) if size else b""
    wanted = long if first == b"\x01" else short
    if size < wanted:
        raise malformed("a box is too short")
    told = first + (yield Take(wanted - 1))
    yield Skip(size - wanted)
    return told


def _references(size: int) -> _Steps:
    if size < 8:
        raise malformed("a box is too short")
    count = int.from_bytes((yield Take(8))[4:])
    left = size - 8
    if count > _MAX_REFERENCES:
        raise malformed("too many references")
    for _ in range(count):
        if left < 12:
            raise malformed("a box is too short")
        entry = yield Take(12)
        length = int.from_bytes(entry[:4])
        if not 12 <= length <= left:
            raise malformed("an MP4 is made of boxes")
        if not entry[11] & _SELF_CONTAINED:
            raise malformed("an MP4 that refers to something outside of it")
        yield Skip(length - 12)
        left -= length
    yield Skip(left)
