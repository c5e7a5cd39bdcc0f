"""FLAC: metadata blocks, the first of which says how long it lasts (RFC 9639). Pure."""

from __future__ import annotations

from services.recorder.domain.structure.limits import check_seconds, malformed
from services.recorder.domain.structure.walker import Skip, Take, Walk

SIGNATURE = b"fLaC"
_STREAMINFO_BYTES = 34


def flac() -> Walk:
    """Walk over the metadata of a FLAC; its frames are not looked at."""
    yield Take(len(SIGNATURE))
    head = yield Take(4)
    if head[0] & 0x7F or int.from_bytes(head[1:]) != _STREAMINFO_BYTES:
        raise malformed("a FLAC says first what it holds")
    told = int.from_bytes((yield Take(_STREAMINFO_BYTES))[10:18])
    hertz, samples = told >> 44, told & (2**36 - 1)
    if not hertz:
        raise malformed("a FLAC says first what it holds")
    check_seconds(samples / hertz)
    while not head[0] & 0x80:
        head = yield Take(4)
        yield Skip(int.from_bytes(head[1:]))
    # At least one frame.
    if (yield Take(2))[0] != 0xFF:
        raise malformed("a FLAC without a sound")
    return True
