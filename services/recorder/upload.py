"""One unfinished upload, as the recorder holds it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.recorder.domain.upload import UploadRecord
from services.recorder.ports import UploadBytes


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one client may take."""

    max_entity_bytes: int
    uploads_per_run: int
    ttl_seconds: float


class Upload:
    """An unfinished upload and who has it."""

    def __init__(self, record: UploadRecord, durable_size: int, now: float) -> None:
        self.record = record
        # None while nobody has its bytes open.
        self.data: UploadBytes | None = None
        self.durable_size = durable_size
        self.used_at = now
        self.is_busy = False
        self.is_discarded = False
        # Cleared while what a stream has written is made durable.
        self.settled = asyncio.Event()
        self.settled.set()
        self._wait: asyncio.Timeout | None = None

    def discard(self) -> None:
        """Say that it is gone; a writer that waits for its client's next chunk hears of it."""
        self.is_discarded = True
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    @contextmanager
    def waiting(self, wait: asyncio.Timeout) -> Iterator[None]:
        """Around the writer's wait for the next chunk; the wait times out when it is discarded."""
        self._wait = wait
        if self.is_discarded:
            wait.reschedule(asyncio.get_running_loop().time())
        try:
            yield
        finally:
            self._wait = None
