"""The index's twin in memory: looks at every run each time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from services.kit.ids import RunId
from services.recorder.domain.filter import Filter
from services.recorder.domain.run import Place
from services.recorder.domain.stats import RunStats, Tally
from services.recorder.domain.vocabulary import Audience
from services.recorder.index.port import Entry, Listed
from services.recorder.ports import Stamp


class MemoryIndex:
    """See `services.recorder.index.port.Index`. Begins with nothing each time it is opened."""

    def __init__(self) -> None:
        self._entries: dict[RunId, Entry] = {}
        self._favourites: set[RunId] = set()

    def open(self) -> Mapping[str, Stamp]:
        """Begin with nothing."""
        self._favourites.clear()
        self.empty()
        return {}

    def close(self) -> None:
        """Nothing to let go of."""

    def put(self, entries: Iterable[Entry], removed: Iterable[RunId]) -> None:
        """Replace and forget."""
        for entry in entries:
            self._entries[entry.summary.run.run_id] = entry
        for run_id in removed:
            self._entries.pop(run_id, None)
            self._favourites.discard(run_id)

    def keep_only(self, run_ids: Collection[RunId]) -> None:
        """Forget every other run."""
        self.put((), self._entries.keys() - set(run_ids))
        self._favourites &= set(run_ids)

    def set_favourites(self, marks: Mapping[RunId, bool]) -> None:
        """Mark and unmark."""
        self._favourites |= {run_id for run_id, wanted in marks.items() if wanted}
        self._favourites -= {run_id for run_id, wanted in marks.items() if not wanted}

    def page(
        self, wanted: Filter, audience: Audience, after: Place | None, size: int
    ) -> Sequence[Listed]:
        """Return up to `size` runs newest first, those older than `after`."""
        fitting = sorted(
            (one for one in self.fitting(wanted, audience)),
            key=lambda one: one.summary.run.place,
            reverse=True,
        )
        older = [one for one in fitting if after is None or one.summary.run.place < after]
        return [
            Listed(one.summary, one.summary.run.run_id in self._favourites, one.stamp)
            for one in older[:size]
        ]

    def stats(self, wanted: Filter, audience: Audience) -> RunStats:
        """Count the runs that fit."""
        tally = Tally()
        for entry in self.fitting(wanted, audience):
            count(entry, tally)
        return tally.stats()

    def renders(self, user_id: str, digest: str, most: int) -> Sequence[Place]:
        """Return up to so many runs of a person that have such an output, newest first."""
        places = [
            one.summary.run.place
            for one in self._entries.values()
            if one.summary.run.user_id == user_id and digest in one.renders
        ]
        return sorted(places, reverse=True)[:most]

    def fitting(self, wanted: Filter, audience: Audience) -> Iterator[Entry]:
        """Every run that fits, in no order."""
        text = wanted.folded_text
        for entry in self._entries.values():
            if wanted.favourites and entry.summary.run.run_id not in self._favourites:
                continue
            if wanted.text and not _is_found(text, entry, audience):
                continue
            if wanted.fits(entry.summary.run):
                yield entry

    def purge(self) -> bool:
        """What is forgotten is gone."""
        return True

    def rewrite(self) -> None:
        """Nothing else is left either."""

    def empty(self) -> None:
        """Forget every run."""
        self._entries.clear()


def count(entry: Entry, tally: Tally) -> None:
    """Count one run."""
    summary = entry.summary
    tally.add(
        summary.run.state,
        summary.run.config_name,
        runs=1,
        entities=summary.entities,
        size_bytes=summary.size_bytes,
    )
    if summary.duration_ms is not None:
        tally.add_duration(summary.duration_ms, summary.work_ms)


def _is_found(text: str, entry: Entry, audience: Audience) -> bool:
    return (
        entry.text is not None
        and entry.text_audience is not None
        and audience.includes(entry.text_audience)
        and text in entry.text
    )
