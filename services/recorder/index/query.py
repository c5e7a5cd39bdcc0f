"""Filters as SQL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from services.kit.ids import RunId
from services.recorder.domain.filter import Filter
from services.recorder.domain.run import Place
from services.recorder.domain.vocabulary import Audience, MediaKind

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KIND_BITS = {kind: 1 << place for place, kind in enumerate(MediaKind)}
_RANKS = {audience: rank for rank, audience in enumerate(Audience)}


@dataclass(slots=True)
class Where:
    """Conditions on rows of `runs`, all of which must hold, and their values."""

    conditions: list[str] = field(default_factory=list)
    values: list[str | int | bytes] = field(default_factory=list)

    def add(self, condition: str, *values: str | int | bytes) -> None:
        """Add a condition with a ? for each value."""
        self.conditions.append(condition)
        self.values.extend(values)

    def add_one_of(self, column: str, words: Iterable[str | StrEnum]) -> None:
        """Add that a column holds one of these words; nothing happens when there are none."""
        wanted = sorted(str(word) for word in words)
        if wanted:
            self.add(f"{column} IN ({', '.join('?' * len(wanted))})", *wanted)

    @property
    def sql(self) -> str:
        """The conditions as one."""
        return " AND ".join(self.conditions) or "1"


def where(
    wanted: Filter, audience: Audience, favourites: Collection[RunId], without: Collection[RunId]
) -> Where:
    """Return what rows must fulfil; `without` are runs to leave out. The cheapest comes first."""
    found = Where()
    if wanted.created_from is not None:
        found.add("created_us >= ?", microseconds(wanted.created_from))
    if wanted.created_before is not None:
        found.add("created_us < ?", microseconds(wanted.created_before))
    if wanted.user_id:
        found.add("user_id = ?", wanted.user_id)
    found.add_one_of("config_name", wanted.config_names)
    found.add_one_of("state", wanted.states)
    found.add_one_of("safety_level", wanted.safety_levels)
    if wanted.kinds:
        found.add("kinds & ? != 0", kind_bits(wanted.kinds))
    if wanted.output_configs:
        found.add(
            "run_id IN (SELECT run_id FROM outputs WHERE config_name IN "
            "(SELECT value FROM json_each(?)))",
            json.dumps(sorted(wanted.output_configs)),
        )
    if without:
        found.add("run_id NOT IN (SELECT value FROM json_each(?))", _json(without))
    if wanted.favourites:
        found.add("run_id IN (SELECT value FROM json_each(?))", _json(favourites))
    if wanted.text:
        # Not LIKE: nothing in the text means anything but itself.
        found.add("text_audience <= ?", audience_rank(audience))
        found.add(
            "(SELECT instr(text, ?) FROM inputs WHERE id = text_id) > 0",
            wanted.folded_text.encode(),
        )
    return found


def older_than(place: Place) -> tuple[str, int, str]:
    """Return the condition that rows come after this place in the list, and its values."""
    return "(created_us, run_id) < (?, ?)", microseconds(place.created_at), place.run_id.value


def microseconds(moment: datetime) -> int:
    """Return a moment as a number that sorts like it."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """Return the moment of such a number."""
    return _EPOCH + microseconds * _MICROSECOND


def kind_bits(kinds: Iterable[MediaKind]) -> int:
    """Return kinds of outputs as bits."""
    bits = 0
    for kind in kinds:
        bits |= _KIND_BITS[kind]
    return bits


def audience_rank(audience: Audience) -> int:
    """Return a number; an audience includes those with smaller ones."""
    return _RANKS[audience]


def _json(run_ids: Collection[RunId]) -> str:
    return json.dumps([run_id.value for run_id in run_ids])
