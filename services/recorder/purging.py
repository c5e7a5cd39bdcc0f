"""When an index gets rid of the bytes of deleted runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from services.kit.log import facts

log = logging.getLogger(__name__)

PURGE_SECONDS = 2.0
RETRY_SECONDS = 5.0
# Past this an index that cannot be purged is thrown away, bytes of deleted runs and all.
MAX_UNPURGED_SECONDS = 30.0
# Writing a large index anew takes seconds: it may take this share of the time.
MAX_SHARE = 0.02


class Purging:
    """Purges soon after a deletion, and writes anew as often as that is cheap."""

    def __init__(
        self,
        purge: Callable[[], Awaitable[bool]],
        rewrite: Callable[[], Awaitable[None]],
        throw_away: Callable[[], None],
    ) -> None:
        self._purge = purge
        self._rewrite = rewrite
        self._throw_away = throw_away
        self._needed = asyncio.Event()
        self._may_remain = True  # perhaps the last stop came before
        self._next_rewrite = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait for deletions."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    def needed(self) -> None:
        """A run was deleted."""
        self._needed.set()

    async def close(self) -> None:
        """Stop; what is left is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _work(self) -> None:
        while True:
            try:
                await self._wait()
                if self._needed.is_set():
                    self._may_remain = True
                    await self._purge_once()
                elif self._may_remain:
                    await self._rewrite_once()
            except Exception as error:
                # Whatever it is: deletions go on, and this is tried again.
                log.warning("the index is not purged", extra=facts(why=repr(error)))
                self._needed.set()
                await asyncio.sleep(RETRY_SECONDS)

    async def _wait(self) -> None:
        now = asyncio.get_running_loop().time()
        until = max(PURGE_SECONDS, self._next_rewrite - now) if self._may_remain else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until):
                await self._needed.wait()
                await asyncio.sleep(PURGE_SECONDS)  # others may follow

    async def _purge_once(self) -> None:
        self._needed.clear()
        deadline = asyncio.get_running_loop().time() + MAX_UNPURGED_SECONDS
        while not await self._purge():
            if asyncio.get_running_loop().time() > deadline:
                log.error("the index cannot be purged and is thrown away")
                self._throw_away()
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _rewrite_once(self) -> None:
        loop = asyncio.get_running_loop()
        self._may_remain = False
        began = loop.time()
        await self._rewrite()
        self._next_rewrite = loop.time() + (loop.time() - began) / MAX_SHARE
