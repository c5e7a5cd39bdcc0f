"""The built-in backend: draws, plays and films in worker threads, passes texts through."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from services.kit.errors import FailedPrecondition
from services.media.backends.builtin.making import MAKERS, Made
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress, Report
from services.media.product import product_of

NAME = "builtin"
KINDS = ("text", *MAKERS)


class _StoppedError(Exception):
    """Nobody wants the output any more."""


class BuiltinBackend:
    """Needs no GPU, account or model. `concurrency` outputs are made at once, others wait."""

    name = NAME
    remote = False

    def __init__(self, concurrency: int = 2) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="builtin-renderer")
        self._places = asyncio.Semaphore(concurrency)
        self._waiting = 0

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """None for the kinds it makes."""
        if config.kind in KINDS:
            return None
        return f"the built-in renderer makes {', '.join(KINDS)}, not {config.kind}"

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Make the output, or return the prompt itself as text.

        Raises FailedPrecondition OUTPUT_NOT_AVAILABLE for another kind, InvalidArgument
        INVALID_PARAMETER for a size or length it does not make.
        """
        if job.config.kind == "text":
            return product_of(job.prompt.encode(), NAME, "", {})
        reason = await self.unavailable_reason(job.config)
        if reason is not None:
            raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", reason)
        self._waiting += 1
        try:
            report(RenderProgress("queued", queue_position=self._waiting - 1))
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            data, facts = await self._make(job, report)
        finally:
            self._places.release()
        return product_of(data, NAME, "", facts)

    async def _make(self, job: RenderJob, report: Report) -> Made:
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def step(fraction: float) -> None:
            if stopped.is_set():
                raise _StoppedError
            loop.call_soon_threadsafe(report, RenderProgress("executing", fraction))

        report(RenderProgress("executing"))
        work = loop.run_in_executor(self._threads, MAKERS[job.config.kind], job, step)
        # Who is cancelled twice does not see how the thread ends.
        work.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            # A thread cannot be interrupted; its place is free again when it has noticed.
            await asyncio.wait({work})
            raise


def _retrieve(work: asyncio.Future[Made]) -> None:
    if not work.cancelled():
        work.exception()
