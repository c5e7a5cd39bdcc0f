"""Looks again and again for what has run out of time."""

from __future__ import annotations

import asyncio

from services.recorder.recorder import Recorder

SWEEP_SECONDS = 1.0


async def sweep_forever(recorder: Recorder) -> None:
    """Sweep at once, because deadlines passed while nobody looked, then every second."""
    while True:
        await recorder.sweep()
        await asyncio.sleep(SWEEP_SECONDS)
