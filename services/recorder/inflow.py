"""Chunks on their way from the event loop to the disk: taken in at once, written by one thread.

The loop never waits for the disk while there is room, so that gRPC finds a reader and the sender
is not held up; what has come in meanwhile is written in one go.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from services.recorder.threads import Threads

# More is not taken in while the disk is slow.
MAX_WAITING_BYTES = 2 * 1024 * 1024

Write = Callable[[Sequence[bytes]], None]


class Inflow:
    """One stream's chunks, written in order by `write`, which is called in a thread."""

    def __init__(self, threads: Threads, write: Write) -> None:
        self._threads = threads
        self._write = write
        self._chunks: deque[bytes] = deque()
        # Counted up by the loop and by the thread, each its own: no lock is needed.
        self._taken = 0
        self._written = 0
        self._room = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None

    async def put(self, chunk: bytes) -> None:
        """Take a chunk in; wait while too many are here. Raises what a write before it did."""
        self._raise_failure()
        self._chunks.append(chunk)
        self._taken += len(chunk)
        if self._work is None:
            self._start()
        while self._is_full():
            self._room.clear()
            # The thread may have made room before it could see that somebody waits for it.
            if self._is_full():
                await self._room.wait()
        self._raise_failure()

    async def settle(self) -> None:
        """Wait until all that was taken in is written. Raises what a write did."""
        await self.drain()
        self._raise_failure()

    async def drain(self) -> None:
        """Wait until nothing is being written any more; never raises what a write did."""
        while self._work is not None:
            await asyncio.wait({self._work})

    def _is_full(self) -> bool:
        return self._work is not None and self._taken - self._written >= MAX_WAITING_BYTES

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _start(self) -> None:
        loop = asyncio.get_running_loop()
        self._work = self._threads.start(self._threads.run(self._write_waiting, loop))
        self._work.add_done_callback(self._ended)

    def _ended(self, work: asyncio.Task[None]) -> None:
        self._work = None
        self._failure = asyncio.CancelledError() if work.cancelled() else work.exception()
        if self._failure is not None:
            self._chunks.clear()
        elif self._chunks:  # put in while the thread was on its way out
            self._start()
        self._room.set()

    def _write_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._chunks:
            chunks = [self._chunks.popleft() for _ in range(len(self._chunks))]
            self._write(chunks)
            self._written += sum(map(len, chunks))
            if not self._room.is_set():
                loop.call_soon_threadsafe(self._room.set)
