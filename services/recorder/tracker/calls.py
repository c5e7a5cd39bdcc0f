"""Calls to a tracker: one at a time, in a thread of its own, each with a deadline."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from services.kit.errors import Unavailable
from services.recorder.tracker.ports import Tracker

T = TypeVar("T")
_Work = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Calls:
    """Makes calls. Not more than one waits; an end of the process waits for none."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._under_way: asyncio.Future[Any] | None = None

    async def make(self, seconds: float, work: Callable[..., T], *args: object) -> T:
        """Return what `work` returns.

        Raises what it raises, and Unavailable TRACKER_UNAVAILABLE when it takes longer: then it is
        interrupted, and until it has ended every other call is refused.
        """
        if self._under_way is not None and not self._under_way.done():
            raise Unavailable("TRACKER_UNAVAILABLE", "a call that was given up has not ended")
        if self._thread is None:
            # A daemon, because a database that hangs must not keep the process from its end.
            self._thread = threading.Thread(target=self._serve, name="tracker", daemon=True)
            self._thread.start()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._under_way = future
        self._queue.put((loop, future, work, args))
        try:
            done, _ = await asyncio.wait([future], timeout=seconds)
        except asyncio.CancelledError:
            _forget(future)
            raise
        if not done:
            _forget(future)
            self._tracker.interrupt()
            raise Unavailable("TRACKER_UNAVAILABLE", f"no answer within {seconds:g} s")
        return future.result()

    async def settle(self, seconds: float) -> bool:
        """Wait until the call under way has ended; interrupt it and return False when it lasts."""
        if self._under_way is None or self._under_way.done():
            return True
        done, _ = await asyncio.wait([self._under_way], timeout=seconds)
        if not done:
            self._tracker.interrupt()
        return bool(done)

    async def close(self, seconds: float) -> None:
        """Close the tracker and end the thread, but do not wait for it longer than that."""
        await self.settle(0)
        if self._thread is None:
            return
        loop = asyncio.get_running_loop()
        closed = loop.create_future()
        self._queue.put((loop, closed, self._tracker.close, ()))
        self._queue.put(None)
        self._thread = None
        _forget(closed)
        await asyncio.wait([closed], timeout=seconds)

    def _serve(self) -> None:
        while (found := self._queue.get()) is not None:
            loop, future, work, args = found
            try:
                result, error = work(*args), None
            except BaseException as problem:
                result, error = None, problem
            try:
                loop.call_soon_threadsafe(_tell, future, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody is left to tell


def _forget(future: asyncio.Future[Any]) -> None:
    # Nobody will ask how it ended.
    future.add_done_callback(lambda done: done.exception())


def _tell(future: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
