"""One unfinished upload, as the recorder holds it in memory."""

from __future__ import annotations

import asyncio
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
