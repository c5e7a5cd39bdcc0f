"""The queue of one ComfyUI, read once for all jobs that ask at about the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.media.comfy.errors import protocol_error
from services.media.comfy.rest import Rest


@dataclass(frozen=True, slots=True)
class Queue:
    """Prompt ids: those that run, and those that wait, the next one first."""

    running: tuple[str, ...]
    pending: tuple[str, ...]


class QueueReader:
    """Shares one answer of GET /queue among those whom it is fresh enough for.

    ComfyUI answers with every waiting graph, on its event loop: with fifty jobs here and each
    asking for itself, looking would cost it more than working.
    """

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._reading: asyncio.Task[Queue] | None = None
        self._began = float("-inf")

    async def read(self, since: float | None = None) -> Queue:
        """Return the queue as it was at `since` (of the loop's clock; None: now) or later.

        Raises Unreachable, Unanswered, COMFY_PROTOCOL.
        """
        now = asyncio.get_running_loop().time()
        wanted = now if since is None else since
        if self._reading is None or self._began < wanted or _has_failed(self._reading):
            self._began = now
            self._reading = asyncio.create_task(self._read(), name=f"queue {self._rest.address}")
            self._reading.add_done_callback(_retrieve)
        # Shielded: others may be waiting for the same answer.
        return await asyncio.shield(self._reading)

    async def close(self) -> None:
        """End a call under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})

    async def _read(self) -> Queue:
        found = (await self._rest.get("/queue")).object()
        running, pending = _items(found, "queue_running"), _items(found, "queue_pending")
        # The list is a heap, not the order of execution.
        return Queue(
            tuple(prompt_id for _, prompt_id in running),
            tuple(prompt_id for _, prompt_id in sorted(pending)),
        )


def _items(queue: Mapping[str, Any], key: str) -> list[tuple[float, str]]:
    items = queue.get(key)
    if not isinstance(items, list):
        raise protocol_error("a queue that is no list")
    found = []
    for item in items:
        if not isinstance(item, list) or len(item) < 2 or not isinstance(item[1], str):
            raise protocol_error("a queue of unknown shape")
        number = item[0] if isinstance(item[0], (int, float)) else 0.0
        found.append((number, item[1]))
    return found


def _has_failed(reading: asyncio.Task[Queue]) -> bool:
    return reading.done() and (reading.cancelled() or reading.exception() is not None)


def _retrieve(reading: asyncio.Task[Queue]) -> None:
    # Nobody may be waiting any more when it fails.
    if not reading.cancelled():
        reading.exception()
