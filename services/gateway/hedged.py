"""Asks again beside a call that is slow; where there are replicas, another one gets the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kit.errors import ArtlabError

T = TypeVar("T")


async def first_answer(
    call: Callable[[], Awaitable[T]], *, after_seconds: float, most: int = 3
) -> T:
    """Return what the first of up to `most` calls answers, each begun when those before are slow.

    Only for what may be done twice at once. An error counts once no call is left that may do
    better; then the first one is raised. Calls that are not needed any more are cut.
    """
    errors: list[ArtlabError] = []
    calls: set[asyncio.Future[T]] = set()
    begun = 0
    try:
        while True:
            if begun < most and not errors:
                calls.add(asyncio.ensure_future(call()))
                begun += 1
            patience = after_seconds if begun < most and not errors else None
            done, calls = await asyncio.wait(
                calls, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            for one in done:
                try:
                    return one.result()
                except ArtlabError as error:
                    errors.append(error)
            if errors and not calls:
                raise errors[0]
    finally:
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
