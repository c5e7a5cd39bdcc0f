from __future__ import annotations

import pytest

from services.gateway.limits import MAX_CLIENTS, StartLimit
from services.kit.clock import ManualClock
from services.kit.errors import ResourceExhausted


def test_a_minute_s_worth_may_start_at_once_and_then_as_time_goes_by() -> None:
    clock = ManualClock()
    limit = StartLimit(60, clock)
    for _ in range(60):
        limit.take("a")
    with pytest.raises(ResourceExhausted) as caught:
        limit.take("a")
    assert caught.value.retry_after_seconds == pytest.approx(1.0)
    clock.advance(0.999)
    with pytest.raises(ResourceExhausted):
        limit.take("a")
    clock.advance(0.002)
    limit.take("a")
    limit.take("b")


def test_a_long_rest_fills_the_bucket_and_no_more() -> None:
    clock = ManualClock()
    limit = StartLimit(3, clock)
    clock.advance(100_000)
    for _ in range(3):
        limit.take("a")
    with pytest.raises(ResourceExhausted):
        limit.take("a")


def test_addresses_do_not_fill_the_memory() -> None:
    limit = StartLimit(1, ManualClock())
    limit.take("first")
    for number in range(MAX_CLIENTS):
        limit.take(str(number))
    limit.take("first")  # forgotten long since
    with pytest.raises(ResourceExhausted):
        limit.take(str(MAX_CLIENTS - 1))
