"""What the recorder needs from an index. Two implementations: `index.sqlite`, `index.memory`.

An index repeats what the run folders say, so that a list need not open them; it is never the
truth. Every method blocks and is called in one thread, except before `open` and after `close`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.kit.ids import RunId
from services.recorder.domain.filter import Filter
from services.recorder.domain.run import Place
from services.recorder.domain.stats import RunStats
from services.recorder.domain.summary import Summary
from services.recorder.domain.vocabulary import Audience
from services.recorder.ports import Stamp


class IndexDamagedError(Exception):
    """The index is not what was written into it; it must be emptied and filled again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one run.

    `text` is its input, folded, and `text_audience` the least audience that may search it; None
    where there is none. `stamp` is of the metadata.json of a final run, None of any other;
    `is_durable` says that the run was durable before the stamp was taken. `renders` are the digests
    of `domain.renders`.
    """

    summary: Summary
    text: str | None
    text_audience: Audience | None
    stamp: Stamp | None
    is_durable: bool
    renders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Listed:
    """One run of a page."""

    summary: Summary
    is_favourite: bool
    stamp: Stamp | None


class Index(Protocol):
    """Runs by what lists are asked for."""

    def open(self) -> Mapping[str, Stamp]:
        """Begin with what is there, or with nothing.

        Returns the stamps, by run id, of final runs that were durable. Favourites are told anew
        each time.
        """
        ...

    def close(self) -> None:
        """Let go of it; what was put stays."""
        ...

    def put(self, entries: Iterable[Entry], removed: Iterable[RunId]) -> None:
        """Replace what is known of some runs, and forget others.

        What cannot be written now is seen by every later call all the same, and written later.
        Raises IndexDamagedError.
        """
        ...

    def keep_only(self, run_ids: Collection[RunId]) -> None:
        """Forget every other run. Raises IndexDamagedError."""
        ...

    def set_favourites(self, marks: Mapping[RunId, bool]) -> None:
        """Mark runs as favourites, or no longer."""
        ...

    def page(
        self, wanted: Filter, audience: Audience, after: Place | None, size: int
    ) -> Sequence[Listed]:
        """Return up to `size` runs newest first, those older than `after`.

        Raises IndexDamagedError.
        """
        ...

    def stats(self, wanted: Filter, audience: Audience) -> RunStats:
        """Count the runs that fit. Raises IndexDamagedError."""
        ...

    def renders(self, user_id: str, digest: str, most: int) -> Sequence[Place]:
        """Return up to so many runs of a person that have such an output, newest first.

        Raises IndexDamagedError.
        """
        ...

    def purge(self) -> bool:
        """Leave no byte of the texts that were forgotten; False when some may be left for now."""
        ...

    def rewrite(self) -> None:
        """Leave no byte of anything else that was forgotten; takes the longer the more there is.

        Raises IndexDamagedError.
        """
        ...

    def empty(self) -> None:
        """Forget every run, damaged or not; favourites stay."""
        ...
