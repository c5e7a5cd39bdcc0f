"""Ogg: pages of logical streams (RFC 3533). Pure."""

from __future__ import annotations

from services.recorder.domain.structure.limits import MAX_OGG_STREAMS, malformed
from services.recorder.domain.structure.walker import Skip, Take, Walk

SIGNATURE = b"OggS"
_BEGINS = 2


def ogg() -> Walk:
    """Walk over an Ogg file; it ends after a page."""
    streams = 0
    while head := (yield Take(27, or_end=streams > 0)):
        if head[:4] != SIGNATURE or head[4]:
            raise malformed("an Ogg file is made of pages")
        if head[5] & _BEGINS:
            streams += 1
            if streams > MAX_OGG_STREAMS:
                raise malformed(f"more than {MAX_OGG_STREAMS} streams")
        elif not streams:
            raise malformed("a page of no stream")
        if head[26]:
            yield Skip(sum((yield Take(head[26]))))
    return False
