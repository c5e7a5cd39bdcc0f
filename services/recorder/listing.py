"""The order of all runs, newest first, and the tokens of its pages.

Built from the folders at start and kept while running; never the truth.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.run import Place

MAX_TOKEN_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Page:
    """Run ids newest first, and the token of the page after; empty on the last."""

    run_ids: tuple[RunId, ...]
    next_token: str


class Listing:
    """Places of all runs, oldest first inside."""

    def __init__(self, places: Iterable[Place]) -> None:
        self._places = sorted(places)
        self._place_of = {place.run_id: place for place in self._places}

    def add(self, place: Place) -> None:
        """Put a run in its place; nothing happens when it is there."""
        if place.run_id not in self._place_of:
            self._place_of[place.run_id] = place
            bisect.insort(self._places, place)

    def remove(self, run_id: RunId) -> None:
        """Take a run out; nothing happens when it is not there."""
        place = self._place_of.pop(run_id, None)
        if place is not None:
            del self._places[bisect.bisect_left(self._places, place)]

    def page(self, size: int, token: str, user_id: str) -> Page:
        """Return up to `size` runs after the token's place, of one user or of all.

        Raises InvalidArgument PAGE_TOKEN_INVALID.
        """
        at = len(self._places)
        if token:
            at = bisect.bisect_left(self._places, _parse_token(token, user_id))
        found: list[Place] = []
        while at and len(found) <= size:
            at -= 1
            if not user_id or self._places[at].user_id == user_id:
                found.append(self._places[at])
        shown = found[:size]
        more = len(found) > size
        return Page(
            tuple(place.run_id for place in shown),
            _token(shown[-1], user_id) if more else "",
        )


def _token(place: Place, user_id: str) -> str:
    # With the filter in it, because a page of another list would make no sense.
    value = [place.created_at.isoformat(), place.run_id.value, place.user_id, user_id]
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _parse_token(token: str, user_id: str) -> Place:
    try:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ValueError("too long")
        value = json.loads(base64.b64decode(token.encode("ascii"), b"-_", validate=True))
        created_at, run_id, of_user, filtered = map(str, value)
        moment = datetime.fromisoformat(created_at)
        if filtered != user_id or moment.tzinfo is None:
            raise ValueError("not of this list")
        return Place(moment, RunId.parse(run_id), of_user)
    except (ValueError, TypeError, RecursionError, binascii.Error, InvalidArgument):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID", "not a next_page_token of this list", field="page_token"
        ) from None
