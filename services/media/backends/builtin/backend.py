"""The built-in backend: draws pictures in worker threads, passes texts through."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from services.kit.errors import FailedPrecondition
from services.media.backends.builtin.render import language_of, render_png
from services.media.domain.output_config import OutputConfig
from services.media.ports import Product, RenderJob, RenderProgress, Report

NAME = "builtin"
KINDS = ("image", "text")
CHUNK_BYTES = 256 * 1024
DEFAULT_SIDE_PIXELS = 1024


class _StoppedError(Exception):
    """Nobody wants the picture any more."""


class BuiltinBackend:
    """Needs no GPU, account or model. `concurrency` pictures are drawn at once, others wait."""

    name = NAME

    def __init__(self, concurrency: int = 2) -> None:
        self._threads = ThreadPoolExecutor(concurrency, thread_name_prefix="builtin-renderer")
        self._places = asyncio.Semaphore(concurrency)
        self._waiting = 0

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def unavailable_reason(self, config: OutputConfig) -> str | None:
        """None for images and texts."""
        if config.kind in KINDS:
            return None
        return f"the built-in renderer makes {' and '.join(KINDS)}, not {config.kind}"

    async def render(self, job: RenderJob, report: Report) -> Product:
        """Draw the picture, or return the prompt itself as text.

        Raises FailedPrecondition OUTPUT_NOT_AVAILABLE for another kind, InvalidArgument
        INVALID_PARAMETER for a size it does not draw.
        """
        if job.config.kind == "text":
            return _product(job.prompt.encode(), {})
        reason = await self.unavailable_reason(job.config)
        if reason is not None:
            raise FailedPrecondition("OUTPUT_NOT_AVAILABLE", reason)
        width = int(job.values.get("width", DEFAULT_SIDE_PIXELS))
        height = int(job.values.get("height", DEFAULT_SIDE_PIXELS))
        self._waiting += 1
        try:
            report(RenderProgress("queued", queue_position=self._waiting - 1))
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            data = await self._draw(job, width, height, report)
        finally:
            self._places.release()
        facts = {"width": str(width), "height": str(height),
                 "visual_language": language_of(job.recipe)}  # fmt: skip
        return _product(data, facts)

    async def _draw(self, job: RenderJob, width: int, height: int, report: Report) -> bytes:
        loop = asyncio.get_running_loop()
        stopped = threading.Event()

        def step(fraction: float) -> None:
            if stopped.is_set():
                raise _StoppedError
            loop.call_soon_threadsafe(report, RenderProgress("executing", fraction))

        report(RenderProgress("executing"))
        work = loop.run_in_executor(
            self._threads, render_png, job.prompt, job.recipe, job.seed, width, height, step
        )
        # Who is cancelled twice does not see how the thread ends.
        work.add_done_callback(_retrieve)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            # A thread cannot be interrupted; its place is free again when it has noticed.
            await asyncio.wait({work})
            raise


def _retrieve(work: asyncio.Future[bytes]) -> None:
    if not work.cancelled():
        work.exception()


def _product(data: bytes, facts: dict[str, str]) -> Product:
    @contextmanager
    def read() -> Iterator[Iterator[bytes]]:
        view = memoryview(data)
        yield (bytes(view[at : at + CHUNK_BYTES]) for at in range(0, len(data), CHUNK_BYTES))

    return Product(read=read, backend=NAME, model="", size_bytes=len(data), metadata=facts)
