"""Where a job stands, for everybody who watches: who is slow sees fewer steps, never old ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from services.media.ports import Preview, RenderProgress

HEARTBEAT_SECONDS = 8.0
# The backend's part of a job; the rest is recording.
BACKEND_SHARE = 0.9
_UNSIZED_HALF_BYTES = 8 * 1024 * 1024
_ALMOST = 0.99


@dataclass(frozen=True, slots=True)
class JobProgress:
    """Fraction 0.0 to 1.0 of the whole job; 1.0 only once the bytes are recorded."""

    phase: str
    fraction: float
    queue_position: int = 0
    attempt: int = 1
    instance: str = ""
    node: str = ""
    remaining_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class JobWarning:
    """Something a caller should know that ends nothing."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Callers of this epoch, and older ones, have lost the run to another driver."""

    epoch: int


News = JobProgress | Preview | JobWarning


class ProgressBoard:
    """Holds the newest of each kind of news of one job, so that nobody's slowness costs memory."""

    def __init__(self) -> None:
        self._latest = JobProgress("queued", 0.0)
        # By kind: the newest, with the number of the change that brought it.
        self._news: dict[type, tuple[int, News | Fence]] = {}
        self._version = 0
        self._changed = asyncio.Event()

    def report(self, progress: RenderProgress) -> None:
        """Take what a backend says; to be called in the event loop."""
        if progress.preview is not None:
            self._tell(progress.preview)
        share = min(max(progress.fraction, 0.0), 1.0) * BACKEND_SHARE
        self._put(
            JobProgress(
                phase=progress.phase,
                fraction=share,
                queue_position=progress.queue_position,
                attempt=progress.attempt,
                instance=progress.instance,
                node=progress.node,
                remaining_seconds=progress.remaining_seconds,
            )
        )

    def recording(self, size: int, total: int | None) -> None:
        """So many bytes of the output are sent."""
        # Without a total the bar slows down instead of standing still.
        part = size / total if total else size / (size + _UNSIZED_HALF_BYTES)
        fraction = BACKEND_SHARE + (1 - BACKEND_SHARE) * min(part, 1.0)
        self._put(JobProgress("recording", round(min(fraction, _ALMOST), 3)))

    def recorded(self) -> None:
        """The bytes are durable."""
        self._put(JobProgress("recording", 1.0))

    @property
    def is_recording(self) -> bool:
        """Whether it is made, and on its way to the recorder."""
        return self._latest.phase == "recording"

    def warn(self, warning: JobWarning) -> None:
        """Say something to everybody who watches, or joins later."""
        self._tell(warning)

    def fence(self, epoch: int) -> None:
        """Say that drivers up to this epoch have lost the run."""
        self._tell(Fence(epoch))

    def _put(self, progress: JobProgress) -> None:
        if progress.fraction < self._latest.fraction:
            progress = replace(progress, fraction=self._latest.fraction)
        progress = replace(progress, attempt=max(progress.attempt, self._latest.attempt))
        if progress == self._latest and self._version:
            return
        self._latest = progress
        self._tell(progress)

    def _tell(self, news: News | Fence) -> None:
        self._version += 1
        self._news[type(news)] = self._version, news
        self._changed.set()
        self._changed = asyncio.Event()

    async def watch(self, work: asyncio.Task[object]) -> AsyncIterator[News | Fence]:
        """Yield news, and the progress at least every 8 s, until the work is done."""
        seen = 0
        while True:
            unseen = [told for told in self._news.values() if told[0] > seen]
            if unseen:
                seen, news = min(unseen, key=lambda told: told[0])
                yield news
                # Something may have changed while the watcher was busy.
                continue
            if work.done():
                return
            changed = asyncio.ensure_future(self._changed.wait())
            try:
                done, _ = await asyncio.wait(
                    {changed, work}, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                changed.cancel()
            if not done:
                yield self._latest
