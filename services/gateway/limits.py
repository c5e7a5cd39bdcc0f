"""How many runs one client may start: a bucket of tokens per address. Pure but for the clock."""

from __future__ import annotations

from collections import OrderedDict

from services.kit.clock import Clock
from services.kit.errors import ResourceExhausted

# Addresses remembered; the one seen longest ago is forgotten first.
MAX_CLIENTS = 10_000


class StartLimit:
    """A bucket holds a minute's worth of starts and fills evenly."""

    def __init__(self, starts_per_minute: int, clock: Clock) -> None:
        self._size = float(starts_per_minute)
        self._per_second = starts_per_minute / 60.0
        self._clock = clock
        # By client: tokens left, and when that was counted.
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one start. Raises ResourceExhausted TOO_MANY_STARTS with the time to wait."""
        now = self._clock.monotonic()
        left, counted = self._buckets.pop(client, (self._size, now))
        left = min(self._size, left + (now - counted) * self._per_second)
        allowed = left >= 1.0
        self._buckets[client] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        if not allowed:
            raise ResourceExhausted(
                "TOO_MANY_STARTS",
                "too many runs were started from this address",
                retry_after_seconds=(1.0 - left) / self._per_second,
            )
