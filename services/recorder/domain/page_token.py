"""The tokens of a list's pages. Pure.

A token says after which run the next page begins, not how many came before: pages neither skip
nor repeat a run while others come and go.
"""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime

from services.kit.errors import InvalidArgument
from services.kit.ids import RunId
from services.recorder.domain.run import Place

MAX_TOKEN_CHARACTERS = 400


def page_token(place: Place, of_list: str) -> str:
    """Return the token of the page after this run; `of_list` tells lists apart."""
    value = [place.created_at.isoformat(), place.run_id.value, of_list]
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def parse_page_token(token: str, of_list: str) -> Place | None:
    """Return after which run the page begins; None for the first page.

    Raises InvalidArgument PAGE_TOKEN_INVALID, also for a token of another list.
    """
    if not token:
        return None
    try:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise ValueError("too long")
        value = json.loads(base64.b64decode(token.encode("ascii"), b"-_", validate=True))
        created_at, run_id, made_for = map(str, value)
        moment = datetime.fromisoformat(created_at)
        if made_for != of_list or moment.tzinfo is None:
            raise ValueError("not of this list")
        return Place(moment, RunId.parse(run_id))
    except (ValueError, TypeError, RecursionError, binascii.Error, InvalidArgument):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID", "not a next_page_token of this list", field="page_token"
        ) from None
