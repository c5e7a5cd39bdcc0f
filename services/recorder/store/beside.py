"""Something done in another thread while this one does its own part."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

# With more at once, the processor is busy anyway, and waking threads only costs.
_AT_THE_SAME_TIME = 2


class Beside:
    """A few threads for the other half of a work."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_AT_THE_SAME_TIME, thread_name_prefix="beside")
        self._free = threading.Semaphore(_AT_THE_SAME_TIME)

    @contextlib.contextmanager
    def doing(self, work: Callable[[], None]) -> Iterator[None]:
        """Do `work` beside the body; after it when all threads are busy.

        It has ended when the body has, and may not have begun when the body raises. Raises what
        it raises.
        """
        if not self._free.acquire(blocking=False):
            with after(work):
                yield
            return
        try:
            other = self._threads.submit(work)
            try:
                yield
            finally:
                error = other.exception()
            if error is not None:
                raise error
        finally:
            self._free.release()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


@contextlib.contextmanager
def after(work: Callable[[], None]) -> Iterator[None]:
    """Do `work` after the body, unless that raises."""
    yield
    work()
