"""Conditional and partial requests (RFC 9110, sections 13 and 14). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.kit.errors import OutOfRange

_SINGLE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes first to last of a body, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.last - self.first + 1

    def content_range(self, size: int) -> str:
        """The Content-Range header of a 206."""
        return f"bytes {self.first}-{self.last}/{size}"


def etag(sha256: str) -> str:
    """The strong entity tag of bytes with this digest."""
    return f'"{sha256}"'


def matches(if_none_match: str | None, tag: str) -> bool:
    """Whether the client already has it (weak comparison, RFC 9110 13.1.2)."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return tag in (part.strip().removeprefix("W/") for part in if_none_match.split(","))


def parse_range(header: str | None, if_range: str | None, tag: str, size: int) -> Span | None:
    """Return the one range asked for, or None for the whole body.

    What is malformed, or asks for several ranges, or is for an older body (If-Range) is ignored, as
    RFC 9110 allows. Raises OutOfRange RANGE_NOT_SATISFIABLE when nothing of it exists.
    """
    if header is None or (if_range is not None and if_range.strip() != tag):
        return None
    found = _SINGLE.fullmatch(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        suffix = int(found[2])
        if suffix == 0:
            raise _unsatisfiable(size)
        return Span(max(0, size - suffix), size - 1)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    if first >= size:
        raise _unsatisfiable(size)
    return Span(first, last)


def _unsatisfiable(size: int) -> OutOfRange:
    return OutOfRange(
        "RANGE_NOT_SATISFIABLE",
        "nothing of this range exists",
        field="Range",
        metadata={"size_bytes": str(size)},
    )
