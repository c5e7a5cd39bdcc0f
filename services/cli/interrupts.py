"""SIGINT, SIGTERM and SIGHUP as wishes: the first to stop, the second to stop at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

T = TypeVar("T")


class Interrupted(Exception):
    """Somebody asked to stop while work was under way."""


class Interrupts:
    """What was asked for so far."""

    def __init__(self) -> None:
        self.count = 0
        self._asked = asyncio.Event()
        self._at_once: list[Callable[[], object]] = []

    def on_second(self, callback: Callable[[], object]) -> None:
        """Call this when somebody asks again."""
        self._at_once.append(callback)

    def ask(self) -> None:
        """Count one more wish to stop."""
        self.count += 1
        self._asked.set()
        if self.count > 1:
            for callback in self._at_once:
                callback()

    async def unless_asked(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work and return its result; cancel it and raise Interrupted when asked to stop."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
        finally:
            asked.cancel()
            if not task.done():
                task.cancel()
                # Its own end may fail for other reasons than being cancelled; that must be seen.
                await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        raise Interrupted


@contextmanager
def interrupts() -> Iterator[Interrupts]:
    """Catch the signals inside the block, in the running loop."""
    loop, found = asyncio.get_running_loop(), Interrupts()
    # Under nohup the end of the terminal is nobody's wish.
    caught = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    for number in caught:
        loop.add_signal_handler(number, found.ask)
    try:
        yield found
    finally:
        for number in caught:
            loop.remove_signal_handler(number)
