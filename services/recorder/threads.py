"""The threads in which a recorder waits for its disk."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

# More threads let the file system group commits of different runs; 16 reached its best here.
WORKERS = 32


class Threads:
    """Runs blocking work in threads, and work that must not be cut short as owned tasks."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="recorder")
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Return what `work` returns, called in a thread with this call's log context."""
        context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: context.run(work, *args))

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that goes on to its end even when the caller is cancelled."""
        return await asyncio.shield(self.start(work))

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Its caller may be gone, and then nobody else asks for it.
            task.exception()

    async def settle(self) -> None:
        """Wait for everything begun."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(wait=False)
