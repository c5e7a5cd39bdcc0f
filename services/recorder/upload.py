"""One unfinished upload, as the recorder holds it in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from services.kit.errors import Aborted, AlreadyExists, OutOfRange
from services.recorder.domain.entity import EntityDraft
from services.recorder.domain.upload import UploadRecord
from services.recorder.ports_bytes import UploadBytes


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
        # Under which epoch it is written; 0 is of nobody who can be replaced.
        self.epoch = 0
        self.is_fenced = False
        # Cleared while what a stream has written is made durable.
        self.settled = asyncio.Event()
        self.settled.set()
        self._wait: asyncio.Timeout | None = None

    def discard(self) -> None:
        """Say that it is gone; a writer that waits for its client's next chunk hears of it."""
        self.is_discarded = True
        self._interrupt()

    def begin(self, epoch: int) -> None:
        """Say that somebody writes it."""
        self.is_busy = True
        self.epoch = epoch
        self.is_fenced = False

    def check_free(self, epoch: int) -> None:
        """Raise Aborted UPLOAD_BUSY while somebody writes it.

        Whoever writes it under an older epoch is cut, so that the next attempt finds it free, with
        all that has arrived: a driver that is frozen holds nobody up.
        """
        if self.is_busy:
            if 0 < self.epoch < epoch:
                self.is_fenced = True
                self._interrupt()
            raise upload_busy()

    def _interrupt(self) -> None:
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    def bytes_open(self) -> UploadBytes:
        """The bytes it is written to. Raises Aborted UPLOAD_DISCARDED."""
        if self.is_discarded or self.data is None:
            raise upload_discarded()
        return self.data

    def describe(self, draft: EntityDraft) -> None:
        """Take newer facts about the entity, such as its duration.

        Raises AlreadyExists UPLOAD_DIFFERS when they are about another thing.
        """
        if not draft.is_same_thing(self.record.draft):
            raise AlreadyExists("UPLOAD_DIFFERS", "the upload was begun for another entity")
        self.record = replace(self.record, draft=draft)

    @contextmanager
    def waiting(self, wait: asyncio.Timeout) -> Iterator[None]:
        """Around the writer's wait for the next chunk; it times out when there is no use in it."""
        self._wait = wait
        if self.is_discarded or self.is_fenced:
            wait.reschedule(asyncio.get_running_loop().time())
        try:
            yield
        finally:
            self._wait = None


def offset_mismatch(committed_size: int) -> OutOfRange:
    """What is said of a gap or an overlap."""
    return OutOfRange(
        "OFFSET_MISMATCH",
        "data must begin where the upload ends",
        field="offset",
        metadata={"committed_size": str(committed_size)},
    )


def upload_discarded() -> Aborted:
    """What is said to the writer of an upload that is gone."""
    return Aborted("UPLOAD_DISCARDED", "the upload was discarded meanwhile")


def upload_busy() -> Aborted:
    """What is said to a second writer."""
    return Aborted("UPLOAD_BUSY", "another stream writes this upload")
