"""Work on bytes of strangers in processes of their own, which cannot take more than they are given.

What decodes a file somebody sent may be made to crash, to loop or to fill the memory. It is done
in a child that has no secrets in its environment, no file to write to, limited memory, processor
time and time, and that is killed when it overstays or when nobody waits for it any more. As far as
the system lets it, it has no network either, changes no file and signals nobody (`seclusion`);
what its starter knows it cannot read, as every service refuses readers. A child that behaved stays
and takes the next call, because starting one takes a fifth of a second and more. `limited_task` is
the inside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self

from services.kit.errors import ArtlabError
from services.kit.limited_child import (
    LimitedChild,
    LimitedProcessError,
    Limits,
    Why,
    start_child,
)
from services.kit.log import facts

log = logging.getLogger(__name__)


class LimitedProcesses:
    """Children that run one task, started when needed. Close them with `aclose`.

    Args:
        task: ``package.module:factory``; the factory is called once in each child and returns a
            function from a request and open files to an answer.
        limits: of each child.
    """

    def __init__(self, task: str, limits: Limits) -> None:
        self._task = task
        self._limits = limits
        self._free = asyncio.Semaphore(limits.at_once)
        self._idle: list[LimitedChild] = []
        self._line = 0
        self._has_told = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all children that are not at work; a call under way ends its own."""
        while self._idle:
            await self._idle.pop().end()

    async def load(self) -> None:
        """Have one child ready. Raises LimitedProcessError when its task cannot be loaded."""
        async with self._turn() as child:
            self._idle.append(child)

    async def call(self, request: bytes, files: Sequence[int] = ()) -> bytes:
        """Return the task's answer; the files are handed over for reading and stay open here.

        Raises LimitedProcessError, and what the task itself raised as an ArtlabError.
        """
        async with self._turn() as child:
            answer = await child.call(request, files)
            # Only a child that answered is asked again: what happened to another one is unknown.
            if child.calls < self._limits.calls:
                self._idle.append(child)
        if isinstance(answer, ArtlabError):
            raise answer
        return answer

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[LimitedChild]:
        if self._free.locked() and self._line >= self._limits.waiting:
            raise LimitedProcessError(Why.BUSY)
        self._line += 1
        try:
            await self._free.acquire()
        finally:
            self._line -= 1
        child: LimitedChild | None = None
        try:
            child = await self._waiting_child()
            if child is None:
                child = await start_child(self._task, self._limits)
                self._tell_once(child.open_to)
            yield child
        finally:
            try:
                if child is not None and child not in self._idle:
                    await child.end()
            finally:
                self._free.release()

    def _tell_once(self, open_to: str) -> None:
        if open_to and not self._has_told:
            self._has_told = True
            log.info("limited process not secluded", extra=facts(task=self._task, why=open_to))

    async def _waiting_child(self) -> LimitedChild | None:
        while self._idle:
            child = self._idle.pop()
            if child.listens:
                return child
            await child.end()
        return None
