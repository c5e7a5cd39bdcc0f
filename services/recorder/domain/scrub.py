"""What a scrubber remembers and how fast it may go. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from services.kit.ids import RunId
from services.recorder.domain.fields import Fields

MAX_DAMAGES = 1000
MAX_MESSAGE_CHARACTERS = 300
# Opening files costs time that bytes do not show; this much of it may be ours.
MAX_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Damage:
    """A run that is not what was recorded."""

    run_id: RunId
    message: str
    found_at: datetime


class Damages:
    """Damage that is known; of too much, the oldest is forgotten."""

    def __init__(self, known: Iterable[Damage] = ()) -> None:
        self._known = {(one.run_id, one.message): one for one in known}

    def looked_at(self, run_id: RunId, messages: Iterable[str], now: datetime) -> list[Damage]:
        """Replace what is known of a run, and return what is new."""
        found = [message[:MAX_MESSAGE_CHARACTERS] for message in messages]
        for key in [key for key in self._known if key[0] == run_id and key[1] not in found]:
            del self._known[key]
        new = [
            Damage(run_id, message, now)
            for message in dict.fromkeys(found)
            if (run_id, message) not in self._known
        ]
        self._known |= {(one.run_id, one.message): one for one in new}
        while len(self._known) > MAX_DAMAGES:
            del self._known[next(iter(self._known))]
        return new

    def newest_first(self) -> list[Damage]:
        """All of it."""
        return list(reversed(self._known.values()))


@dataclass(slots=True)
class ScrubState:
    """How far a walk over all runs is, in the order of their ids."""

    started_at: datetime | None = None
    # The last run that was looked at; empty before the first.
    position: str = ""
    runs: int = 0
    finished_at: datetime | None = None
    damages: Damages = field(default_factory=Damages)

    @property
    def is_walking(self) -> bool:
        """Whether a walk was begun and has not ended."""
        if self.started_at is None:
            return False
        return self.finished_at is None or self.finished_at < self.started_at

    def is_due(self, now: datetime, interval_seconds: float) -> bool:
        """Whether it is time to begin a walk."""
        if self.is_walking:
            return False
        if self.started_at is None:
            return True
        waited = (now - self.started_at).total_seconds()
        # A clock that was set back must not put it off for years.
        return not 0 <= waited < interval_seconds


def scrub_document(state: ScrubState) -> dict[str, Any]:
    """Return the state as a JSON object."""
    return {
        "started_at": _time(state.started_at),
        "position": state.position,
        "runs": state.runs,
        "finished_at": _time(state.finished_at),
        "damages": [
            {"run_id": one.run_id.value, "message": one.message, "time": _time(one.found_at)}
            for one in reversed(state.damages.newest_first())
        ],
    }


def read_scrub(document: object) -> ScrubState:
    """Return the state that a document tells. Raises DocumentError, InvalidArgument."""
    fields = Fields(document)
    return ScrubState(
        started_at=fields.time_or_none("started_at"),
        position=fields.text("position"),
        runs=fields.number("runs"),
        finished_at=fields.time_or_none("finished_at"),
        damages=Damages(
            Damage(RunId.parse(one.text("run_id")), one.text("message"), one.time("time"))
            for one in islice(fields.objects("damages"), MAX_DAMAGES)
        ),
    )


class Pace:
    """How long to rest after each step, so that over time neither limit is passed."""

    def __init__(self, bytes_per_second: float, share: float = MAX_SHARE) -> None:
        """`share` of the time may be spent on the steps themselves."""
        self._bytes_per_second = bytes_per_second
        self._share = share

    def rest_seconds(self, size_bytes: int, took_seconds: float) -> float:
        """Seconds to do nothing after a step that read so much and took so long."""
        by_bytes = size_bytes / self._bytes_per_second - took_seconds
        return max(by_bytes, took_seconds * (1 / self._share - 1), 0.0)


def _time(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
