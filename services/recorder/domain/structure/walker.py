"""Leads a description of a format over bytes that come in pieces. Pure.

A format is a generator that asks for what comes next (`Take`, `Skip`, `Find`, `Hop`) and raises
InvalidArgument for what must not be. It never holds more than it takes, however large the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass

from services.kit.errors import InvalidArgument
from services.recorder.domain.structure.limits import malformed

# Far above any file that a program makes, so that one made of crumbs costs no minutes.
MAX_STEPS = 2_000_000
MAX_HOPS = 20_000_000


@dataclass(frozen=True, slots=True)
class Take:
    """The next `size` bytes, few; with `or_end` none at all when the file ends here."""

    size: int
    or_end: bool = False


@dataclass(frozen=True, slots=True)
class Skip:
    """Pass over so many bytes, which must be there."""

    size: int


@dataclass(frozen=True, slots=True)
class Find:
    """Go to the next two bytes that match; they are not taken."""

    pattern: re.Pattern[bytes]


@dataclass(frozen=True, slots=True)
class Hop:
    """Pass over elements in a row.

    `length` tells from the buffer and a place with `head` bytes how long the element there is, 0
    when there is none, which ends it. With `or_end` the file may end after an element.
    """

    head: int
    length: Callable[[bytes, int], int]
    or_end: bool = False


Step = Take | Skip | Find | Hop
# Returns whether bytes behind the end are of no interest; otherwise there must be none.
Walk = Generator[Step, bytes, bool]


class Walker:
    """One walk over one file."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._error: InvalidArgument | None = None
        self._is_over = False
        self._takes_rest = False
        self._buffer = b""
        # Still to be passed over, of a Skip or an element that reaches into the next piece.
        self._ahead = 0
        self._steps = 0
        self._hops = 0
        self._step: Step = Skip(0)
        self._go(b"")

    def feed(self, data: bytes) -> None:
        """Take the next piece in; what is wrong is told by `finish`."""
        if self._error is not None or not data:
            return
        if self._ahead >= len(data):
            self._ahead -= len(data)
            return
        if self._is_over:
            self._ahead = 0
            self._buffer = b"" if self._takes_rest else b"more"
            return
        try:
            self._advance(self._buffer + data if self._buffer else data)
        except InvalidArgument as error:
            self._error = error
            self._buffer = b""

    def finish(self) -> None:
        """There is no more. Raises InvalidArgument MEDIA_MALFORMED, MEDIA_TOO_LARGE."""
        if self._error is not None:
            raise self._error
        if not self._ahead and not self._buffer:
            while not self._is_over and isinstance(self._step, Take | Hop) and self._step.or_end:
                self._go(b"")
        if not self._is_over or self._ahead:
            raise malformed("it is not whole")
        if self._buffer and not self._takes_rest:
            raise malformed("there is something behind its end")

    def _go(self, value: bytes) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise malformed("too many parts")
        try:
            self._step = self._walk.send(value) if self._steps > 1 else next(self._walk)
        except StopIteration as end:
            self._is_over, self._takes_rest = True, end.value

    def _advance(self, data: bytes) -> None:
        at, self._ahead = self._ahead, 0
        while not self._is_over:
            before, step = at, self._step
            match step:
                case Take(size):
                    if len(data) - at < size:
                        break
                    at += size
                    self._go(data[before:at])
                case Skip(size):
                    at += size
                    self._go(b"")
                case Find(pattern):
                    found = pattern.search(data, at)
                    if found is None:
                        # The first of the two may be the last byte.
                        at = max(at, len(data) - 1)
                        break
                    at = found.start()
                    self._go(b"")
                case Hop():
                    at, is_over = self._hop(step, data, at)
                    if not is_over:
                        break
                    self._go(b"")
            if at > len(data):
                break
        self._ahead = max(0, at - len(data))
        self._buffer = data[at:]

    def _hop(self, step: Hop, data: bytes, at: int) -> tuple[int, bool]:
        last, length = len(data) - step.head, step.length
        hops = 0
        is_over = False
        while at <= last:
            size = length(data, at)
            if not size:
                is_over = True
                break
            at += size
            hops += 1
        self._hops += hops
        if self._hops > MAX_HOPS:
            raise malformed("too many parts")
        return at, is_over
