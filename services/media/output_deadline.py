"""The time one output may take: told of when most of it is used up, over when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.kit.errors import DeadlineExceeded, Internal
from services.media.progress import JobWarning

NEAR_SHARE = 0.8
DEADLINE_NEAR = "DEADLINE_NEAR"


@asynccontextmanager
async def output_deadline(
    seconds: float, warn: Callable[[JobWarning], None]
) -> AsyncIterator[None]:
    """Give what happens inside so many seconds; `warn` hears once, at 80 % of them.

    What is inside is cancelled at the end of the time and may clean up. Raises DeadlineExceeded
    DEADLINE.
    """
    left = seconds * (1 - NEAR_SHARE)
    warning = JobWarning(DEADLINE_NEAR, f"{left:g} s are left of {seconds:g} s")
    near = asyncio.get_running_loop().call_later(seconds * NEAR_SHARE, warn, warning)
    try:
        async with asyncio.timeout(seconds) as deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise Internal("INTERNAL", "a wait without a reason ran out") from error
        raise DeadlineExceeded(
            "DEADLINE",
            f"not done within {seconds:g} s",
            metadata={"deadline_seconds": f"{seconds:g}"},
        ) from error
    finally:
        near.cancel()
