"""How often a process that died is started again. Pure: the caller brings the time."""

from __future__ import annotations

from collections import deque

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 10.0
MAX_RESTARTS = 5
WINDOW_SECONDS = 60.0


class RestartPolicy:
    """Waits twice as long after each death of the last minute, and gives up after five."""

    def __init__(self) -> None:
        self._restarts: deque[float] = deque()

    def next_delay(self, now: float) -> float | None:
        """Seconds to wait before the next start; None when it died too often.

        `now` is a monotonic time in seconds.
        """
        while self._restarts and now - self._restarts[0] > WINDOW_SECONDS:
            self._restarts.popleft()
        if len(self._restarts) >= MAX_RESTARTS:
            return None
        delay = FIRST_DELAY_SECONDS * (1 << len(self._restarts))
        self._restarts.append(now)
        return min(delay, LONGEST_DELAY_SECONDS)
