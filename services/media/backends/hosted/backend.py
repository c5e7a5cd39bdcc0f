"""The frame of a backend behind an API: may it be asked, whose turn is it, how long may it take."""

from __future__ import annotations

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from services.kit.errors import ArtlabError, DeadlineExceeded, FailedPrecondition
from services.media.backends.hosted.account import Account
from services.media.backends.hosted.patience import Patience
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress, Report

NEEDS_IMAGE = "this backend takes no pictures"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one backend may take.

    Args:
        max_media_bytes: larger outputs are refused while they arrive.
        concurrency: jobs at once; others wait in order of arrival.
        spool: folder for bytes that can be had only once; None is the system's.
        silence_seconds: how long the API may be silent; None is the backend's own.
        patience: how the API is asked again.
    """

    max_media_bytes: int
    concurrency: int = 4
    spool: Path | None = None
    silence_seconds: float | None = None
    patience: Patience | None = None


class HostedBackend(ABC):
    """Makes outputs by an API. Between construction and `close`.

    Args:
        account: where the API is, and with which key.
        limits: what it may take.
    """

    name: str

    def __init__(self, account: Account, limits: Limits) -> None:
        self.account = account
        self._limits = limits
        self._patience = limits.patience or Patience()
        self._places = asyncio.Semaphore(limits.concurrency)
        self._waiting = 0

    @property
    def title(self) -> str:
        """The API's name, for people."""
        return self.account.title

    @property
    def remote(self) -> bool:
        """Whether the API is on somebody else's machine."""
        return self.account.remote

    @abstractmethod
    async def close(self) -> None:
        """Close all connections."""

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """Why it cannot be asked now, as far as that is known without asking."""
        return NEEDS_IMAGE if config.image_slots else self.account.reason()

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Make one output; see `services.media.ports.Backend`.

        Raises OUTPUT_NOT_AVAILABLE, DEADLINE, MEDIA_TOO_LARGE and the reasons BACKEND_*.
        """
        reason = await self.unavailable_reason(job.config)
        if reason is not None:
            raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", reason)
        try:
            async with _within(job.config.deadline_seconds), self._turn(job, report):
                report(RenderProgress("executing"))
                return await self._make(job, report)
        except ArtlabError as error:
            self.account.heard(error)
            raise

    @abstractmethod
    async def _make(self, job: RenderJob, report: Report) -> Product:
        """Make it; when cancelled, stop the work at the API."""

    @asynccontextmanager
    async def _turn(self, job: RenderJob, report: Report) -> AsyncIterator[None]:
        self._waiting += 1
        has_to_wait = self._places.locked()
        try:
            report(RenderProgress("queued", queue_position=self._waiting - 1))
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            if has_to_wait:
                # Somebody may have stopped it meanwhile, at a copy of this service.
                await job.standing.confirm()
            yield
        finally:
            self._places.release()


def idempotency_key(job: RenderJob) -> str:
    """The same for every attempt at one output; says nothing about the run."""
    return hashlib.sha256(f"idempotency of {job.upload}".encode()).hexdigest()


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds) as deadline:
            yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise DeadlineExceeded("DEADLINE", f"not done within {seconds:g} s") from error
